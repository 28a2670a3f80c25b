/* SPDX-License-Identifier: MIT */
/*
 * bench/mixed.c - sizes from 16 to 1024 bytes, a fixed number of objects live
 *
 * Idea      Each step frees the object of a random slot and allocates another size there, so
 *           lifetimes are random too. 1,000 objects (about 520 KB) stay in the CPU's caches;
 *           100,000 (about 52 MB) do not, and every step pays for that under every allocator.
 * Unit      ns per step, one free and one malloc; filling and draining are not timed.
 */
#include "mixed.h"
#include "bench.h"

#define SMALLEST 16u
#define LARGEST 1024u
#define FEW 1000u
#define MANY 100000u
#define STEPS_FEW 1000000u
#define STEPS_MANY 400000u

static void *slots_of_main[MANY];

void mixed_fill(void **slots, size_t live, uint64_t *seed)
{
	for (size_t i = 0; i < live; i++)
		slots[i] = bench_alloc(bench_between(seed, SMALLEST, LARGEST));
}

void mixed_steps(void **slots, size_t live, unsigned long steps, uint64_t *seed)
{
	for (unsigned long i = 0; i < steps; i++) {
		size_t slot = bench_between(seed, 0, live - 1);

		free(slots[slot]);
		slots[slot] = bench_alloc(bench_between(seed, SMALLEST, LARGEST));
	}
}

void mixed_drain(void **slots, size_t live)
{
	for (size_t i = 0; i < live; i++) {
		free(slots[i]);
		slots[i] = NULL;
	}
}

static double mixed(size_t live, unsigned long steps)
{
	uint64_t seed = 1, start, end;

	mixed_fill(slots_of_main, live, &seed);
	start = bench_now_ns();
	mixed_steps(slots_of_main, live, steps, &seed);
	end = bench_now_ns();
	mixed_drain(slots_of_main, live);
	return (double)(end - start) / (double)steps;
}

static double mixed_few(void)
{
	return mixed(FEW, STEPS_FEW);
}

static double mixed_many(void)
{
	return mixed(MANY, STEPS_MANY);
}

const struct bench_measure bench_mixed[] = {
	{ "mixed-1000", mixed_few },
	{ "mixed-100000", mixed_many },
	{ NULL, NULL },
};
