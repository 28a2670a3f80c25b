/* SPDX-License-Identifier: MIT */
/*
 * cache/fast.h - the fast paths of allocating and freeing
 *
 * Idea      alloc: pop from the slot's sheaf. free: address -> tag -> the cache's words -> push.
 *           Where a step fails, a plainly named slow path takes over (object.h).
 * Context   any.
 */
#ifndef STELE_CACHE_FAST_H
#define STELE_CACHE_FAST_H

#include "cache/object.h"
#include "percpu/step.h"
#include "slab/object.h"
#include "trace/trace.h"

/* Without an event: the caller reports, or it is the library's own. */
static inline __attribute__((always_inline)) void *slab_alloc(struct kmem_cache *s, gfp_t gfp)
{
	void *p = pcpu_pop(s->words);

	if (stele_unlikely(!p))
		return stele_alloc_anywhere(s, gfp);
	if (stele_unlikely(gfp & __GFP_ZERO))
		stele_zero_object(s, p);
	return p;
}

/* The same for a call that may be made to fail. @site: where the call returns to. */
static inline void *slab_alloc_for(struct kmem_cache *s, gfp_t gfp, const void *site)
{
	return slab_fails(s, gfp, site) ? NULL : slab_alloc(s, gfp);
}

/* Frees an object of any cache by the @push step. False: take the slow way. */
static inline __attribute__((always_inline)) bool slab_free_by(bool (*push)(uint64_t, void *),
							       void *p)
{
	const struct object_facts *facts;
	uint64_t tag;

	if (stele_unlikely(!in_heap(p)))
		return false;
	tag = tag_at(p);
	facts = facts_at(tag_words(tag));
	if (stele_unlikely(!tag_has_object_at(tag, p, facts->recip, facts->limit)))
		return false;
	return push(tag_words(tag), p);
}

static inline __attribute__((always_inline)) bool slab_free_fast(void *p)
{
	return slab_free_by(pcpu_push, p);
}

#endif
