/* SPDX-License-Identifier: MIT */
/*
 * bench/mempool.c - bench-mempool [BATCHES]: what a pool costs beside what it stands on
 *
 * Pair      mempool_alloc() and mempool_free() of a slab pool with memory at hand, divided by the
 *           pair of its cache.
 * Reserve   the same where the own allocation fails, so that elements come from the reserve: ns,
 *           and divided by the pair of a cache.
 * Handover  two threads pass an element to and fro, each freeing it into a pool in which the other
 *           sleeps; divided by the same two threads waking each other by bare futexes.
 * Units     medians over the batches, which are taken in turn; CLOCK_MONOTONIC.
 */
#include "bench.h"

#include <errno.h>
#include <linux/futex.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stele/mempool.h>
#include <stele/slab.h>
#include <sys/syscall.h>
#include <unistd.h>

#define PAIRS 2000000u
#define ROUNDS 20000u
#define OBJECT 64u

static struct kmem_cache *cache;
static mempool_t *slab_pool, *poor_pool, *there, *back;
static void *spare;

static double cache_pairs(void)
{
	uint64_t start = bench_now_ns();

	for (unsigned i = 0; i < PAIRS; i++) {
		void *p = kmem_cache_alloc(cache, GFP_KERNEL);

		*(volatile unsigned long *)p = 1;
		kmem_cache_free(cache, p);
	}
	return (double)(bench_now_ns() - start) / PAIRS;
}

static double pool_pairs(mempool_t *pool)
{
	uint64_t start = bench_now_ns();

	for (unsigned i = 0; i < PAIRS; i++) {
		void *p = mempool_alloc(pool, GFP_KERNEL);

		*(volatile unsigned long *)p = 1;
		mempool_free(p, pool);
	}
	return (double)(bench_now_ns() - start) / PAIRS;
}

/* One element, then nothing. */
static void *give_spare(gfp_t gfp, void *data)
{
	void *p = spare;

	(void)gfp, (void)data;
	spare = NULL;
	return p;
}

static void drop(void *p, void *data)
{
	(void)p, (void)data;
}

static mempool_t *pool_of_one(void)
{
	static unsigned long elements[8][OBJECT / sizeof(long)], n;

	spare = elements[n++];
	return mempool_create(1, give_spare, drop, NULL);
}

static void *answer_by_pool(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++)
		mempool_free(mempool_alloc(there, GFP_KERNEL), back);
	return arg;
}

static double by_pool(void)
{
	void *p = mempool_alloc(there, GFP_KERNEL), *q = mempool_alloc(back, GFP_KERNEL);
	pthread_t thread;
	uint64_t start;

	if (pthread_create(&thread, NULL, answer_by_pool, NULL))
		bench_die("pthread_create");
	start = bench_now_ns();
	for (unsigned i = 0; i < ROUNDS; i++) {
		mempool_free(p, there);
		p = mempool_alloc(back, GFP_KERNEL);
	}
	start = bench_now_ns() - start;
	pthread_join(thread, NULL);
	mempool_free(p, there);
	mempool_free(q, back);
	return (double)start / ROUNDS;
}

static _Atomic uint32_t words[2];

static void wake(_Atomic uint32_t *word)
{
	atomic_store(word, 1);
	syscall(SYS_futex, word, FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, NULL, NULL, 0);
}

static void sleep_on(_Atomic uint32_t *word)
{
	while (atomic_load(word) == 0)
		syscall(SYS_futex, word, FUTEX_WAIT | FUTEX_PRIVATE_FLAG, 0, NULL, NULL, 0);
	atomic_store(word, 0);
}

static void *answer_by_futex(void *arg)
{
	for (unsigned i = 0; i < ROUNDS; i++) {
		sleep_on(&words[0]);
		wake(&words[1]);
	}
	return arg;
}

static double by_futex(void)
{
	pthread_t thread;
	uint64_t start;

	if (pthread_create(&thread, NULL, answer_by_futex, NULL))
		bench_die("pthread_create");
	start = bench_now_ns();
	for (unsigned i = 0; i < ROUNDS; i++) {
		wake(&words[0]);
		sleep_on(&words[1]);
	}
	start = bench_now_ns() - start;
	pthread_join(thread, NULL);
	return (double)start / ROUNDS;
}

int main(int argc, char **argv)
{
	unsigned long batches = argc > 1 ? bench_number(argv[1]) : 5;
	double pair[BENCH_MAX_BATCHES], pool[BENCH_MAX_BATCHES], reserve[BENCH_MAX_BATCHES];
	double handed[BENCH_MAX_BATCHES], bare[BENCH_MAX_BATCHES], pair_ns, reserve_ns;

	if (!batches || batches > BENCH_MAX_BATCHES) {
		errno = EINVAL;
		bench_die("usage: bench-mempool [BATCHES]");
	}
	cache = kmem_cache_create("bench", OBJECT, 0, 0, NULL);
	slab_pool = mempool_create_slab_pool(4, cache);
	poor_pool = pool_of_one();
	there = pool_of_one();
	back = pool_of_one();
	if (!cache || !slab_pool || !poor_pool || !there || !back)
		bench_die("mempool_create");
	cache_pairs();
	for (unsigned long i = 0; i < batches; i++) {
		pair[i] = cache_pairs();
		pool[i] = pool_pairs(slab_pool);
		reserve[i] = pool_pairs(poor_pool);
		bare[i] = by_futex();
		handed[i] = by_pool();
	}
	pair_ns = bench_median(pair, batches);
	reserve_ns = bench_median(reserve, batches);
	bench_print("{\"measure\":\"mempool\",\"pair\":%.4f,\"reserve_ns\":%.3f,\"reserve\":%.4f,"
		    "\"handover\":%.4f,\"handover_ns\":%.0f}\n",
		    bench_median(pool, batches) / pair_ns, reserve_ns, reserve_ns / pair_ns,
		    bench_median(handed, batches) / bench_median(bare, batches),
		    bench_median(handed, batches));
	return 0;
}
