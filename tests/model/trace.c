/* SPDX-License-Identifier: MIT */
/*
 * tests/model/trace.c - ORDER(TRACE): after a removal nobody is in the callback, nor will be
 *
 * Idea      One thread registers what it has just written and takes it away again; the others make
 *           events. The argument of the callback is plain: the owner's before it is shown and after
 *           nobody is left, the callers' in between (they write a field each).
 * Restated  The order of the calls of trace/entry.h, which are shipped, follows
 *           stele_trace_register(), stele_trace_unregister() and call_place() of trace/trace.c. That
 *           file finds records by the kernel's number of a thread, holds signals back and sleeps.
 * Dying     A caller may die when it has announced itself, or inside. It then writes no more, and
 *           the removal learns that it is gone; it is never waited for.
 * Broken    TRACE_LOOK     an event does not look again after it has announced itself
 *           TRACE_WAIT     a removal does not wait for those inside
 *           TRACE_OFF      a removal does not call off a call that is only announced
 *           TRACE_SHOW     the place is shown relaxed: its argument may not be there (GenMC)
 *           TRACE_LEAVE    leaving is relaxed: the callback's work is not over (GenMC)
 *           TRACE_ANNOUNCE announcing is relaxed: call and removal pass each other (GenMC)
 */
#ifdef BROKEN_TRACE_SHOW
#define ORDER_TRACE_SHOW memory_order_relaxed
#endif
#ifdef BROKEN_TRACE_LEAVE
#define ORDER_TRACE_LEAVE memory_order_relaxed
#endif
#ifdef BROKEN_TRACE_ANNOUNCE
#define ORDER_TRACE_ANNOUNCE memory_order_relaxed
#endif
#ifndef MODEL_ROUNDS
#define MODEL_THREADS 2
#define MODEL_STEPS 1
#endif
#include "model.h"
#include "trace/entry.h"

#define EVENT 1u
#define PLACE 0

enum fate { LIVES, DIES_ANNOUNCED, DIES_INSIDE, FATES };
#ifndef MODEL_FATE /* for a checker: of the one caller */
#define MODEL_FATE LIVES
#endif

static struct trace_entry entry;
static trace_record_t records[MODEL_THREADS + 1];
static _Atomic uint32_t gone[MODEL_THREADS + 1];
static struct lent {
	volatile int alive;
	volatile int calls[MODEL_THREADS + 1];
} lent;

/* One in so many that come natively. */
#define DIES 64

static enum fate draw_fate(void)
{
	unsigned drawn = MODEL_NATIVE ? model_choice(DIES) : MODEL_FATE;

	return drawn < FATES ? (enum fate)drawn : LIVES;
}

static void callback(struct lent *mine, int me)
{
	model_assert(mine->alive);
	STELE_POINT("model:in-callback");
	mine->calls[me]++;
	model_assert(mine->alive);
}

static bool enter(int me)
{
#ifdef BROKEN_TRACE_LOOK
	atomic_fetch_add(&records[me], trace_one_inside(PLACE));
	return true;
#else
	return trace_enter(&records[me], &entry, PLACE, EVENT);
#endif
}

/* False: it died. */
static bool event(int me)
{
	enum fate fate = draw_fate();

	if (!(load_relaxed(&entry.wanted) & EVENT))
		return true;
	STELE_POINT("model:seen");
	store_relaxed(&records[me], trace_new_record((uint32_t)me));
	if (fate == DIES_ANNOUNCED) {
		atomic_fetch_or(&records[me], trace_announcement(PLACE));
		store_release(&gone[me], 1);
		return false;
	}
	if (enter(me)) {
		callback(entry.arg, me);
		if (fate == DIES_INSIDE) {
			store_release(&gone[me], 1);
			return false;
		}
		trace_leave(&records[me], &entry, PLACE);
	}
	atomic_store_explicit(&records[me], 0, ORDER_TRACE_LEAVE);
	return true;
}

static __attribute__((unused)) void wait_for_callers(void)
{
	for (int i = 2; i <= MODEL_THREADS; i++) {
#ifndef BROKEN_TRACE_OFF
		trace_call_off(&records[i], PLACE);
#endif
		while (trace_is_inside(load_seq(&records[i]), PLACE) && !load_acquire(&gone[i]))
			STELE_POINT("model:waits");
	}
}

static void come_and_go(void)
{
	entry.arg = &lent;
	lent.alive = 1;
	trace_show(&entry, EVENT);
	STELE_POINT("model:shown");
	trace_hide(&entry);
#ifndef BROKEN_TRACE_WAIT
	wait_for_callers();
#endif
	lent.alive = 0;
	STELE_POINT("model:gone");
	for (int i = 0; i <= MODEL_THREADS; i++)
		lent.calls[i] = 0;
	entry.arg = NULL;
}

static void model_thread(int me)
{
	bool lives = true;

	for (int step = 0; lives && step < MODEL_STEPS; step++) {
		if (me == 1)
			come_and_go();
		else
			lives = event(me);
	}
}

static void model_setup(void)
{
	store_relaxed(&entry.wanted, 0);
	for (int i = 0; i <= MODEL_THREADS; i++) {
		store_relaxed(&records[i], 0);
		store_relaxed(&gone[i], 0);
	}
}

static void model_check(void)
{
	model_assert(!lent.alive);
	for (int i = 2; i <= MODEL_THREADS; i++)
		model_assert(load_relaxed(&gone[i]) || !load_relaxed(&records[i]));
}
