/* SPDX-License-Identifier: MIT */
/*
 * tests/contract/caches.h - what the tests of making and ending caches share
 */
#ifndef STELE_TESTS_CONTRACT_CACHES_H
#define STELE_TESTS_CONTRACT_CACHES_H

#include "contract.h"

#include "slab/kmem_cache.h"

static inline struct kmem_cache *plain(const char *name, size_t size)
{
	return kmem_cache_create(name, size, 0, SLAB_NO_MERGE, NULL);
}

/* A cache that hands out an object, takes it back and can be ended. */
static inline void assert_works(struct kmem_cache *s, size_t size)
{
	void *p;

	assert_non_null(s);
	assert_true(kmem_cache_size(s) >= size);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	assert_non_null(p);
	memset(p, 0xa5, size);
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
}

static inline void set_one(void *object)
{
	*(unsigned char *)object = 1;
}

#endif
