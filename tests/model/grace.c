/* SPDX-License-Identifier: MIT */
/*
 * tests/model/grace.c - sync/grace.h: a call that was put is made once, before its ticket is done
 *
 * Idea      Two threads put calls into the queue and wait for the round that their tickets name; a
 *           third runs rounds. A call is a plain payload that the putter leaves and the
 *           runner takes. There are no readers here: tests/model/handover.pml has them.
 * Broken    GRACE_PUT, GRACE_TAKE  the queue's order relaxed: the payload is raced for (TSan)
 *           GRACE_TICKET  a thread that waits, waits for the round under way
 *           GRACE_BEGUN   a round is counted after its queue was taken
 */
#ifdef BROKEN_GRACE_PUT
#define ORDER_GRACE_PUT memory_order_relaxed
#endif
#ifdef BROKEN_GRACE_TAKE
#define ORDER_GRACE_TAKE memory_order_relaxed
#endif
#include "model.h"
#include "sync/grace.h"
#include <string.h>

#define PUTTERS (MODEL_THREADS - 1)
#define RUNNER MODEL_THREADS

struct thing {
	struct stele_grace_call call;
	struct payload payload;
	_Atomic int called; /* relaxed: the ticket orders it */
};

static struct stele_grace grace;
static struct thing things[PUTTERS][MODEL_STEPS];
static _Atomic int putters;

static void call_taken(struct stele_grace_link *link)
{
	while (link) {
		struct thing *thing = (struct thing *)link;

		link = load_relaxed(&link->next);
		payload_take(&thing->payload, RUNNER);
		model_assert(load_relaxed(&thing->called) == 0);
		store_relaxed(&thing->called, 1);
	}
}

static void round_once(void)
{
#ifdef BROKEN_GRACE_BEGUN
	struct stele_grace_link *taken = grace_take(&grace.calls);
	uint32_t round;

	STELE_POINT("model:begun");
	round = grace_begin(&grace);
#else
	uint32_t round = grace_begin(&grace);
	struct stele_grace_link *taken = grace_take(&grace.calls);
#endif

	STELE_POINT("model:taken");
	call_taken(taken);
	grace_end(&grace, round);
}

static uint32_t ticket(void)
{
#ifdef BROKEN_GRACE_TICKET
	return grace_ticket(&grace) - 1;
#else
	return grace_ticket(&grace);
#endif
}

static void put_and_wait(int me, int step)
{
	struct thing *thing = &things[me - 1][step];
	uint32_t round;

	payload_take(&thing->payload, me);
	payload_leave(&thing->payload, me);
	grace_put(&grace.calls, &thing->call.link);
	round = ticket();
#if MODEL_NATIVE
	while (!grace_is_done(&grace, round))
		sched_yield();
	model_assert(load_relaxed(&thing->called) == 1);
#else
	if (grace_is_done(&grace, round))
		model_assert(load_relaxed(&thing->called) == 1);
#endif
}

static void model_thread(int me)
{
	if (me == RUNNER) {
#if MODEL_NATIVE
		while (load_relaxed(&putters))
			round_once();
#else
		round_once();
		round_once();
#endif
		return;
	}
	for (int step = 0; step < MODEL_STEPS; step++)
		put_and_wait(me, step);
	atomic_fetch_sub(&putters, 1);
}

static void model_setup(void)
{
	memset(&grace, 0, sizeof(grace));
	putters = PUTTERS;
	for (int i = 0; i < PUTTERS; i++)
		for (int step = 0; step < MODEL_STEPS; step++)
			memset(&things[i][step], 0, sizeof(things[i][step]));
}

static void model_check(void)
{
	call_taken(grace_take(&grace.calls));
	for (int i = 0; i < PUTTERS; i++)
		for (int step = 0; step < MODEL_STEPS; step++)
			model_assert(load_relaxed(&things[i][step].called) == 1);
}
