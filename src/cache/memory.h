/* SPDX-License-Identifier: MIT */
/*
 * cache/memory.h - where struct kmem_cache comes from (memory.c)
 *
 * Context   ordinary threads.
 */
#ifndef STELE_CACHE_MEMORY_H
#define STELE_CACHE_MEMORY_H

#include "slab/kmem_cache.h"

/* A zeroed one, with the parts that each node needs; or NULL. Not under a lock. */
struct kmem_cache *stele_cache_take(void);
/* Makes parts for a node that got memory meanwhile. @s, or NULL: then it is given back. */
struct kmem_cache *stele_cache_with_nodes(struct kmem_cache *s);
/* Gives back what a cache without slabs has beside its own memory. */
void stele_cache_free_parts(struct kmem_cache *s);
/* The memory alone; and with its parts. */
void stele_cache_give(struct kmem_cache *s);
void stele_cache_free(struct kmem_cache *s);
/* Whether @p, which may be anything, is memory for a cache. */
bool stele_is_cache_memory(const void *p);

#endif
