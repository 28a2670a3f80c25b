/* SPDX-License-Identifier: MIT */
/*
 * bench/pairs.c - one size, one thread: what a malloc and a free cost
 *
 * Idea      pair64 never leaves the innermost cache of the allocator; the batches of 10,000
 *           objects (640 KB) leave it, and give the objects back in three orders.
 * Unit      ns per malloc and its free, the write of one word included.
 */
#include "bench.h"

#define PAIRS 3000000u
#define BATCH 10000u
#define BATCH_ROUNDS 100u
#define OBJECT 64u

static void *objects[BATCH];
static unsigned int order[BATCH];

static double pair64(void)
{
	uint64_t start = bench_now_ns();

	for (unsigned int i = 0; i < PAIRS; i++)
		free(bench_alloc(OBJECT));
	return (double)(bench_now_ns() - start) / PAIRS;
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
	{ "batch-lifo", batch_lifo },
	{ "batch-fifo", batch_fifo },
	{ "batch-random", batch_random },
	{ NULL, NULL },
};
