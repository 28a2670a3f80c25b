/* SPDX-License-Identifier: MIT */
/*
 * slab/geometry.h - how a cache's objects lie in its slabs (geometry.c)
 *
 * Context   any; while the cache is made.
 */
#ifndef STELE_SLAB_GEOMETRY_H
#define STELE_SLAB_GEOMETRY_H

#include "slab/kmem_cache.h"

void stele_cache_name(struct kmem_cache *s, const char *name);
void stele_slab_geometry(struct kmem_cache *s, uint32_t size, uint32_t align, uint32_t flags);
/* Fills in the facts by which a fast free tells objects, where they are exact. The cache has words. */
void stele_slab_facts(struct kmem_cache *s);
/* A cache in static memory, without sheaves, which is in no list. One thread at a time. */
void stele_slab_boot(struct kmem_cache *s, const char *name, uint32_t size, uint32_t align,
		     uint32_t flags);
/*
 * True: the caller fills in the caches whose word @ready is, alone, and then says so. False: they are
 * ready; or another thread is at it, and @effort is less than EFFORT_WAITING.
 */
bool stele_slab_boot_begin(_Atomic uint32_t *ready, enum effort effort);
void stele_slab_boot_end(_Atomic uint32_t *ready);

#endif
