/* SPDX-License-Identifier: MIT */
/*
 * cache/miss.h - the slow paths of allocating and freeing: the slot's sheaf does not serve (miss.c)
 *
 * Context   any.
 */
#ifndef STELE_CACHE_MISS_H
#define STELE_CACHE_MISS_H

#include "base/effort.h"
#include "slab/kmem_cache.h"

/* An object of any node; of the slot's sheaves first. NULL: no memory. */
void *stele_alloc_anywhere(struct kmem_cache *s, gfp_t gfp);
/* The same with the node that was asked for. EFFORT_BOUNDED: short; anything else is as usual. */
void *stele_alloc_at(struct kmem_cache *s, gfp_t gfp, int node, enum effort effort);
void *stele_zero_object(struct kmem_cache *s, void *p); /* @p */
/* Always true, so that a caller can end with `return stele_free_object(...)`: a jump, which frees
 * the stack of the caller. */
bool stele_free_object(struct kmem_cache *s, void *p, enum effort effort);

/* stele_alloc_at() for a call of kmem_cache_alloc() or its kin from @site, with its event. */
void *stele_cache_alloc_at(struct kmem_cache *s, gfp_t gfp, int node, enum effort effort,
			   const void *site);
/* Reports kmem_cache_alloc. */
void stele_cache_alloc_event(struct kmem_cache *s, void *p, gfp_t gfp, int node, const void *site);

#endif
