/* SPDX-License-Identifier: MIT */
/* A destroyed cache is used: a debug build names it, for some time after. */
#include "death.h"

int main(void)
{
	struct kmem_cache *s = kmem_cache_create("gone", 64, 0, SLAB_NO_MERGE, NULL), *next;
	void *p = kmalloc(64, GFP_KERNEL);

	MUST(s && p);
	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	kmem_cache_destroy(s);
	next = kmem_cache_create("next", 64, 0, SLAB_NO_MERGE, NULL);
	MUST(next && next != s);
	said_begin();
	MUST(!kmem_cache_alloc(s, GFP_KERNEL));
	MUST(!kmem_cache_alloc(s, GFP_KERNEL | __GFP_ZERO));
	kmem_cache_free(s, p);
	MUST(kmem_cache_shrink(s) == 0);
	kmem_cache_destroy(s);
	if (!said("stele: kmem_cache_alloc(gone): the cache was destroyed\n"
		  "stele: kmem_cache_alloc(gone): the cache was destroyed\n"
		  "stele: kmem_cache_free(gone): the cache was destroyed\n"
		  "stele: kmem_cache_shrink(gone): the cache was destroyed\n"
		  "stele: kmem_cache_destroy(gone): the cache was destroyed\n"))
		return 1;
	p = kmem_cache_alloc(next, GFP_KERNEL);
	MUST(p);
	kmem_cache_free(next, p);
	kmem_cache_destroy(next);
	return 0;
}
