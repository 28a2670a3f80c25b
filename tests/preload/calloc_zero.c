/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/calloc_zero.c - calloc() gives zeroes, whichever thread had the memory before
 *
 * Zeroes    to the last byte that malloc_usable_size() tells, as programs use them to there.
 * Idea      For each size: dirty a batch up to the last usable byte, free it in one of three
 *           orders, take it again by calloc(). Then the same for blocks with pages of their
 *           own, cut from where other sizes were, trimmed in between, and grown in place.
 */
#include "drop_in.h"

#define BATCH 24
#define MIB (1ul << 20)

static void zero(void *block, size_t size)
{
	const unsigned char *p = block;

	CHECK_FOR(p != NULL, size);
	CHECK_FOR(malloc_usable_size(block) >= size, size);
	size = malloc_usable_size(block);
	/* Where objects are checked, one of no bytes has none. */
	CHECK_FOR(size == 0 || p[0] == 0, size);
	/* All bytes equal the one before. */
	CHECK_FOR(size < 2 || memcmp(p, p + 1, size - 1) == 0, size);
}

static void free_batch(void **batch, unsigned order)
{
	for (unsigned i = 0; i < BATCH; i++)
		free(batch[order == 0 ? i : order == 1 ? BATCH - 1 - i : i * 7 % BATCH]);
}

static void dirty_batch(size_t size, unsigned order)
{
	void *batch[BATCH];

	for (unsigned i = 0; i < BATCH; i++) {
		batch[i] = malloc(size);
		CHECK_FOR(batch[i], size);
		memset(batch[i], 0xff, malloc_usable_size(batch[i]));
	}
	free_batch(batch, order);
}

static void zero_batch(size_t size, unsigned order)
{
	void *batch[BATCH];

	for (unsigned i = 0; i < BATCH; i++) {
		batch[i] = i % 2 ? calloc(1, size) : calloc(size, 1);
		zero(batch[i], size);
		memset(batch[i], 0xff, malloc_usable_size(batch[i]));
	}
	free_batch(batch, order);
}

/* All that there is of them. */
static void of_no_size(void)
{
	for (int i = 0; i < 100; i++) {
		char *p = malloc(0), *q;

		memset(p, 0xff, malloc_usable_size(p));
		free(p);
		p = calloc(0, 1);
		q = calloc(1, 0);
		zero(p, malloc_usable_size(p));
		zero(q, malloc_usable_size(q));
		free(q);
		free(p);
	}
}

static void small_sizes(void)
{
	for (size_t size = 1; size <= 40000; size += size < 1100 ? 1 : size / 61) {
		dirty_batch(size, size % 3);
		zero_batch(size, (size + 1) % 3);
	}
}

static void large_sizes(void)
{
	static const size_t sizes[] = { 32768,	 32769,	      65536,   200000,	MIB,
					MIB + 1, 2 * MIB + 1, 5 * MIB, 33 * MIB };
	size_t n = sizeof(sizes) / sizeof(sizes[0]);

	for (size_t i = 0; i < n * n; i++) {
		size_t before = sizes[i / n], size = sizes[i % n];
		void *a = malloc(before), *b = malloc(before);

		memset(a, 0xff, before);
		memset(b, 0xff, before);
		free(a);
		if (i % 5 == 0)
			malloc_trim(0);
		a = calloc(1, size);
		zero(a, size);
		memset(a, 0xff, size);
		free(b);
		b = calloc(size / 8, 8);
		zero(b, size / 8 * 8);
		free(a);
		free(b);
	}
}

/* Memory that realloc() left behind when it shrank or moved a block does not read as zero. */
static void after_realloc(void)
{
	for (size_t size = 3 * MIB; size < 40 * MIB; size = size * 3 / 2) {
		char *p = malloc(size), *q;

		memset(p, 0xff, size);
		p = realloc(p, size / 3);
		q = calloc(1, size);
		zero(q, size);
		memset(q, 0xff, size);
		p = realloc(p, size * 2);
		memset(p, 0xff, size * 2);
		free(q);
		q = calloc(1, size);
		zero(q, size);
		free(p);
		p = calloc(1, size * 2);
		zero(p, size * 2);
		free(p);
		free(q);
	}
}

int main(void)
{
	need_drop_in();
	of_no_size();
	small_sizes();
	large_sizes();
	after_realloc();
	return 0;
}
