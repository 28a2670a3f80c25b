/* SPDX-License-Identifier: MIT */
/*
 * malloc/start.c - the table by which malloc's fast path finds the words of a class
 *
 * Idea      The table has the words of every exact size, and behind them those of the classes above.
 *           small_end opens the fast path once the table is filled in.
 * Order     START: filled in before any thread finds small_end set.
 * Context   any, idempotent.
 * Failure   no memory: small_end stays 0, and the next slow call tries again.
 * Tests     tests/preload/early.c, tests/model/boot.c
 */
#include "kmalloc/kmalloc.h"
#include "malloc/malloc.h"
#include "os/os.h"
#include "slab/kmem_cache.h"

static void fill_table(void)
{
	uint16_t *words = size_words();

	for (size_t size = 0; size <= STELE_TABLE_MAX; size++)
		*words++ = (uint16_t)stele_cache_for(size ? size : 1)->words;
	for (unsigned cls = stele_class_above(STELE_TABLE_MAX + 1); cls < STELE_NR_CLASSES; cls++)
		*words++ = (uint16_t)stele_kmalloc_caches[cls].words;
}

bool stele_malloc_start(void)
{
	stele_kmalloc_init(MALLOC_GRANULE);
	if (!stele_cache_for(1))
		return false;
	if (stele_hot.small_end)
		return true;
	fill_table();
	/* ORDER(START) release, and a barrier in every thread: a plain look at small_end that finds
	 * it set comes after that barrier, and so does the look at the table behind it. */
	fence_release();
	stele_os_membarrier();
	stele_hot.small_end = STELE_TABLE_MAX + 1;
	return true;
}

static __attribute__((constructor(101))) void start_drop_in(void)
{
	stele_malloc_start();
}
