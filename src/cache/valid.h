/* SPDX-License-Identifier: MIT */
/*
 * cache/valid.h - whether caches, barns and the words of slots hold together (base/valid.h)
 *
 * Context   ordinary threads. Each returns NULL, or the invariant that is broken.
 */
#ifndef STELE_CACHE_VALID_H
#define STELE_CACHE_VALID_H

#include "base/valid.h"
#include "slab/kmem_cache.h"

/* All that is fixed once a cache is made, and its counts: at any moment until it is taken apart. */
const char *stele_cache_valid(const struct kmem_cache *s);

/* ---- if no call uses the cache ---- */

const char *stele_barn_valid(struct kmem_cache *s, struct barn *barn);
/* What the cache has in one slot. */
const char *stele_cache_slot_valid(struct kmem_cache *s, unsigned slot);
/* The cache, its partial stacks and its barns. */
const char *stele_cache_whole(struct kmem_cache *s);

/* ---- if no call is under way ---- */

/* Every cache in the list, and every slot. Threads that left or died in the middle of calls broke
 * nothing here. */
const char *stele_listed_valid(void);
/* The same, and all of the floors below, where a call that was left does show. */
const char *stele_caches_valid(void);

#endif
