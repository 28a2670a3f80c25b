/* SPDX-License-Identifier: MIT */
/*
 * tests/model/trace.c - ORDER(TRACE): after a removal nobody is in the callback, nor will be
 *
 * Idea      One thread registers what it has just written and takes it away again; two make
 *           events. What the callback is given is plain: the owner's before it is shown and after
 *           nobody is left, the callers' in between (they write a field each). Follows
 *           stele_trace_register(), stele_trace_unregister() and call_place().
 * Broken    TRACE_LOOK    an event does not look again after it has counted itself in
 *           TRACE_WAIT    a removal does not wait for those inside
 *           TRACE_SHOW    the place is shown relaxed: its argument may not be there (TSan)
 *           TRACE_LEAVE   leaving is relaxed: what the callback did is not over (TSan)
 */
#ifdef BROKEN_TRACE_SHOW
#define ORDER_TRACE_SHOW memory_order_relaxed
#endif
#ifdef BROKEN_TRACE_LEAVE
#define ORDER_TRACE_LEAVE memory_order_relaxed
#endif
#include "model.h"
#include "trace/entry.h"

#define EVENT 1u

static struct trace_entry entry;
static struct lent {
	volatile int alive;
	volatile int calls[MODEL_THREADS + 1];
} lent;

static void callback(struct lent *mine, int me)
{
	model_assert(mine->alive);
	STELE_POINT("model:in-callback");
	mine->calls[me]++;
	model_assert(mine->alive);
}

static void event(int me)
{
	bool wanted = load_relaxed(&entry.wanted) & EVENT;

	if (!wanted)
		return;
	STELE_POINT("model:seen");
#ifdef BROKEN_TRACE_LOOK
	trace_enter(&entry, EVENT);
	callback(&lent, me);
#else
	if (trace_enter(&entry, EVENT))
		callback(entry.arg, me);
#endif
	trace_leave(&entry);
}

static void come_and_go(void)
{
	entry.arg = &lent;
	lent.alive = 1;
	trace_show(&entry, EVENT);
	STELE_POINT("model:shown");
	trace_hide(&entry);
#ifndef BROKEN_TRACE_WAIT
	while (trace_running(&entry))
		STELE_POINT("model:waits");
#endif
	lent.alive = 0;
	for (int i = 0; i <= MODEL_THREADS; i++)
		lent.calls[i] = 0;
	entry.arg = NULL;
}

static void model_thread(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		if (me == 1)
			come_and_go();
		else
			event(me);
	}
}

static void model_setup(void)
{
	store_relaxed(&entry.wanted, 0);
	store_relaxed(&entry.running, 0);
}

static void model_check(void)
{
	model_assert(!lent.alive && !load_relaxed(&entry.running));
}
