/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/left_neighbour.h - while a call stands still, another thread does as it
 * likes with its pages
 *
 * Idea      A call was interrupted at some instruction. Meanwhile another thread frees what it can,
 *           takes blocks of pages, and takes the access from them, as from pages that the library had
 *           until then; and it maps memory of its own where the next areas would be opened. The call
 *           goes on beside all this. Afterwards the pages and the blocks are given back.
 * Emptied   Where the interrupted call is inside of a lock that a trim waits for, there is no trim.
 * Included  by left_others.h alone.
 */
#ifndef TESTS_ANY_CONTEXT_LEFT_NEIGHBOUR_H
#define TESTS_ANY_CONTEXT_LEFT_NEIGHBOUR_H

#include "left_held.h"
#include "page/heap.h"
#include "page/open.h"

#include <sys/mman.h>

#define TAKEN 24     /* blocks */
#define FOREIGNERS 2 /* mappings where areas would be */
#define TRIM_EVERY 4

/* Filled in by the program: whole pages, or NULL; and a trim. */
static void *take_block(size_t bytes);
static void give_block(void *p);
static void empty_caches(void);

static struct {
	const struct stele_heap *heap;
	const struct stele_hot *hot;
	const _Atomic uint64_t *locks[2]; /* a mutex begins with its word */
	void *block[TAKEN];
	size_t bytes[TAKEN];
	void *foreign[FOREIGNERS];
	unsigned long turns, trims, blocks, foreigners;
} near;

static bool locks_are_free(void)
{
	return !(uint32_t)load_relaxed(near.locks[0]) && !(uint32_t)load_relaxed(near.locks[1]);
}

static void map_where_areas_would_be(void)
{
	uint32_t next = load_relaxed(&near.heap->zones[0].high);

	for (unsigned i = 0; i < FOREIGNERS; i++) {
		char *at =
			near.hot->base + near.heap->arena_at + (size_t)(next + 2 * i) * AREA_SIZE;
		void *p = mmap(at, 4096, PROT_NONE,
			       MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

		near.foreign[i] = p == MAP_FAILED ? NULL : p;
		near.foreigners += p != MAP_FAILED;
	}
}

/* One to eight pages, and now and then a block of areas. */
static void take_the_pages(void)
{
	if (near.turns++ % TRIM_EVERY == 0 && locks_are_free()) {
		empty_caches();
		near.trims++;
	}
	for (unsigned i = 0; i < TAKEN; i++) {
		size_t bytes = i ? (size_t)(1 + i % 8) << 12 : 3ul << 20;

		near.block[i] = take_block(bytes);
		near.bytes[i] = bytes;
		if (!near.block[i])
			continue;
		MUST(mprotect(near.block[i], bytes, PROT_NONE) == 0);
		near.blocks++;
	}
	map_where_areas_would_be();
}

static void give_the_pages_back(void)
{
	for (unsigned i = 0; i < TAKEN; i++) {
		if (!near.block[i])
			continue;
		MUST(mprotect(near.block[i], near.bytes[i], PROT_READ | PROT_WRITE) == 0);
		give_block(near.block[i]);
		near.block[i] = NULL;
	}
	for (unsigned i = 0; i < FOREIGNERS; i++)
		if (near.foreign[i])
			MUST(munmap(near.foreign[i], 4096) == 0);
}

#endif
