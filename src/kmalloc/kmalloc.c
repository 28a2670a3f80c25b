/* SPDX-License-Identifier: MIT */
/*
 * kmalloc/kmalloc.c - kmalloc, kfree and what they know about sizes
 *
 * Idea      The fast way is one table load and the fast path of cache/fast.h. It asks for
 *           rare cases (size 0, large, first call, an alignment, a node) after that failed.
 * Context   any.
 * Failure   NULL: no memory, or too large (one message). kfree() of a pointer that is not
 *           ours is reported by cache/free.c under the name of the call.
 * Unlike    the kernel: one row of caches for all flags, since memory here has no zones and
 *           no accounting; large requests take exact pages.
 * Tests     tests/contract/test_kmalloc.c
 */
#include "kmalloc/kmalloc.h"
#include "cache/fast.h"
#include "cache/object.h"
#include "cache/resting.h"
#include "percpu/percpu.h"
#include "slab/kmem_cache.h"
#include "slab/checks.h"
#include "trace/trace.h"

#include <string.h>

#include "page/run.h"

bool stele_request_valid(const struct stele_request *r)
{
	if (r->align & (r->align - 1) && r->align > 1)
		return stele_refuse_align(r);
	return r->size <= r->limit || stele_refuse_size(r);
}

void *stele_request_pages(const struct stele_request *r, size_t *bytes)
{
	size_t page = stele_page_size();

	/* Whole pages, so that a cleared allocation is clear up to ksize(). */
	*bytes = STELE_ALIGN_UP(stele_watch_room(r->size), page);
	if (pages_fail(*bytes, r->gfp, r->site))
		return NULL;
	return stele_block_take(*bytes, STELE_MAX(r->align, page), r->gfp, r->node);
}

/*
 * The size, rounded up to a multiple of the alignment: the class of such a size has the alignment. If
 * classes lie closer together than @align there, the multiple is itself a class. If they lie farther
 * apart, every class there is a multiple of @align.
 */
static size_t size_for_align(size_t size, size_t align)
{
	return align > ARCH_KMALLOC_MINALIGN ? STELE_ALIGN_UP(size, align) : size;
}

/* With several memory nodes no fast path is open. With one node the fast path serves, unless the call
 * insists on a node that does not exist. */
static void *alloc_object(struct kmem_cache *s, const struct stele_request *r)
{
	if (slab_fails(s, r->gfp, r->site))
		return NULL;
	if (nodes_several() || (r->node > 0 && r->gfp & __GFP_THISNODE))
		return stele_alloc_at(s, r->gfp, r->node, EFFORT_USUAL);
	return slab_alloc(s, r->gfp);
}

void *stele_request_serve(const struct stele_request *r, size_t *bytes)
{
	struct kmem_cache *s;
	size_t size;

	*bytes = 0;
	if (!stele_request_valid(r))
		return NULL;
	stele_kmalloc_init(0);
	size = size_for_align(r->size, r->align);
	if (size > KMALLOC_MAX_CACHE_SIZE)
		return stele_request_pages(r, bytes);
	s = stele_cache_for(size);
	if (!s)
		return NULL;
	*bytes = s->size;
	return alloc_object(s, r);
}

void stele_kmalloc_event(const void *site, void *p, size_t req, size_t alloc, gfp_t gfp, int node)
{
	TRACE(KMALLOC, .call_site = site, .ptr = p, .bytes_req = req, .bytes_alloc = alloc,
	      .gfp_flags = gfp, .node = node);
}

void stele_kmalloc_taken(const void *site, void *p, size_t req, size_t alloc, gfp_t gfp, int node)
{
	if (watching())
		stele_watch_taken(p, req, site, KIND_UNKNOWN);
	stele_kmalloc_event(site, p, req, alloc, gfp, node);
}

void *stele_request_alloc(const struct stele_request *r)
{
	size_t bytes;
	void *p;

	if (r->size == 0)
		return ZERO_SIZE_PTR;
	p = stele_request_serve(r, &bytes);
	return stele_request_report(r, p, bytes);
}

/* @s: the cache, whose fast path failed; NULL: the size has no cache, or not yet. */
static __attribute__((noinline)) void *kmalloc_slow(size_t size, gfp_t gfp, struct kmem_cache *s,
						    const void *site)
{
	const struct stele_request r = { .size = size,
					 .limit = KMALLOC_MAX_SIZE,
					 .gfp = gfp,
					 .node = NUMA_NO_NODE,
					 .site = site };

	if (!s)
		return stele_request_alloc(&r);
	if (slab_fails(s, gfp, site))
		return stele_request_report(&r, NULL, s->size);
	return stele_request_report(&r, stele_alloc_at(s, gfp, NUMA_NO_NODE, EFFORT_USUAL),
				    s->size);
}

void *kmalloc(size_t size, gfp_t gfp)
{
	struct kmem_cache *s = stele_cache_for(size);
	void *p = stele_likely(s != NULL) ? pcpu_pop(s->words) : NULL;

	if (stele_unlikely(!p))
		return kmalloc_slow(size, gfp, s, STELE_CALLER);
	probe_kmalloc(p, size);
	return stele_unlikely(gfp & __GFP_ZERO) ? stele_zero_object(s, p) : p;
}

void *kmalloc_node(size_t size, gfp_t gfp, int node)
{
	const struct stele_request r = {
		.size = size,
		.limit = KMALLOC_MAX_SIZE,
		.gfp = gfp,
		.node = node,
		.site = STELE_CALLER,
	};

	return stele_request_alloc(&r);
}

static __attribute__((noinline)) void kfree_late(void *p, const void *site)
{
	if (!ZERO_OR_NULL_PTR(p) && !stele_resting_free(p))
		stele_free_any("kfree", p, site, EFFORT_USUAL);
}

static __attribute__((noinline)) void kfree_slow(void *p, const void *site)
{
	if (stele_unlikely(!resting_free_fast(p)))
		kfree_late(p, site);
}

void kfree(const void *p)
{
	probe_kfree(p);
	if (stele_unlikely(!slab_free_fast((void *)p)))
		kfree_slow((void *)p, STELE_CALLER);
}

void kfree_sensitive(const void *p)
{
	if (ZERO_OR_NULL_PTR(p))
		return;
	explicit_bzero((void *)p, stele_usable(p));
	stele_free("kfree_sensitive", (void *)p, STELE_CALLER);
}

size_t ksize(const void *p)
{
	size_t usable;

	if (ZERO_OR_NULL_PTR(p))
		return 0;
	usable = stele_usable(p);
	if (!usable)
		stele_refuse_ksize(p, STELE_CALLER);
	return usable;
}

size_t kmalloc_size_roundup(size_t size)
{
	struct kmem_cache *s = stele_cache_for(size);

	if (s)
		return load_relaxed(&s->object_size);
	if (size == 0 || size > KMALLOC_MAX_SIZE)
		return size;
	stele_kmalloc_init(0);
	if (size > KMALLOC_MAX_CACHE_SIZE)
		return STELE_ALIGN_UP(size, stele_page_size());
	s = stele_cache_for(size);
	return s ? load_relaxed(&s->object_size) : size;
}
