/* SPDX-License-Identifier: MIT */
/*
 * tests/model/waiting.c - ORDER(WAITING): no newcomer is forgotten, weak memory
 *
 * Idea      One thread brings two elements, one after the other; the second thread comes to wait
 *           for both (under a model checker there is one). Whoever is first at each step: at the end the waiter has them. Includes
 *           mempool/queue.h and mempool/reserve.h; interleavings alone, with more threads and a
 *           changing limit, are in mempool.pml.
 * Broken    WAITING_LOOK   a bringer looks for waiters before its element is counted
 *           WAITING_JOIN   joining is relaxed: bringer and waiter pass each other (GenMC)
 *           WAITING_COUNT  counting is not sequentially consistent: likewise (GenMC)
 */
#ifdef BROKEN_WAITING_JOIN
#define ORDER_WAITING_JOIN memory_order_relaxed
#endif
#ifdef BROKEN_WAITING_COUNT
#define ORDER_RESERVE_COUNT memory_order_release
#endif
#define MODEL_THREADS 2
#include "waiting.h"

#define ELEMENTS (MODEL_NATIVE ? 2 : 1)

static struct payload elements[2];
static struct waiter waiter;
static void *got[2];

static void model_thread(int me)
{
	if (me == 1) {
		begin_to_wait(&waiter, got, ELEMENTS);
	} else {
		for (int i = 0; i < ELEMENTS; i++)
			bring(&elements[i]);
	}
}

static void model_setup(void)
{
	queue_setup(ELEMENTS);
}

static void model_check(void)
{
	check_served(&waiter, got, ELEMENTS);
}
