/* SPDX-License-Identifier: MIT */
/*
 * tests/contract/rcu_left.h - what the tests of threads that leave or wait share
 *
 * Idea      leave() is a handler that jumps out of the call that it interrupted. Afterwards
 *           others_go_on() and barriers_are_short() show that no thread is held up. Where
 *           no_threads refuses the library its runner, each thread that waits for readers does the
 *           work.
 */
#ifndef STELE_TESTS_CONTRACT_RCU_LEFT_H
#define STELE_TESTS_CONTRACT_RCU_LEFT_H

#include "../nap.h"
#include "../toy_flavor.h"
#include "contract.h"
#include "no_threads.h"
#include "rcu/rcu.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

struct item {
	unsigned long value[7];
	struct kvfree_rcu_head rcu;
};

#include "items.h"

static inline double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* ---- leaving ---- */

static _Thread_local sigjmp_buf out;
static _Thread_local volatile bool may_leave;
static _Atomic unsigned long left;

/* The next signal may come while this one leaves: handlers that leave must not pile up. */
static inline void leave(int signal)
{
	(void)signal;
	if (!may_leave)
		return;
	left++;
	may_leave = false;
	siglongjmp(out, 1);
}

static inline void leave_on(int number)
{
	struct sigaction action = { .sa_handler = leave };

	assert_int_equal(sigaction(number, &action, NULL), 0);
}

/* ---- nobody is held up ---- */

static _Atomic bool back;

static inline void *barrier_of(void *arg)
{
	kvfree_rcu_barrier_on_cache(arg);
	back = true;
	return NULL;
}

/* First without a barrier: an object that another thread gives away wakes the runner. */
static inline void others_go_on(void)
{
	struct kmem_cache *mine =
		kmem_cache_create("mine", sizeof(struct item), NULL, SLAB_NO_MERGE);
	uint64_t rounds = stats_now().rcu_rounds;
	pthread_t waiter;
	double end;

	for (int i = 0; i < 300; i++)
		give(mine);
	for (end = seconds() + 8; stats_now().rcu_rounds == rounds && seconds() < end;)
		nap_ms(1);
	assert_true(stats_now().rcu_rounds > rounds);
	back = false;
	give(mine);
	pthread_create(&waiter, NULL, barrier_of, mine);
	for (end = seconds() + 8; !back && seconds() < end;)
		nap_ms(1);
	assert_true(back);
	pthread_join(waiter, NULL);
	kmem_cache_destroy(mine);
}

/* The shortest of some: the machine may be busy, but a wait for a thread that is gone takes a second. */
static inline void barriers_are_short(void)
{
	double shortest = 10;

	for (int i = 0; i < 4; i++) {
		double begun = seconds(), took;

		kvfree_rcu_barrier();
		kmem_cache_destroy(kmem_cache_create("brief", 40, NULL, SLAB_NO_MERGE));
		took = seconds() - begun;
		shortest = took < shortest ? took : shortest;
	}
	assert_true(shortest < 0.9);
}

/* ---- readers ---- */

static const struct rcu_flavor_struct asking_nobody = {
	.read_ongoing = toy_read_ongoing,
	.update_synchronize_rcu = toy_synchronize,
};

static inline struct kmem_cache *cache_of(const char *name, const struct rcu_flavor_struct *flavor,
					  void (*dtor)(void *))
{
	struct kmem_cache_args args = { .rcu_flavor = flavor, .dtor = dtor };

	return kmem_cache_create(name, sizeof(struct item), &args, SLAB_TYPESAFE_BY_RCU);
}

#endif
