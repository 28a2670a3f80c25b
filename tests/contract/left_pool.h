/* SPDX-License-Identifier: MIT */
/*
 * tests/contract/left_pool.h - a pool whose elements exist from the start, for tests in which threads
 * leave its calls, stall or die there
 *
 * Idea      make_pool() makes the pool and takes all its elements, into mine[]; end_pool() ends it. In
 *           between no element is freed: one for which the reserve had no place would be lost.
 * Timer     off: a waiter is served by the other threads, or by its own looks.
 * Builds    debug only, not with a sanitizer (leaving.h). Included by one file of a program.
 */
#ifndef STELE_TESTS_CONTRACT_LEFT_POOL_H
#define STELE_TESTS_CONTRACT_LEFT_POOL_H

#include "contract.h"

#include "../leaving.h"
#include "base/options.h"
#include "mempool/pool.h"
#include "mempool/queue.h"

#include <stdlib.h>

#include <stele/mempool.h>

#define SECONDS_AT_MOST 20 /* the machine may be busy */

#define MOST 4

static char elements[MOST][64];
static unsigned given;
static mempool_t pool;
static void *mine[MOST];

static inline void *give_once(gfp_t gfp, void *data)
{
	(void)gfp, (void)data;
	return given < MOST ? elements[given++] : NULL;
}

static bool pool_ends;

/* While the pool is used, each element has its place. */
static inline void free_at_the_end(void *p, void *data)
{
	(void)p, (void)data;
	if (!pool_ends)
		abort();
}

static inline void end_pool(void)
{
	pool_ends = true;
	mempool_exit(&pool);
	pool_ends = false;
}

/* All of its @n elements are here. */
static inline void make_pool(int n)
{
	given = (unsigned)(MOST - n);
	assert_int_equal(mempool_init(&pool, n, give_once, free_at_the_end, NULL), 0);
	for (int i = 0; i < n; i++)
		mine[i] = mempool_alloc_preallocated(&pool);
}

static inline int begin_leaving(void **state)
{
	(void)state;
	kfree(kmalloc(8, GFP_KERNEL)); /* the options are read */
	stele_opt.mempool_retry = 0;
	leaving_begin();
	return 0;
}

#endif
