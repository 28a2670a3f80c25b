/* SPDX-License-Identifier: MIT */
/*
 * cache/object.c - kmem_cache_alloc(), kmem_cache_free() and their kin
 *
 * Idea      Each is its fast step, and one call to the slow path when the step fails. Bulk allocation is
 *           all or nothing.
 * Events    kmem_cache_alloc and kmem_cache_free; bulk: one for each object.
 * Context   any.
 * Failure   NULL or false; of a bulk, the objects that were gathered go back.
 * Tests     tests/contract/test_cache_objects.c, tests/contract/test_bulk_sheaf.c,
 *           tests/contract/test_nolock.c, tests/contract/test_node.c
 */
#include "base/basics.h"
#include "cache/fast.h"
#include "cache/object.h"
#include "os/os.h"
#include "base/fmt.h"
#include "trace/trace.h"
#include <stele/gfp.h>

/* ---- allocate ---- */

static inline __attribute__((always_inline)) void *cache_alloc(struct kmem_cache *s, gfp_t gfp,
							       int node)
{
	void *p = pcpu_pop(s->words);

	if (stele_unlikely(!p))
		return stele_cache_alloc_at(s, gfp, node, EFFORT_USUAL, STELE_CALLER);
	probe_kmem_cache_alloc(p, &s->name_at, &s->object_size, &s->size, gfp);
	return stele_unlikely(gfp & __GFP_ZERO) ? stele_zero_object(s, p) : p;
}

void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp)
{
	return cache_alloc(s, gfp, NUMA_NO_NODE);
}

void *kmem_cache_alloc_node(struct kmem_cache *s, gfp_t gfp, int node)
{
	/* Where memory has several nodes, no fast path is open. */
	if (node > 0 && gfp & __GFP_THISNODE)
		return stele_cache_alloc_at(s, gfp, node, EFFORT_USUAL, STELE_CALLER);
	return cache_alloc(s, gfp, node);
}

bool kmem_cache_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n, void **p)
{
	for (size_t i = 0; i < n; i++) {
		p[i] = cache_alloc(s, gfp, NUMA_NO_NODE);
		if (!p[i]) {
			kmem_cache_free_bulk(s, i, p);
			return false;
		}
	}
	return n > 0;
}

static __attribute__((noinline)) void *cache_nolock_slow(struct kmem_cache *s, gfp_t gfp, int node,
							 const void *site)
{
	NOLOCK_WARN_FLAGS("kmem_cache_alloc_nolock", gfp, site);
	return stele_cache_alloc_at(s, gfp, node, EFFORT_BOUNDED, site);
}

STELE_NEVER_WAITS void *kmem_cache_alloc_nolock(struct kmem_cache *s, gfp_t gfp, int node)
{
	void *p = nolock_permits(gfp) ? pcpu_pop(s->words) : NULL;

	if (stele_unlikely(!p))
		return cache_nolock_slow(s, gfp, node, STELE_CALLER);
	probe_kmem_cache_alloc(p, &s->name_at, &s->object_size, &s->size, gfp);
	return stele_unlikely(gfp & __GFP_ZERO) ? stele_zero_object(s, p) : p;
}

bool kmem_cache_charge(void *p, gfp_t gfp)
{
	(void)p, (void)gfp;
	return true; /* nothing is accounted, so nothing can be refused */
}

/* ---- free ---- */

/* The words are taken from @s, not from the tag: they are then known before the tag is. */
static inline __attribute__((always_inline)) void cache_free(const char *call, struct kmem_cache *s,
							     void *p)
{
	probe_kmem_cache_free(p, &s->name_at);
	if (stele_likely(in_heap(p))) {
		uint64_t tag = tag_at(p), words = s->words;

		if (stele_likely(tag_words(tag) == words &&
				 tag_has_object_at(tag, p, s->fast_recip, s->fast_limit) &&
				 pcpu_push(words, p)))
			return;
	}
	stele_free_into(call, s, p, STELE_CALLER);
}

void kmem_cache_free(struct kmem_cache *s, void *p)
{
	cache_free("kmem_cache_free", s, p);
}

void kmem_cache_free_bulk(struct kmem_cache *s, size_t n, void **p)
{
	for (size_t i = 0; i < n; i++) {
		if (s)
			cache_free("kmem_cache_free_bulk", s, p[i]);
		else
			stele_free("kfree_bulk", p[i], STELE_CALLER);
	}
}
