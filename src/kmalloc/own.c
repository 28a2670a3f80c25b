/* SPDX-License-Identifier: MIT */
/*
 * kmalloc/own.c - memory for what the library keeps about a user's thing
 *
 * Idea      A pool and a set of buckets have a structure whose address the user holds, and which only
 *           the library may free. It is of a cache of the library's own (SLAB_OWN), so that kfree()
 *           and its kin refuse it.
 * Context   any.
 * Failure   NULL.
 * Tests     tests/death/free_own.c
 */
#include "kmalloc/kmalloc.h"
#include "cache/object.h"
#include "slab/kmem_cache.h"

void *stele_own_alloc(gfp_t gfp, int node)
{
	stele_kmalloc_init(0);
	if (!stele_cache_for(1) || slab_fails(&stele_own_cache, gfp, STELE_CALLER))
		return NULL;
	return stele_alloc_at(&stele_own_cache, gfp | __GFP_ZERO, node, EFFORT_USUAL);
}

void stele_own_free(void *p)
{
	if (p)
		stele_free_object(&stele_own_cache, p, EFFORT_USUAL);
}
