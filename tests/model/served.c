/* SPDX-License-Identifier: MIT */
/*
 * tests/model/served.c - ORDER(MEMPOOL): a waiter that has its element tells of it
 *
 * Idea      The first litmus test of docs/orders-memory.md, with the queue between: one thread
 *           brings the only element, the second takes it or waits for it, then tells of it by a
 *           relaxed store. The third is told by a relaxed load and frees it: it must not find the reserve
 *           full, as it was before the waiter got it. The first one is done with the element
 *           when the waiter has it.
 * Broken    TOLD_FIRST  the second thread tells of the element that it sees there, then takes it
 *           TAKEN       no fence after taking. Weak memory alone shows it, and ThreadSanitizer knows
 *                       no fences: GenMC
 *           FREED       no fence where freeing begins: likewise
 */
#ifdef BROKEN_TAKEN
#define FENCE_TAKEN() ((void)0)
#endif
#define WAIT_PLACES 1u
#include "waiting.h"

static struct payload element;
static struct waiting one;
static _Atomic(void *) told;

#define LOOKS (MODEL_NATIVE ? 64 : 1)

static void *look_for_news(void)
{
	void *p = NULL;

	for (int i = 0; !p && i < LOOKS; i++) {
		p = load_relaxed(&told);
		STELE_POINT("model:told");
	}
	return p;
}

/* As mempool_free(). */
static void free_what_is_told(void)
{
	void *p = look_for_news();

	if (!p)
		return;
#ifndef BROKEN_FREED
	fence_acquire();
#endif
	model_assert(!reserve_is_full(load_relaxed(&reserve.counts)));
	model_assert(reserve_put(&reserve, p));
}

static void use(void *p, int me)
{
	payload_take(p, me);
	payload_leave(p, me);
}

static bool take_or_wait(int me)
{
#ifdef BROKEN_TOLD_FIRST
	if (reserve_is_full(load_relaxed(&reserve.counts)))
		store_relaxed(&told, &element);
	STELE_POINT("model:told-first");
#endif
	one.over = reserve_take(&reserve, one.got, 1);
	if (!one.over) {
		begin_to_wait(&one, me, 1, 1);
		look(&one);
	}
	return one.over;
}

static void model_thread(int me)
{
	if (me == 1) {
		use(&element, me);
		bring(&element);
	} else if (me == 2) {
		if (!take_or_wait(me))
			return;
		use(one.got[0], me);
		store_relaxed(&told, one.got[0]);
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
	while (goes_on(&one))
		;
	model_assert(one.over && one.got[0] == &element);
	queue_check();
}
