/* SPDX-License-Identifier: MIT */
/*
 * tests/model/served.c - ORDER(MEMPOOL), ORDER(SERVED): a waiter that was served tells of it
 *
 * Idea      The first litmus test of docs/memory-model.md, with the queue between: one thread
 *           brings the only element, the second waits and is served by itself or by the first,
 *           then tells of the element by a relaxed store. The third is told by a relaxed load and
 *           frees it: it must not find the reserve full, as it was before the waiter got it.
 *           What the first one did to the element is over when the waiter has it.
 * Broken    TOLD           no fence once the waiter is served: the counts are another's (GenMC)
 *           FREED          no fence where freeing begins (GenMC)
 */
#ifdef BROKEN_TOLD
#define FENCE_TOLD() ((void)0)
#endif
#include "waiting.h"

static struct payload element;
static struct waiter waiter;
static void *got;
static _Atomic(void *) told;

/* As mempool_free(). */
static void free_what_is_told(void)
{
	void *p = load_relaxed(&told);

	if (!p)
		return;
#ifndef BROKEN_FREED
	fence_acquire();
#endif
	model_assert(!reserve_is_full(load_relaxed(&reserve.counts)));
	model_assert(reserve_put(&reserve, p));
}

static void model_thread(int me)
{
	if (me == 1) {
		payload_take(&element, me);
		payload_leave(&element, me);
		bring(&element);
	} else if (me == 2) {
		begin_to_wait(&waiter, &got, 1);
		if (!waiter_is_served(&waiter))
			return;
		payload_take(got, me);
		payload_leave(got, me);
		store_relaxed(&told, got);
	} else {
		free_what_is_told();
	}
}

static void model_setup(void)
{
	queue_setup(1);
	store_relaxed(&told, NULL);
}

static void model_check(void)
{
	model_assert(waiter_is_served(&waiter) && got == &element);
	model_assert(!load_relaxed(&queue.waiting) && !queue.first);
}
