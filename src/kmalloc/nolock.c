/* SPDX-License-Identifier: MIT */
/*
 * kmalloc/nolock.c - allocation with nothing but promises
 *
 * Idea      The data path has no lock that could be busy, so these calls take the ordinary
 *           way. What they add is what they refuse: flags that could mean waiting, sizes
 *           that are not a bucket's.
 * Order of the tests: size 0, flags, size too large, as in the kernel.
 * Retry     once, from the next larger bucket: it may have an object where this one would
 *           need a slab. NULL after that is final.
 * Context   any. errno is preserved by the floors below.
 * Unlike    the kernel: a busy lock is never a reason for NULL, and nothing is deferred.
 * Tests     tests/contract/test_kmalloc.c
 */
#include "kmalloc/kmalloc.h"

#include <string.h>

#include "kmalloc/warn.h"
#include "page/run.h"

#define WANTED (__GFP_ZERO | __GFP_ACCOUNT)
#define IMPLIED (__GFP_NOWARN | __GFP_NOMEMALLOC)

/* Any other bit could ask for waiting or reclaim, which is the one thing not done here. */
static gfp_t nolock_gfp(gfp_t gfp)
{
	if (gfp & ~(WANTED | IMPLIED))
		STELE_WARN_ONCE("stele: kmalloc_nolock: flags 0x%x are not for this call\n",
				gfp & ~(WANTED | IMPLIED));
	return (gfp & WANTED) | IMPLIED;
}

static void *alloc_on(struct kmem_cache *s, gfp_t gfp, int node)
{
	return node == NUMA_NO_NODE ? slab_alloc(s, gfp) : kmem_cache_alloc_node(s, gfp, node);
}

void *kmalloc_nolock(size_t size, gfp_t gfp, int node)
{
	struct kmem_cache *s;
	void *p;

	if (size == 0)
		return ZERO_SIZE_PTR;
	gfp = nolock_gfp(gfp);
	stele_kmalloc_init(0);
	s = stele_cache_for(size);
	if (!s) /* above KMALLOC_MAX_CACHE_SIZE, or nothing could be started */
		return NULL;
	p = alloc_on(s, gfp, node);
	if (p)
		return p;
	s = stele_cache_for((size_t)s->object_size + 1);
	return s ? alloc_on(s, gfp, node) : NULL;
}

void kfree_nolock(const void *p)
{
	const struct run *run;

	if (ZERO_OR_NULL_PTR(p))
		return;
	run = stele_run_of(p);
	if (run && (run->kind == RUN_LARGE || run->kind == RUN_HUGE)) {
		STELE_WARN_ONCE("stele: large_kmalloc is not supported by kfree_nolock()\n");
		return;
	}
	stele_free("kfree_nolock", (void *)p);
}

void *kmem_cache_alloc_nolock(struct kmem_cache *s, gfp_t gfp, int node)
{
	return alloc_on(s, nolock_gfp(gfp), node);
}
