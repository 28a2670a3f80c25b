/* SPDX-License-Identifier: MIT */
/*
 * slab/parts.h - makes what a cache has for each memory node above 0 (nodes.c)
 *
 * Context   ordinary threads; kmem_cache.h has the look-ups, in any context.
 */
#ifndef STELE_SLAB_PARTS_H
#define STELE_SLAB_PARTS_H

#include "slab/kmem_cache.h"

/* For every node that has memory. 0 or -ENOMEM: the cache then uses the parts that were created. */
int stele_cache_nodes_make(struct kmem_cache *s);
/* Whether there is nothing to make. */
bool stele_cache_nodes_whole(struct kmem_cache *s);
/* Nothing is left in them. */
void stele_cache_nodes_free(struct kmem_cache *s);

#endif
