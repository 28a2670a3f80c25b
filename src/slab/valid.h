/* SPDX-License-Identifier: MIT */
/*
 * slab/valid.h - whether slabs, and caches as slabs see them, hold together (base/valid.h)
 */
#ifndef STELE_SLAB_VALID_H
#define STELE_SLAB_VALID_H

#include "page/valid.h"

struct kmem_cache;

/* Each returns NULL, or the invariant that is broken. */

/* How the cache says that its objects lie. It is fixed once the cache is made: at any moment after
 * that. */
const char *stele_geometry_valid(const struct kmem_cache *s);
/* The caller owns the slab, or no call is under way. */
const char *stele_slab_valid(const struct run *run);
/* The partial stacks, if no call uses the cache. A thread that left in the middle of one broke none. */
const char *stele_partial_valid(struct kmem_cache *s);
/* When no call is under way: all slabs, and all of the heap. */
const char *stele_slabs_valid(void);

#endif
