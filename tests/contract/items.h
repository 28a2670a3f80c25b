/* SPDX-License-Identifier: MIT */
/*
 * tests/contract/items.h - a cache of items whose readers are the test's own
 *
 * Idea      A group of cases begins with begin(), by which the toy flavour is chosen and there is a
 *           cache, and ends with end(), after which every item is back or it is told.
 * Included  by one file of a program, behind its `struct item`, which has a head for kfree_rcu().
 */
#ifndef STELE_TESTS_CONTRACT_ITEMS_H
#define STELE_TESTS_CONTRACT_ITEMS_H

#include "../toy_flavor.h"
#include "contract.h"

static struct kmem_cache *cache;

static inline void give(struct kmem_cache *s)
{
	struct item *p = kmem_cache_alloc(s, 0);

	kfree_rcu(p, rcu);
}

static int begin(void **state)
{
	(void)state;
	assert_int_equal(stele_rcu_set_flavor(&toy_flavor), 0);
	cache = kmem_cache_create("items", sizeof(struct item), NULL, SLAB_NO_MERGE);
	return cache ? 0 : -1;
}

static int end(void **state)
{
	(void)state;
	kmem_cache_destroy(cache);
	return 0;
}

#endif
