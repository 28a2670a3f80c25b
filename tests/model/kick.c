/* SPDX-License-Identifier: MIT */
/*
 * tests/model/kick.c - ORDER(KICK): no word that was left is lost, weak memory
 *
 * Idea      One waits for two elements; two threads bring one each. Whichever has the queue's lock
 *           while the other one brings its element: at the end the waiter has both. Includes
 *           mempool/queue.h and mempool/reserve.h.
 * Broken    KICK_WORD      a bringer that finds the lock held leaves no word
 *           KICK_ORDER     word is left and taken back relaxed (GenMC)
 *           KICK_FENCE     no fences: word and lock pass each other (GenMC)
 */
#ifdef BROKEN_KICK_ORDER
#define ORDER_KICK_WORD memory_order_relaxed
#endif
#ifdef BROKEN_KICK_FENCE
#define FENCE_KICK() ((void)0)
#endif
#define MODEL_THREADS 2
#include "waiting.h"

static struct payload elements[2];
static struct waiter waiter;
static void *got[2];

static void model_thread(int me)
{
	bring(&elements[me - 1]);
}

static void model_setup(void)
{
	queue_setup(2);
	begin_to_wait(&waiter, got, 2);
}

static void model_check(void)
{
	check_served(&waiter, got, 2);
}
