/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/inline_plugin.c - a plugin with fast paths of its own, for attack_unload.c
 */
#include <stdlib.h>

#include <stele/inline.h>

static struct kmem_cache *cache;

static __attribute__((constructor)) void make_cache(void)
{
	cache = kmem_cache_create("plugin", 100, 0, SLAB_NO_MERGE, NULL);
	if (!cache)
		abort();
	kmem_cache_free(cache, kmem_cache_alloc(cache, GFP_KERNEL));
}

__attribute__((visibility("default"))) void *take(size_t size, gfp_t gfp);
void *take(size_t size, gfp_t gfp)
{
	return size == 100 ? kmem_cache_alloc(cache, gfp) : NULL;
}

__attribute__((visibility("default"))) void give(void *p);
void give(void *p)
{
	kmem_cache_free(cache, p);
}
