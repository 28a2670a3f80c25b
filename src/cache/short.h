/* SPDX-License-Identifier: MIT */
/*
 * cache/short.h - what caches give up before a call answers NULL (short.c)
 */
#ifndef STELE_CACHE_SHORT_H
#define STELE_CACHE_SHORT_H

#include "slab/kmem_cache.h"

/* Gives the page floor the function to call when it is short of memory. Once, before anything
 * happens. */
void stele_cache_watch_memory(void);
/* @alloc(s, where) said NULL: takes back what caches do not need, and calls it again. Any context. */
void *stele_cache_alloc_short(struct kmem_cache *s, unsigned where,
			      void *(*alloc)(struct kmem_cache *s, unsigned where));

#endif
