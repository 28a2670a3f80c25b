/* SPDX-License-Identifier: MIT */
/*
 * bench/calls.c - the other calls of the family, one thread
 *
 * Unit      ns per call and its share of a free; of realloc() per step of a doubling.
 */
#include "bench.h"

#define CALLS 1000000u
#define ROUNDS 20000u
#define SMALLEST 16u
#define LARGEST 4096u

static double memalign64(void)
{
	uint64_t start = bench_now_ns();
	void *p;

	for (unsigned int i = 0; i < CALLS; i++) {
		if (posix_memalign(&p, 64, 200))
			bench_die("posix_memalign");
		*(volatile long *)p = 1;
		free(p);
	}
	return (double)(bench_now_ns() - start) / CALLS;
}

static double calloc64(void)
{
	uint64_t start = bench_now_ns();

	for (unsigned int i = 0; i < CALLS; i++) {
		long *p = calloc(1, 64);

		if (!p)
			bench_die("calloc");
		*(volatile long *)p = 1;
		free(p);
	}
	return (double)(bench_now_ns() - start) / CALLS;
}

static double realloc_double(void)
{
	uint64_t start = bench_now_ns();
	unsigned long steps = 0;

	for (unsigned int i = 0; i < ROUNDS; i++) {
		char *p = bench_alloc(SMALLEST);

		for (size_t size = 2 * SMALLEST; size <= LARGEST; size *= 2) {
			p = realloc(p, size);
			if (!p)
				bench_die("realloc");
			*(volatile char *)(p + size - 1) = 1;
			steps++;
		}
		free(p);
	}
	return (double)(bench_now_ns() - start) / (double)steps;
}

const struct bench_measure bench_calls[] = {
	{ "memalign64", memalign64 },
	{ "calloc64", calloc64 },
	{ "realloc-double", realloc_double },
	{ NULL, NULL },
};
