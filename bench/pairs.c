/* SPDX-License-Identifier: MIT */
/*
 * bench/pairs.c - one size, one thread: what a malloc and a free cost
 *
 * Idea      A pair never leaves the innermost cache of the allocator; the batches of 10,000
 *           objects (640 KB) leave it, and give the objects back in three orders.
 * Unit      ns per malloc and its free, the write of one word included.
 */
#include "bench.h"

#define PAIRS 3000000u
#define LARGE_PAIRS 300000u
#define BATCH 10000u
#define BATCH_ROUNDS 100u
#define OBJECT 64u

static void *objects[BATCH];
static unsigned int order[BATCH];

static double pairs_of(size_t bytes, unsigned int pairs)
{
	uint64_t start = bench_now_ns();

	for (unsigned int i = 0; i < pairs; i++)
		free(bench_alloc(bytes));
	return (double)(bench_now_ns() - start) / pairs;
}

static double pair64(void)
{
	return pairs_of(OBJECT, PAIRS);
}

static double pair4k(void)
{
	return pairs_of(4096, LARGE_PAIRS);
}

static double pair32k(void)
{
	return pairs_of(32768, LARGE_PAIRS);
}

static double pair256k(void)
{
	return pairs_of(256u << 10, LARGE_PAIRS);
}

static double pair1m(void)
{
	return pairs_of(1u << 20, LARGE_PAIRS);
}

/* Allocates all, then frees in the order that order[] holds. */
static double batch_in_order(void)
{
	uint64_t start = bench_now_ns();

	for (unsigned int round = 0; round < BATCH_ROUNDS; round++) {
		for (unsigned int i = 0; i < BATCH; i++)
			objects[i] = bench_alloc(OBJECT);
		for (unsigned int i = 0; i < BATCH; i++)
			free(objects[order[i]]);
	}
	return (double)(bench_now_ns() - start) / (BATCH * BATCH_ROUNDS);
}

static double batch_fifo(void)
{
	for (unsigned int i = 0; i < BATCH; i++)
		order[i] = i;
	return batch_in_order();
}

static double batch_lifo(void)
{
	for (unsigned int i = 0; i < BATCH; i++)
		order[i] = BATCH - 1 - i;
	return batch_in_order();
}

static double batch_random(void)
{
	uint64_t seed = 1;

	for (unsigned int i = 0; i < BATCH; i++)
		order[i] = i;
	for (unsigned int i = BATCH - 1; i > 0; i--) {
		unsigned int other = (unsigned int)bench_between(&seed, 0, i);
		unsigned int kept = order[i];

		order[i] = order[other];
		order[other] = kept;
	}
	return batch_in_order();
}

const struct bench_measure bench_pairs[] = {
	{ "pair64", pair64 },
	{ "pair4k", pair4k },
	{ "pair32k", pair32k },
	{ "pair256k", pair256k },
	{ "pair1m", pair1m },
	{ "batch-lifo", batch_lifo },
	{ "batch-fifo", batch_fifo },
	{ "batch-random", batch_random },
	{ NULL, NULL },
};
