/* SPDX-License-Identifier: MIT */
/*
 * tests/contract/walks.h - caches that walks come to, and what has become of them
 */
#ifndef STELE_TESTS_CONTRACT_WALKS_H
#define STELE_TESTS_CONTRACT_WALKS_H

#include "contract.h"

#include "cache/caches.h"
#include "slab/kmem_cache.h"
#include "sync/atomic.h"
#include "sync/mutex.h"

#include <semaphore.h>

static inline void wait_for(sem_t *sem)
{
	while (sem_wait(sem) != 0)
		;
}

static inline struct kmem_cache *make_walked(const char *name, void (*dtor)(void *))
{
	const struct kmem_cache_args args = { .dtor = dtor };
	struct kmem_cache *s = kmem_cache_create_args(name, 64, &args, SLAB_NO_MERGE);

	assert_non_null(s);
	return s;
}

/* A walk will find something to retire in it. */
static inline void use_once(struct kmem_cache *s)
{
	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
}

static inline bool is_empty(struct kmem_cache *s)
{
	return !load_acquire(&s->slabs);
}

static inline bool is_listed(const struct kmem_cache *s)
{
	bool listed;

	assert_int_equal(stele_lock(&stele_list_lock), 0);
	listed = stele_list_has(s);
	stele_unlock(&stele_list_lock);
	return listed;
}

#endif
