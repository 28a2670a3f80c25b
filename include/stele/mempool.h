/* SPDX-License-Identifier: MIT */
/*
 * stele/mempool.h - reserves: a number of elements that can always be had again
 *
 * Idea      A pool keeps min_nr elements aside. While its own allocation works, it is a wrapper;
 *           when that fails, elements come from the reserve. A caller that finds it empty waits for
 *           the next one that is freed. So min_nr elements can always be on their way, without
 *           memory.
 * Promise   With callbacks that keep theirs, mempool_alloc() with __GFP_DIRECT_RECLAIM does not
 *           return NULL. It is a promise for one element at a time per caller: a caller that holds
 *           one and waits for another of the same pool may wait for ever.
 * Context   mempool_alloc() without __GFP_DIRECT_RECLAIM, mempool_alloc_preallocated() and
 *           mempool_free() may be called anywhere, in signal handlers too, where the pool's
 *           callbacks may; those of slab, kmalloc and page pools may. This holds for
 *           mempool_alloc_noreserve() and mempool_free_bulk() as well. The questions, such as
 *           mempool_initialized(), are for any context. Calls that make, resize or end a pool, and
 *           calls that may wait, are for ordinary threads.
 * Order     A thread that frees an element needs no barrier after it was told of it: it sees all
 *           that the allocating thread did to the pool. See docs/orders-memory.md, MEMPOOL.
 * Waiting   In order of arrival, real-time threads first by their priority. Signals do not end a
 *           wait, and no handler may leave one by siglongjmp(). A caller that needs fewer elements
 *           may pass one that needs more.
 * Source    Linux mempool.h, unless a comment says otherwise; docs/porting.md names the kernel.
 * See       docs/mempool.md
 */
#ifndef STELE_MEMPOOL_H
#define STELE_MEMPOOL_H

#include <stddef.h>
#include <stdint.h>

#include <stele/compiler.h>
#include <stele/gfp.h>
#include <stele/slab.h>

struct timespec;

STELE_EXTERN_C_BEGIN

typedef void *(mempool_alloc_t)(gfp_t gfp_mask, void *pool_data);
typedef void(mempool_free_t)(void *element, void *pool_data);

typedef struct mempool {
	mempool_alloc_t *alloc; /* may return NULL; must not wait without __GFP_DIRECT_RECLAIM */
	mempool_free_t *free;
	void *pool_data;
	int min_nr; /* elements of the reserve; mempool_resize() changes it */
	/* private: */
	uintptr_t stele_inside[44];
} mempool_t;

/**
 * mempool_init - make @pool, whose memory is zero, into a pool
 * @min_nr: elements to keep, 0 to 2097087; they are allocated now, one for 0
 * @alloc_fn, @free_fn: where elements come from and go to; @pool_data is for them
 *
 * Return:  0. -ENOMEM: not all could be had; nothing is kept. -EINVAL, with a message: @min_nr out
 *          of range, or a callback is NULL.
 * Context: ordinary threads.
 */
STELE_API int mempool_init(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn,
			   mempool_free_t *free_fn, void *pool_data) STELE_MUST_CHECK;

/** mempool_init_node - the same, with flags for the first elements, and a node for its places: a wish */
STELE_API int mempool_init_node(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn,
				mempool_free_t *free_fn, void *pool_data, gfp_t gfp_mask,
				int node_id) STELE_MUST_CHECK;

/** mempool_create - a pool in memory of its own; NULL where mempool_init() fails */
STELE_API mempool_t *mempool_create(int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn,
				    void *pool_data) STELE_MUST_CHECK;
/** mempool_create_node - the same; NULL where mempool_init_node() fails */
STELE_API mempool_t *mempool_create_node(int min_nr, mempool_alloc_t *alloc_fn,
					 mempool_free_t *free_fn, void *pool_data, gfp_t gfp_mask,
					 int node_id) STELE_MUST_CHECK;

/**
 * mempool_exit - the end of a pool of mempool_init(): the reserve is freed
 *
 * Fine for memory that is zero, and for a pool whose mempool_init() failed. Elements that have
 * not come back to the reserve are reported, as are threads that still wait; the pool's memory
 * must then not be used again.
 * Context: ordinary threads; no other thread uses the pool any more.
 */
STELE_API void mempool_exit(mempool_t *pool);

/** mempool_destroy - mempool_exit() for a pool of mempool_create(); NULL is fine */
STELE_API void mempool_destroy(mempool_t *pool);

/**
 * mempool_resize - change the number of elements kept
 *
 * Elements above the new size go back. Missing ones are allocated as far as that works now; the
 * rest comes with elements that are freed.
 * Return:  0. -ENOMEM: no room for the places; nothing changed. -EINVAL, with a message: @new_min_nr
 *          is 0, negative, or too large.
 * Context: ordinary threads; beside every other call but mempool_exit() and mempool_destroy().
 * Promise: contract 39 (docs/contract.md).
 */
STELE_API int mempool_resize(mempool_t *pool, int new_min_nr) STELE_MUST_CHECK;

/**
 * mempool_alloc - an element: from @pool's allocation, else from its reserve, else by waiting
 *
 * Return:  an element. NULL only without __GFP_DIRECT_RECLAIM, or where @pool is no pool: reported.
 * Context: any without __GFP_DIRECT_RECLAIM. With it, it may sleep.
 * Flags:   __GFP_ZERO is not for pools: said once, and reserve elements are not cleared.
 * Promise: contract 37 and 38 (docs/contract.md).
 */
STELE_API void *mempool_alloc(mempool_t *pool, gfp_t gfp_mask);

/**
 * mempool_alloc_timeout - the same, waiting until @deadline at most (ours)
 * @deadline: CLOCK_MONOTONIC; NULL waits for ever
 *
 * Return:  an element; NULL when it is late.
 */
STELE_API void *mempool_alloc_timeout(mempool_t *pool, gfp_t gfp_mask,
				      const struct timespec *deadline);

/** mempool_alloc_preallocated - an element of the reserve, or NULL; never waits */
STELE_API void *mempool_alloc_preallocated(mempool_t *pool);

/** mempool_alloc_noreserve - an element of the pool's allocation, or NULL; never waits for others */
STELE_API void *mempool_alloc_noreserve(mempool_t *pool, gfp_t gfp_mask);

/**
 * mempool_alloc_bulk - fill @elems with @count elements
 *
 * From the reserve come all that are still missing or none, so that two callers cannot each hold a
 * part of it. More than min_nr is said once; it may wait for ever.
 * Return:  0. -EINVAL, with a message: @pool is no pool.
 * Context: ordinary threads; may sleep.
 */
STELE_API int mempool_alloc_bulk(mempool_t *pool, void **elems, unsigned int count);

/** mempool_free - give @element back: to the reserve if it is not full; NULL is fine. Any context. */
STELE_API void mempool_free(void *element, mempool_t *pool);

/**
 * mempool_free_bulk - give elements back to the reserve, as many as it takes
 *
 * Return:  how many of the first ones it took; the others are the caller's still.
 */
STELE_API unsigned int mempool_free_bulk(mempool_t *pool, void **elems, unsigned int count);

/** mempool_initialized - whether mempool_init() was done */
STELE_API bool mempool_initialized(mempool_t *pool);
/** mempool_is_saturated - whether the reserve is full; a racy look */
STELE_API bool mempool_is_saturated(mempool_t *pool);
/** stele_mempool_curr_nr - elements in the reserve now; a racy look */
STELE_API unsigned int stele_mempool_curr_nr(const mempool_t *pool);

/** stele_mempool_cancellable - whether waits in @pool are cancellation points; they are not */
STELE_API void stele_mempool_cancellable(mempool_t *pool, bool yes);

/* Callbacks. The pool data is a cache without constructor, a size, an order. */
STELE_API void *mempool_alloc_slab(gfp_t gfp_mask, void *pool_data);
STELE_API void mempool_free_slab(void *element, void *pool_data);
STELE_API void *mempool_kmalloc(gfp_t gfp_mask, void *pool_data);
STELE_API void mempool_kfree(void *element, void *pool_data);
STELE_API void *mempool_alloc_pages(gfp_t gfp_mask, void *pool_data);
STELE_API void mempool_free_pages(void *element, void *pool_data);

static inline int mempool_init_slab_pool(mempool_t *pool, int min_nr, struct kmem_cache *kc)
{
	return mempool_init(pool, min_nr, mempool_alloc_slab, mempool_free_slab, (void *)kc);
}

static inline mempool_t *mempool_create_slab_pool(int min_nr, struct kmem_cache *kc)
{
	return mempool_create(min_nr, mempool_alloc_slab, mempool_free_slab, (void *)kc);
}

static inline int mempool_init_kmalloc_pool(mempool_t *pool, int min_nr, size_t size)
{
	return mempool_init(pool, min_nr, mempool_kmalloc, mempool_kfree, (void *)size);
}

static inline mempool_t *mempool_create_kmalloc_pool(int min_nr, size_t size)
{
	return mempool_create(min_nr, mempool_kmalloc, mempool_kfree, (void *)size);
}

static inline int mempool_init_page_pool(mempool_t *pool, int min_nr, int order)
{
	return mempool_init(pool, min_nr, mempool_alloc_pages, mempool_free_pages,
			    (void *)(intptr_t)order);
}

static inline mempool_t *mempool_create_page_pool(int min_nr, int order)
{
	return mempool_create(min_nr, mempool_alloc_pages, mempool_free_pages,
			      (void *)(intptr_t)order);
}

STELE_EXTERN_C_END

#endif
