/* SPDX-License-Identifier: MIT */
/*
 * tests/limits/two_blocks.c - two threads with a block of 5 MiB each have room in an arena of 16 MiB
 *
 * Idea      The arena has eight areas. The library keeps one, and a small object lies in another.
 *           Each thread takes its block, writes to all pages and frees it. So the other one finds
 *           areas open, closed, in the hands of a purger, or in use in part. No call may answer NULL.
 * Cases     blocks of 5 and 5 MiB, of 6 and 6, and of 4 and 7.
 */
#include "limited.h"

#define MIB (1ul << 20)
#define ROUNDS 5000

static _Atomic unsigned refused;

static void *work(void *arg)
{
	size_t bytes = *(size_t *)arg;

	for (int i = 0; i < ROUNDS; i++) {
		char *p = kvmalloc(bytes, GFP_KERNEL | __GFP_NOWARN);

		for (size_t at = 0; p && at < bytes; at += 4096)
			p[at] = 1;
		refused += !p;
		kvfree(p);
	}
	return NULL;
}

static void both(size_t first, size_t second)
{
	pthread_t thread;
	unsigned before = refused;

	if (pthread_create(&thread, NULL, work, &first) != 0)
		exit(2);
	work(&second);
	pthread_join(thread, NULL);
	printf("  %zu and %zu KiB: %u of %d calls refused\n", first >> 10, second >> 10,
	       refused - before, 2 * ROUNDS);
}

int main(int argc, char **argv)
{
	void *small;

	(void)argc;
	if (!getenv("STELE_ARENA_SIZE")) {
		setenv("STELE_ARENA_SIZE", "16m", 1);
		execv("/proc/self/exe", argv);
		return 2;
	}
	small = kmalloc(64, GFP_KERNEL);
	for (int i = 0; i < 2; i++) {
		both(5 * MIB, 5 * MIB);
		both(6 * MIB, 6 * MIB);
		both(4 * MIB, 7 * MIB);
	}
	kfree(small);
	return refused != 0;
}
