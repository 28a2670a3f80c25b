/* SPDX-License-Identifier: MIT */
/*
 * tests/model/show.c - percpu/show.h: a slot that is emptied is reached by nobody else
 *
 * Idea      One slot, whose memory is a plain payload. A user runs steps on it, and shows it at its
 *           first use. The writer of the CPU set closes it, empties it, and opens it again. A
 *           taker pauses it for a cold look, empties it, and shows it again. Closing and pausing
 *           exclude each other by `taking`; opening needs no lock. Runs the shipped code.
 * Broken    SHOW_OPEN     the writer opens whatever is not shown, a paused slot too
 *           SHOW_FIRST    a slot is shown at its first use whatever its entry has become
 *           SHOW_BARRIER  no barrier after a pause: a step is still under way
 *           SHOW_TAKER    a pause beside a closing: two threads empty the slot
 *           SLOT_READY    shown without release (TSan)
 */
#ifdef BROKEN_SLOT_READY
#define ORDER_SLOT_READY memory_order_relaxed
#endif
#include "model.h"
#include "percpu/show.h"

enum { UNUSED = 1, CLOSED, PAUSED, MEMORY };

static _Atomic uint64_t entry;
static struct payload memory; /* for the thread at the slot's words */
static _Atomic uint32_t turn; /* odd: a step is under way (tests/model/slot.h) */
static _Atomic uint32_t taking;

static bool begin_taking(void)
{
#ifdef BROKEN_SHOW_TAKER
	return true;
#else
	uint32_t no = 0;

	return cas_acquire(&taking, &no, 1);
#endif
}

static void end_taking(void)
{
	store_release(&taking, 0);
}

/* A step that is under way ends, and a later one sees what the entry has become. */
static void barrier(void)
{
#ifndef BROKEN_SHOW_BARRIER
	uint32_t seen = atomic_fetch_add_explicit(&turn, 0, memory_order_acq_rel);

	while (seen & 1 && load_acquire(&turn) == seen)
		STELE_POINT("model:barrier");
#endif
}

static void first_use(uint64_t seen)
{
	(void)seen;
	STELE_POINT("model:first");
#ifdef BROKEN_SHOW_FIRST
	atomic_store(&entry, MEMORY);
#else
	show_first(&entry, UNUSED, MEMORY);
#endif
}

static void use(int me)
{
	uint64_t seen = load_acquire(&entry);
	uint32_t now;

	if (seen == UNUSED)
		first_use(seen);
	now = load_relaxed(&turn);
	if (now & 1 || !cas_acquire(&turn, &now, now + 1))
		return;
	if (load_acquire(&entry) == MEMORY) {
		payload_take(&memory, me);
		STELE_POINT("model:step");
		payload_leave(&memory, me);
	}
	atomic_fetch_add_explicit(&turn, 1, memory_order_release);
}

static void empty(int me)
{
	payload_take(&memory, me);
	for (int i = 0; i < (MODEL_NATIVE ? 8 : 1); i++) /* longer than a first use */
		STELE_POINT("model:emptying");
	payload_leave(&memory, me);
}

static void open(void)
{
#ifdef BROKEN_SHOW_OPEN
	uint64_t seen = load_relaxed(&entry);

	if (seen != MEMORY)
		cas_release(&entry, &seen, UNUSED);
#else
	show_open(&entry, CLOSED, UNUSED);
#endif
}

/* The writer: the taker while it closes and while it empties, not in between. */
static void go_and_come(int me)
{
	if (begin_taking()) {
		show_close(&entry, CLOSED);
		barrier();
		end_taking();
		STELE_POINT("model:closed");
		if (begin_taking()) {
			empty(me);
			end_taking();
		}
	}
	open();
}

static void look(int me)
{
	if (!begin_taking())
		return;
	if (show_pause(&entry, MEMORY, PAUSED)) {
		barrier();
		empty(me);
		show_again(&entry, PAUSED, MEMORY);
	}
	end_taking();
}

static void model_thread(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		STELE_POINT("model:next"); /* else the user is done before the others begin */
		if (me == 1)
			use(me);
		else if (me == 2)
			go_and_come(me);
		else
			look(me);
	}
}

static void model_setup(void)
{
	atomic_store(&entry, MEMORY);
	atomic_store(&taking, 0);
	atomic_store(&turn, 0);
	memory.holder = 0;
}

static void model_check(void)
{
	model_assert(load_relaxed(&entry) == MEMORY || load_relaxed(&entry) == UNUSED);
}
