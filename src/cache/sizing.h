/* SPDX-License-Identifier: MIT */
/*
 * cache/sizing.h - gives a cache its sheaves (sizing.c)
 */
#ifndef STELE_CACHE_SIZING_H
#define STELE_CACHE_SIZING_H

#include "slab/kmem_cache.h"

/* Words, sheaves and barns, unless the profile or the flags want none, or no words are left. @wanted:
 * objects that a sheaf has room for at least; 0: as usual. The geometry is set. */
void stele_cache_sheaves(struct kmem_cache *s, unsigned wanted);

#endif
