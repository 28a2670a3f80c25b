/* SPDX-License-Identifier: MIT */
/*
 * cache/destroy.h - the end of a cache that is in no list any more (destroy.c)
 *
 * Context   ordinary threads.
 */
#ifndef STELE_CACHE_DESTROY_H
#define STELE_CACHE_DESTROY_H

#include "slab/kmem_cache.h"

/* The last reference to @s went. Empties and frees it, now or once this thread has let go of the CPU
 * set. @caller: for reports. */
void stele_cache_finish(struct kmem_cache *s, const void *caller);
/* This thread has let go of the CPU set. */
void stele_cache_finish_put_off(void);
/* Debug builds: the names of destroyed caches are not needed any more. */
void stele_destroyed_forget(void);

#endif
