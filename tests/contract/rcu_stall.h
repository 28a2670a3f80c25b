/* SPDX-License-Identifier: MIT */
/*
 * tests/contract/rcu_stall.h - a thread that stalls in a round of grace periods, and the others
 *
 * Idea      stall() holds its thread up until the test lets it go on. others_go_on() shows that objects
 *           which other threads give to kfree_rcu() are freed all the same, that rcu_max bounds them,
 *           and that their caches end. The readers are the test's own. Each case has half a minute.
 */
#ifndef STELE_TESTS_CONTRACT_RCU_STALL_H
#define STELE_TESTS_CONTRACT_RCU_STALL_H

#include "../nap.h"
#include "../toy_flavor.h"
#include "base/options.h"
#include "contract.h"
#include "no_threads.h"
#include "rcu/rcu.h"
#include "sync/atomic.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stele/rcu.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_AT_MOST 20 /* the machine may be busy */
#define BOUND (64 << 10)   /* of rcu_max, here */

struct item {
	unsigned long value[15];
	struct kvfree_rcu_head rcu;
};

/* ---- a thread that stalls ---- */

static sem_t there, go_on;
static _Atomic bool stalls;

static inline void stall(void)
{
	sem_post(&there);
	while (sem_wait(&go_on) != 0)
		;
}

static inline void stall_once(void *object)
{
	(void)object;
	if (atomic_exchange(&stalls, false))
		stall();
}

static inline void wait_until_there(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SECONDS_AT_MOST;
	assert_int_equal(sem_timedwait(&there, &until), 0);
}

/* ---- what others do meanwhile ---- */

static inline struct kmem_cache *typesafe(const char *name, void (*dtor)(void *))
{
	struct kmem_cache_args args = { .dtor = dtor };

	return kmem_cache_create(name, sizeof(struct item), &args,
				 SLAB_TYPESAFE_BY_RCU | SLAB_NO_MERGE);
}

static inline uint64_t waiting_bytes(void)
{
	return load_relaxed(&stele_graces[0].waiting);
}

/* In the end no more objects wait than rcu_max allows: each call waited for that, or another call
 * did. */
static inline void flood(struct kmem_cache *s)
{
	time_t end = time(NULL) + SECONDS_AT_MOST;

	for (int i = 0; i < 20000; i++) {
		struct item *p = kmem_cache_alloc(s, 0);

		kfree_rcu(p, rcu);
		assert_true(time(NULL) < end);
	}
	while (waiting_bytes() > BOUND) {
		struct item *p = kmem_cache_alloc(s, 0);

		assert_true(time(NULL) < end);
		kfree_rcu_mightsleep(p);
	}
}

/* Each call comes back within the bound, or the alarm rings. */
static inline void others_go_on_beside_a_stall(void)
{
	struct kmem_cache *plain =
		kmem_cache_create("plain", sizeof(struct item), NULL, SLAB_NO_MERGE);
	struct kmem_cache *safe = typesafe("safe", NULL);

	flood(plain);
	kvfree_rcu_barrier_on_cache(plain);
	for (int i = 0; i < 100; i++)
		kmem_cache_free(safe, kmem_cache_alloc(safe, 0));
	kmem_cache_destroy(safe);
	kmem_cache_destroy(plain);
}

static _Atomic bool back;

static inline void *wait_for_all(void *arg)
{
	kvfree_rcu_barrier();
	back = true;
	return arg;
}

static inline void start_barrier(pthread_t *thread)
{
	back = false;
	assert_int_equal(pthread_create(thread, NULL, wait_for_all, NULL), 0);
}

static inline void wait_until_back(pthread_t thread)
{
	pthread_join(thread, NULL);
	assert_true(back);
	assert_int_equal(waiting_bytes(), 0);
}

static inline int begin_stalls(void)
{
	kfree(kmalloc(8, GFP_KERNEL)); /* the options are read */
	stele_opt.rcu_max = BOUND;
	stele_opt.rcu_expedite = BOUND / 2;
	sem_init(&there, 0, 0);
	sem_init(&go_on, 0, 0);
	return stele_rcu_set_flavor(&toy_flavor);
}

#endif
