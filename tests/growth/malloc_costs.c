/* SPDX-License-Identifier: MIT */
/*
 * tests/growth/malloc_costs.c - no call of the drop-in makes more system calls or page faults in a large heap
 *
 * Idea      As costs.c, with blocks of malloc() alone. They are of all sizes, with holes between them.
 */
#include "../preload/drop_in.h"
#include "counted.h"

#include <pthread.h>

#define SMALL 6000 /* blocks of up to 4 KiB, in a heap of size 1 */
#define LARGE 200  /* of 60 to 140 KB */
#define HUGE 12	   /* of 2.1 to 4 MB */
#define BURST 40
#define STEP 32768ul
#define STEPS 20 /* to 650 KB */

static void *malloc_block(size_t size)
{
	char *p = malloc(size);

	MUST(p);
	p[0] = p[size - 1] = 1;
	return p;
}

static void make_heap(unsigned scale)
{
	blocks_with_holes(malloc_block, free, SMALL * scale, 8, 4096);
	blocks_with_holes(malloc_block, free, LARGE * scale, 60000, 140000);
	blocks_with_holes(malloc_block, free, HUGE * scale, 2100000, 4000000);
}

static void malloc_many(unsigned n, size_t least, size_t most)
{
	void *p[BURST];

	for (unsigned i = 0; i < n; i++)
		p[i] = malloc_block(size_between(least, most));
	for (unsigned i = 0; i < n; i++)
		free(p[i]);
}

static void small(void)
{
	malloc_many(BURST, 8, 4096);
}

static void medium(void)
{
	malloc_many(BURST, 4096, 65536);
}

static void malloc_large(void)
{
	malloc_many(BURST, 65536, 1000000);
}

static void malloc_huge(void)
{
	malloc_many(HUGE, 2100000, 2100000);
}

static void zeroed(void)
{
	for (int i = 0; i < BURST; i++)
		free(calloc(1, size_between(1, 65536)));
}

static void aligned(void)
{
	void *p;

	for (int i = 0; i < BURST; i++) {
		MUST(posix_memalign(&p, 65536, 100000) == 0);
		free(p);
	}
}

static void malloc_growing(void)
{
	char *p[2] = { NULL };

	for (size_t size = STEP; size <= STEPS * STEP; size += STEP)
		for (int i = 0; i < 2; i++) {
			MUST(p[i] = realloc(p[i], size));
			p[i][size - 1] = 1;
		}
	for (int i = 0; i < 2; i++)
		free(p[i]);
}

static void malloc_growing_huge(void)
{
	char *p = NULL;

	for (size_t size = 40000000; size < 200000000; size += size / 2)
		MUST(p = realloc(p, size));
	free(p);
}

static void malloc_trim_all(void)
{
	malloc_trim(0);
}

static void small_and_trim(void)
{
	free(malloc(500));
	malloc_trim(0);
}

static void *allocates(void *arg)
{
	small();
	return arg;
}

static void thread(void)
{
	pthread_t thread;

	MUST(pthread_create(&thread, NULL, allocates, NULL) == 0);
	MUST(pthread_join(thread, NULL) == 0);
}

static void report(void)
{
	MUST(mallinfo2().uordblks > 0);
}

static const struct kind kinds[] = {
	{ "40 blocks of up to 4 KiB", small, 1 },
	{ "40 of 4 to 64 KiB", medium, 1 },
	{ "40 of up to 1 MB", malloc_large, 1 },
	{ "12 blocks of 2.1 MB", malloc_huge, 1 },
	{ "40 calls of calloc()", zeroed, 1 },
	{ "40 aligned blocks", aligned, 1 },
	{ "2 blocks grow in 20 steps", malloc_growing, 1 },
	{ "a huge block that grows", malloc_growing_huge, 1 },
	{ "a thread that allocates", thread, 1 },
	{ "malloc_trim(0)", malloc_trim_all, 6 },
	{ "malloc_trim(0) again", malloc_trim_all, 6 },
	{ "a block and malloc_trim(0)", small_and_trim, 6 },
	{ "mallinfo2()", report, 6 },
};

int main(void)
{
	need_drop_in();
	return count_kinds(kinds, sizeof(kinds) / sizeof(kinds[0]), make_heap);
}
