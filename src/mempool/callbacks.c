/* SPDX-License-Identifier: MIT */
/*
 * mempool/callbacks.c - where the elements of slab, kmalloc and page pools come from
 *
 * Context   any.
 * Tests     tests/contract/test_mempool.c
 */
#include <stele/mempool.h>
#include <stele/page.h>

void *mempool_alloc_slab(gfp_t gfp, void *cache)
{
	return kmem_cache_alloc(cache, gfp);
}

void mempool_free_slab(void *p, void *cache)
{
	kmem_cache_free(cache, p);
}

void *mempool_kmalloc(gfp_t gfp, void *size)
{
	return kmalloc((size_t)size, gfp);
}

void mempool_kfree(void *p, void *size)
{
	(void)size;
	kfree(p);
}

void *mempool_alloc_pages(gfp_t gfp, void *order)
{
	return alloc_pages(gfp, (unsigned)(uintptr_t)order);
}

void mempool_free_pages(void *page, void *order)
{
	__free_pages(page, (unsigned)(uintptr_t)order);
}
