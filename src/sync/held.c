/* SPDX-License-Identifier: MIT */
#include "sync/held.h"
#include "base/basics.h"
#include "base/fmt.h"
#include "base/options.h"
#include "os/os.h"
#include "sync/mutex.h"
#include "sync/ranks.h"
#include "sync/trail.h"
#include <stdlib.h>

#define HELD_MOST 64
#define HELD_FRAMES 6
#define SHOWN_FRAMES 8

/* Not in thread-local memory, of which a library that is loaded late has next to none. */
static struct held {
	_Atomic uint64_t holder; /* {process:32, thread:32}, or 0; that thread has the rest */
	const struct stele_mutex *mutex;
	uintptr_t trail[HELD_FRAMES];
} record[HELD_MOST];

static _Atomic uint32_t reports;
static _Atomic uint32_t said[STELE_NR_RANKS]; /* a bit for each that was held; 0 for none */
_Static_assert(STELE_NR_RANKS <= 32, "a bit for each rank");

/* Weak: a program may have no function that never waits. */
extern const char __start_stele_never_waits[] __attribute__((weak, visibility("hidden")));
extern const char __stop_stele_never_waits[] __attribute__((weak, visibility("hidden")));

#define AS_NAME(NAME, name, ...) [STELE_RANK_##NAME] = name,
static const char *const names[] = { STELE_RANK_TABLE(AS_NAME) };
#undef AS_NAME
#define AS_WAITS(NAME, name, where, waits, ...) [STELE_RANK_##NAME] = STELE_RANK_##waits,
static const uint8_t waits_of[] = { STELE_RANK_TABLE(AS_WAITS) };
#undef AS_WAITS

/* ---- reports ---- */

static void say_trail(const char *name, const char *how, const uintptr_t *trail, unsigned n)
{
	char text[STELE_SAY_MAX];
	struct stele_out out;

	stele_out_init(&out, text, sizeof(text));
	stele_trail_show(&out, trail, n);
	stele_say("stele: lock order: '%s' %s%s\n", name, how, text);
}

static void say_waiter(enum stele_rank rank, const void *frame)
{
	struct trail trail = trail_from(frame);
	uintptr_t at[SHOWN_FRAMES];

	stele_trail_take(&trail, at, SHOWN_FRAMES);
	say_trail(names[rank], "is waited for by", at, SHOWN_FRAMES);
}

static bool is_new(enum stele_rank rank, enum stele_rank other)
{
	return !(or_relaxed(&said[rank], 1u << other) & 1u << other);
}

static void order_reported(void)
{
	add_relaxed(&reports, 1);
	if (stele_opt.abort_on_error || stele_opt.on_error == STELE_ACTION_ABORT ||
	    stele_opt.abort_on_order)
		abort();
}

static void report_order(enum stele_rank rank, const struct held *held, const void *frame)
{
	enum stele_rank other = held->mutex->rank;

	if (!is_new(rank, other))
		return;
	stele_say("stele: lock order: '%s' (rank %d) is waited for while '%s' (rank %d) is held\n",
		  names[rank], rank, names[other], other);
	say_trail(names[other], "was taken by", held->trail, HELD_FRAMES);
	say_waiter(rank, frame);
	order_reported();
}

/* @trail goes on above the function that never waits. */
static void report_context(enum stele_rank rank, struct trail *trail, const void *frame)
{
	uintptr_t at[SHOWN_FRAMES];

	if (!is_new(rank, STELE_RANK_NONE))
		return;
	stele_say("stele: lock order: '%s' (rank %d) is waited for in a call that never waits\n",
		  names[rank], rank);
	stele_trail_take(trail, at, SHOWN_FRAMES);
	say_trail(names[rank], "may not be, as the call was made by", at, SHOWN_FRAMES);
	say_waiter(rank, frame);
	order_reported();
}

/* ---- the checks ---- */

static uint64_t this_thread(void)
{
	return stele_os_own(stele_os_thread());
}

static bool is_free(uint64_t holder)
{
	/* A lock of a parent's thread is not held here. */
	return holder >> 32 != stele_os_process();
}

/* The innermost lock that this thread holds. */
static const struct held *innermost(void)
{
	const struct held *found = NULL;
	uint64_t me = this_thread();

	for (unsigned i = 0; i < HELD_MOST; i++)
		if (load_relaxed(&record[i].holder) == me &&
		    (!found || record[i].mutex->rank > found->mutex->rank))
			found = &record[i];
	return found;
}

static void check_order(enum stele_rank rank, const void *frame)
{
	const struct held *held = innermost();

	if (held && held->mutex->rank >= rank)
		report_order(rank, held, frame);
}

static bool never_waits(uintptr_t address)
{
	return address >= (uintptr_t)__start_stele_never_waits &&
	       address < (uintptr_t)__stop_stele_never_waits;
}

static void check_context(enum stele_rank rank, const void *frame)
{
	struct trail trail = trail_from(frame);
	uintptr_t at;

	if (waits_of[rank] != STELE_RANK_ORDINARY)
		return;
	do
		at = stele_trail_next(&trail);
	while (at && !never_waits(at));
	if (at)
		report_context(rank, &trail, frame);
}

void stele_held_wait(const struct stele_mutex *mutex, const void *frame)
{
	if (!mutex->rank)
		return;
	check_order(mutex->rank, frame);
	check_context(mutex->rank, frame);
}

/* ---- the record ---- */

void stele_held_add(const struct stele_mutex *mutex, const void *frame)
{
	struct trail trail = trail_from(frame);
	uint64_t me = this_thread();

	for (unsigned i = 0; mutex->rank && i < HELD_MOST; i++) {
		uint64_t seen = load_relaxed(&record[i].holder);

		/* ORDER(MUTEX) acquire: the entry's last owner is done with it. */
		if (!is_free(seen) || !cas_acquire(&record[i].holder, &seen, me))
			continue;
		record[i].mutex = mutex;
		stele_trail_take(&trail, record[i].trail, HELD_FRAMES);
		return;
	}
}

void stele_held_remove(const struct stele_mutex *mutex)
{
	uint64_t me = this_thread();

	for (unsigned i = 0; i < HELD_MOST; i++)
		if (load_relaxed(&record[i].holder) == me && record[i].mutex == mutex)
			/* ORDER(MUTEX) release */
			store_release(&record[i].holder, 0);
}

void stele_held_again(const struct stele_mutex *mutex)
{
	for (unsigned i = 0; i < HELD_MOST; i++)
		if (load_relaxed(&record[i].holder) && record[i].mutex == mutex)
			store_relaxed(&record[i].holder, this_thread());
}

void stele_held_gone(uint32_t thread)
{
	for (unsigned i = 0; i < HELD_MOST; i++) {
		uint64_t gone = stele_os_own(thread);

		cas_release(&record[i].holder, &gone, 0); /* ORDER(MUTEX) release */
	}
}

uint32_t stele_held_reports(void)
{
	return load_relaxed(&reports);
}

unsigned stele_held_count(void)
{
	unsigned n = 0;

	for (unsigned i = 0; i < HELD_MOST; i++)
		n += load_relaxed(&record[i].holder) == this_thread();
	return n;
}
