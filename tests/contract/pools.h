/* SPDX-License-Identifier: MIT */
/*
 * tests/contract/pools.h - what the tests of reserves share: a pool whose own allocation does what
 * a test says, and threads that wait for its elements
 *
 * Idea      source_gives() says how many allocations still work. pool_of() makes a pool and then
 *           lets its own allocation fail; done_with() finds every element back in it.
 * Waiters   begin_to_wait() returns once the thread waits; join() once it has its elements.
 * Timer     no_timer() turns it off, and waiters do not look by themselves: a test whose wake-up is
 *           lost never ends.
 * Included  by one file of a program.
 */
#ifndef STELE_TESTS_CONTRACT_POOLS_H
#define STELE_TESTS_CONTRACT_POOLS_H

#include "contract.h"

#include "base/options.h"
#include "mempool/pool.h"
#include "sync/atomic.h"

#include <pthread.h>
#include <sched.h>

#include <stele/mempool.h>

#define MANY 64

static struct {
	_Atomic int left; /* allocations that still work; below 0: all of them */
	_Atomic int out;  /* elements that exist */
	_Atomic uint32_t tries;
	_Atomic bool cancels; /* its allocation is a cancellation point */
} source;

static inline void *source_alloc(gfp_t gfp, void *data)
{
	int left = atomic_load(&source.left);

	assert_ptr_equal(data, &source);
	assert_true(gfp & __GFP_NOMEMALLOC || gfp == GFP_KERNEL);
	atomic_fetch_add(&source.tries, 1);
	if (atomic_load(&source.cancels))
		pthread_testcancel();
	if (left == 0)
		return NULL;
	if (left > 0)
		atomic_fetch_sub(&source.left, 1);
	atomic_fetch_add(&source.out, 1);
	return kmalloc(64, GFP_KERNEL);
}

static inline void source_free(void *p, void *data)
{
	assert_ptr_equal(data, &source);
	atomic_fetch_sub(&source.out, 1);
	kfree(p);
}

static inline void source_gives(int n)
{
	atomic_store(&source.left, n);
}

/* Afterwards its own allocation fails. */
static inline mempool_t *pool_of(int min_nr)
{
	mempool_t *pool;

	source_gives(-1);
	pool = mempool_create(min_nr, source_alloc, source_free, &source);
	assert_non_null(pool);
	source_gives(0);
	return pool;
}

/* Contract 39: all that there ever was has come back. */
static inline void done_with(mempool_t *pool)
{
	assert_int_equal(stele_mempool_curr_nr(pool), pool->min_nr ? pool->min_nr : 1);
	assert_null(stele_pool_valid(pool));
	mempool_destroy(pool);
	assert_int_equal(atomic_load(&source.out), 0);
}

static inline void wait_until_waiting(mempool_t *pool, unsigned n)
{
	while (stele_wait_count(&inside(pool)->queue) != n)
		sched_yield();
}

/* ---- threads that wait ---- */

struct taker {
	mempool_t *pool;
	pthread_t thread;
	unsigned n;
	void *p[8];
	_Atomic uint32_t *turn;
	uint32_t place;
};

static inline void *take_and_note(void *arg)
{
	struct taker *t = arg;

	if (t->n == 1)
		t->p[0] = mempool_alloc(t->pool, GFP_KERNEL);
	else
		mempool_alloc_bulk(t->pool, t->p, t->n);
	t->place = add_relaxed(t->turn, 1);
	return NULL;
}

static inline void begin_to_wait(struct taker *t, mempool_t *pool, unsigned n,
				 _Atomic uint32_t *turn)
{
	unsigned waiting = stele_wait_count(&inside(pool)->queue);

	*t = (struct taker){ .pool = pool, .n = n, .turn = turn };
	assert_int_equal(pthread_create(&t->thread, NULL, take_and_note, t), 0);
	wait_until_waiting(pool, waiting + 1);
}

static inline void join(struct taker *t)
{
	assert_int_equal(pthread_join(t->thread, NULL), 0);
	for (unsigned i = 0; i < t->n; i++)
		assert_non_null(t->p[i]);
}

static inline int no_timer(void **state)
{
	(void)state;
	kfree(kmalloc(8, GFP_KERNEL)); /* the options are read */
	stele_opt.mempool_retry = 0;
	stele_inject_no_looks = true;
	return 0;
}

#endif
