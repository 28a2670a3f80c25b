/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/another_cache.h - the whole life of a cache, to show that the control path goes on
 *
 * Included  by a file that has MUST().
 */
#ifndef TESTS_SIGNALS_ANOTHER_CACHE_H
#define TESTS_SIGNALS_ANOTHER_CACHE_H

#include <stele/slab.h>

static inline void use_another_cache(void)
{
	struct kmem_cache *other = kmem_cache_create("after", 72, NULL, SLAB_NO_MERGE);
	void *p[20];

	MUST(other && kmem_cache_alloc_bulk(other, GFP_KERNEL, 20, p));
	kmem_cache_free_bulk(other, 20, p);
	MUST(kmem_cache_shrink(other) == 0);
	kmem_cache_destroy(other);
}

#endif
