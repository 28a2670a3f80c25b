/* SPDX-License-Identifier: MIT */
/*
 * bench/grow.c - buffers that grow
 *
 * Idea      A string that gains 16 bytes at a time up to 4096, and a file read into memory a
 *           mebibyte at a time up to 64. The program writes what it gained: one word of the
 *           string, one word per page of the file.
 * Unit      ns per realloc, with its share of the first malloc and of the free.
 */
#include "bench.h"

#define SMALL_STEP 16u
#define SMALL_END 4096u
#define SMALL_ROUNDS 2000u
#define MIB (1024u * 1024u)
#define LARGE_END (64u * MIB)
#define TOUCH_STRIDE 4096u

static char *grown(char *buffer, size_t size)
{
	char *moved = realloc(buffer, size);

	if (!moved)
		bench_die("realloc");
	return moved;
}

static double grow_small(void)
{
	uint64_t start = bench_now_ns();
	unsigned long calls = 0;

	for (unsigned int round = 0; round < SMALL_ROUNDS; round++) {
		char *buffer = bench_alloc(SMALL_STEP);

		for (size_t size = 2 * SMALL_STEP; size <= SMALL_END; size += SMALL_STEP) {
			buffer = grown(buffer, size);
			*(volatile long *)(buffer + size - SMALL_STEP) = 1;
			calls++;
		}
		free(buffer);
	}
	return (double)(bench_now_ns() - start) / (double)calls;
}

static void touch(char *from, const char *to)
{
	for (; from < to; from += TOUCH_STRIDE)
		*(volatile long *)from = 1;
}

static double grow_large(void)
{
	uint64_t start = bench_now_ns();
	char *buffer = bench_alloc(MIB);

	touch(buffer, buffer + MIB);
	for (size_t size = 2 * MIB; size <= LARGE_END; size += MIB) {
		buffer = grown(buffer, size);
		touch(buffer + size - MIB, buffer + size);
	}
	free(buffer);
	return (double)(bench_now_ns() - start) / (LARGE_END / MIB - 1);
}

const struct bench_measure bench_grow[] = {
	{ "realloc-small", grow_small },
	{ "realloc-large", grow_large },
	{ NULL, NULL },
};
