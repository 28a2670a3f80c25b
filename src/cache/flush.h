/* SPDX-License-Identifier: MIT */
/*
 * cache/flush.h - empties a cache's slots and barns into its slabs (flush.c)
 */
#ifndef STELE_CACHE_FLUSH_H
#define STELE_CACHE_FLUSH_H

#include "base/effort.h"
#include "slab/kmem_cache.h"

/* Every slot and the barns. EFFORT_WAITING: waits for another taker; ordinary threads. Else -EBUSY then;
 * other errors as in stele_pcpu_take_all(). */
int stele_cache_flush(struct kmem_cache *s, enum effort effort);
/* The same, with all that calls have put off, and tidies the stacks, while no slot goes. Ordinary
 * threads. */
int stele_cache_empty(struct kmem_cache *s);

#endif
