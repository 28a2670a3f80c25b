/* SPDX-License-Identifier: MIT */
/*
 * cache/boot.h - caches in static memory, for the floors above (boot.c)
 */
#ifndef STELE_CACHE_BOOT_H
#define STELE_CACHE_BOOT_H

#include "slab/kmem_cache.h"

/* A cache in static memory; no lock, no list. Any context, one thread at a time. */
void stele_cache_boot(struct kmem_cache *s, const char *name, uint32_t size, uint32_t align,
		      uint32_t flags);
/* Shows a row of @n booted caches in slabinfo and to shrink-all. Ordinary threads. */
void stele_cache_list(struct kmem_cache *row, unsigned n);

/* resting.c: the lists of runs that rest, before anything is freed; and once the program's constructors
 * run, for all that empties caches. */
void stele_resting_boot(void);
void stele_resting_list(void);

#endif
