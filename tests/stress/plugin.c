/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/plugin.c - what tests/stress/plugins.c loads: a constructor makes caches and uses
 * them, a destructor destroys them. Its restartable sequences go with it.
 */
#include <stdlib.h>
#include <string.h>

#include <stele/inline.h>

#define CACHES 3
#define OBJECTS 70

static struct kmem_cache *caches[CACHES];
static void *rests[CACHES];

static void use_cache(struct kmem_cache *s)
{
	void *p[OBJECTS];

	for (int i = 0; i < OBJECTS; i++) {
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
		if (!p[i])
			abort();
		memset(p[i], i, kmem_cache_size(s));
	}
	for (int i = 0; i < OBJECTS; i++)
		kmem_cache_free(s, p[i]);
}

static __attribute__((constructor)) void load(void)
{
	for (int i = 0; i < CACHES; i++) {
		caches[i] = kmem_cache_create("plugin", 40u << i, 0, SLAB_NO_MERGE, NULL);
		if (!caches[i])
			abort();
		use_cache(caches[i]);
		rests[i] = kmem_cache_alloc(caches[i], GFP_KERNEL);
	}
}

static __attribute__((destructor)) void unload(void)
{
	for (int i = 0; i < CACHES; i++) {
		kmem_cache_free(caches[i], rests[i]);
		use_cache(caches[i]);
		kmem_cache_destroy(caches[i]);
	}
}
