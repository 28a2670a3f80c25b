/* SPDX-License-Identifier: MIT */
/*
 * tests/contract/watched.h - caches whose slabs are seen to come and go
 *
 * Idea      A constructor and a destructor count: as many objects unmade as made means that every
 *           slab was retired. Objects go straight to their slabs, by the calls without a lock.
 * Included  by one file of a program, for one cache at a time.
 */
#ifndef STELE_TESTS_CONTRACT_WATCHED_H
#define STELE_TESTS_CONTRACT_WATCHED_H

#include "contract.h"

#define WATCHED_SIZE 200
#define MANY 600

static _Atomic unsigned made, unmade;
static unsigned char *objects[MANY];

static void watch_made(void *p)
{
	made++;
	memset(p, 0x11, WATCHED_SIZE);
}

static void watch_unmade(void *p)
{
	(void)p;
	unmade++;
}

static inline struct kmem_cache *watched(const char *name)
{
	const struct kmem_cache_args args = { .ctor = watch_made, .dtor = watch_unmade };

	made = unmade = 0;
	return kmem_cache_create(name, WATCHED_SIZE, &args,
				 SLAB_NO_MERGE | SLAB_CONSISTENCY_CHECKS);
}

/* Each with its number as owner. */
static inline void fill(struct kmem_cache *s)
{
	for (size_t i = 0; i < MANY; i++) {
		objects[i] = kmem_cache_alloc_nolock(s, 0, NUMA_NO_NODE);
		assert_non_null(objects[i]);
		sign(objects[i], WATCHED_SIZE, i);
	}
}

static inline void empty(void)
{
	for (int i = 0; i < MANY; i++)
		kfree_nolock(objects[i]);
}

#endif
