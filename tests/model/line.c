/* SPDX-License-Identifier: MIT */
/*
 * tests/model/line.c - percpu/line.h: a line of words has one cache, and a locked line one holder
 *
 * Idea      Two threads take the one free line, use its word and give it back. Two threads of the
 *           fallback use a slot's line under its lock; a third closes the slot and empties the
 *           line. A sheaf in the line is a plain payload. Runs the shipped code.
 * Broken    LINE_SHOWN   a thread that has the lock does not look whether the slot is shown
 *           LINE_EARLY   the slot is emptied, then closed
 *           LINE_TAKE, LINE_GIVE      the order between two caches relaxed (TSan)
 *           LINE_LOCK, LINE_UNLOCK    the order between two holders relaxed (TSan)
 */
#ifdef BROKEN_LINE_TAKE
#define ORDER_LINE_TAKE memory_order_relaxed
#endif
#ifdef BROKEN_LINE_GIVE
#define ORDER_LINE_GIVE memory_order_relaxed
#endif
#ifdef BROKEN_LINE_LOCK
#define ORDER_LINE_LOCK memory_order_relaxed
#endif
#ifdef BROKEN_LINE_UNLOCK
#define ORDER_LINE_UNLOCK memory_order_relaxed
#endif
#define MODEL_THREADS 3
#include "model.h"
#include "percpu/line.h"
#include "percpu/show.h"

enum { UNUSED = 1, CLOSED, MEMORY };

static _Atomic uint64_t taken; /* all but line 1 */
static struct payload line;    /* what the cache of line 1 has there */
static _Atomic uint64_t entry, lock;
static struct payload rests;	  /* in the slot's line: under its lock */
static _Atomic uint32_t attached; /* something is there */

static void use_line(int me)
{
	int bit = line_take(&taken);

	if (bit < 0)
		return;
	model_assert(bit == 1);
	payload_take(&line, me);
	STELE_POINT("model:line");
	payload_leave(&line, me);
	line_give(&taken, (unsigned)bit);
}

/* ---- the fallback's lock ---- */

static bool is_shown(uint64_t base)
{
#ifdef BROKEN_LINE_SHOWN
	(void)base;
	return true;
#else
	return line_is_shown(&entry, base);
#endif
}

/* As lock_line() of percpu/fallback.c. */
static void use_slot(int me)
{
	uint64_t base = load_acquire(&entry);

	STELE_POINT("model:read");
	if (base != MEMORY || !line_trylock(&lock, (uint64_t)me))
		return;
	if (is_shown(base)) {
		payload_take(&rests, me);
		store_relaxed(&attached, 1);
		STELE_POINT("model:locked");
		payload_leave(&rests, me);
	}
	line_unlock(&lock);
}

static void empty_line(int me)
{
	while (!line_trylock(&lock, (uint64_t)me))
		STELE_POINT("model:waits");
	payload_take(&rests, me);
	store_relaxed(&attached, 0);
	payload_leave(&rests, me);
	line_unlock(&lock);
}

/* As a slot that goes with its CPU: from its emptying to its opening nothing comes there. */
static void close_and_open(int me)
{
#ifdef BROKEN_LINE_EARLY
	empty_line(me);
	STELE_POINT("model:early");
	show_close(&entry, CLOSED);
#else
	show_close(&entry, CLOSED);
	STELE_POINT("model:closed");
	empty_line(me);
#endif
	STELE_POINT("model:emptied");
	model_assert(!load_relaxed(&attached));
	show_open(&entry, CLOSED, UNUSED);
	show_first(&entry, UNUSED, MEMORY);
}

static void model_thread(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		if (me != 3)
			use_line(me);
		if (me != 1)
			use_slot(me);
		else
			close_and_open(me);
	}
}

static void model_setup(void)
{
	atomic_store(&taken, ~2ull);
	atomic_store(&entry, MEMORY);
	atomic_store(&lock, 0);
}

static void model_check(void)
{
	model_assert(load_relaxed(&taken) == ~2ull);
	model_assert(load_relaxed(&entry) == MEMORY);
}
