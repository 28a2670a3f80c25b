/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/slab_ways.h - the ways to make, resize and drop an object, of
 * slab_calls.c
 *
 * Idea      A way is a call that allocates: from the cache of the phase, by size, without a lock,
 *           by pages, or in virtual memory. An object remembers its way, and is freed by a call
 *           that fits. Every eighth is cleared, unless a constructor has made it.
 * Included  by slab_calls.c alone.
 */
#ifndef TESTS_ANY_CONTEXT_SLAB_WAYS_H
#define TESTS_ANY_CONTEXT_SLAB_WAYS_H

#include "slab/kmem_cache.h"
#include "work.h"

#include <stele/page.h>
#include <stele/slab.h>
#include <string.h>

enum {
	TYPED,
	BY_SIZE,
	NOLOCK,
	TYPED_NOLOCK,
	RESIZED,
	WAYS,
	IN_BULK = WAYS,
	PAGES,
	PAGES_NOLOCK,
	VIRTUAL
};

#define NOLOCK_MAX KMALLOC_MAX_CACHE_SIZE

struct phase {
	void (*run)(void);
	size_t size;	     /* of the objects by size */
	unsigned cache_size; /* of the typed ones */
	unsigned events;     /* a callback is registered for these */
};

static const unsigned cache_sizes[] = { 64, 1024, 256, 512, 4096, 2048 };
#define CACHES (sizeof(cache_sizes) / sizeof(cache_sizes[0]))
static struct kmem_cache *caches[CACHES];
static const struct phase *now;
static struct kmem_cache *cache;

/* Now and then cleared; but not what a constructor has made. */
static inline gfp_t clear_some(void)
{
	return turn % 8 || cache->ctor ? 0 : __GFP_ZERO;
}

static inline void *pages_of(size_t size)
{
	return (void *)__get_free_pages(GFP_ATOMIC, (unsigned)get_order(size));
}

static inline void *call_alloc(unsigned way, size_t size)
{
	switch (way) {
	case TYPED:
		return kmem_cache_alloc(cache, GFP_ATOMIC | clear_some());
	case TYPED_NOLOCK:
		return kmem_cache_alloc_nolock(cache, clear_some(), turn % 3 ? NUMA_NO_NODE : 0);
	case NOLOCK:
		return kmalloc_nolock(size, turn % 8 ? 0 : __GFP_ZERO, turn % 3 ? NUMA_NO_NODE : 0);
	case PAGES:
		return pages_of(size);
	case PAGES_NOLOCK:
		return page_address(alloc_pages_nolock(0, NUMA_NO_NODE, (unsigned)get_order(size)));
	case RESIZED:
		return krealloc(NULL, size, GFP_ATOMIC);
	case VIRTUAL:
		return kvmalloc_node_align(size, turn % 2 ? 64 : 1, GFP_ATOMIC, NUMA_NO_NODE);
	default:
		if (turn % 8 == 1)
			return kmalloc_node(size, GFP_ATOMIC, NUMA_NO_NODE);
		return kmalloc(size, turn % 8 ? GFP_ATOMIC : GFP_ATOMIC | __GFP_ZERO);
	}
}

static inline size_t size_for(unsigned way, size_t size)
{
	if (way == TYPED || way == TYPED_NOLOCK)
		return now->cache_size;
	return way == NOLOCK && size > NOLOCK_MAX ? 512 : size;
}

/* False: there was no memory, and none was promised. */
static bool make(unsigned way, size_t size, struct object *o)
{
	void *p;

	size = size_for(way, size);
	p = call_alloc(way, size);
	MUST(p || may_fail());
	if (p)
		*o = object_signed(p, size, way);
	o->from = cache;
	turn++;
	return p != NULL;
}

static void drop(const struct object *o)
{
	object_check(o);
	*last_word(o) = 0;
	if (o->way == TYPED || (o->way == TYPED_NOLOCK && turn % 2))
		kmem_cache_free(o->from, o->p);
	else if (o->way == PAGES)
		free_pages((unsigned long)o->p, (unsigned)get_order(o->size));
	else if (o->way == PAGES_NOLOCK)
		free_pages_nolock(virt_to_page(o->p), (unsigned)get_order(o->size));
	else if (o->way == VIRTUAL)
		kvfree(o->p);
	else if (o->way == NOLOCK || (o->way == BY_SIZE && o->size <= NOLOCK_MAX && turn % 4 == 0))
		kfree_nolock(o->p);
	else
		kfree(o->p);
	turn++;
}

static void resize_to(struct object *o, size_t size)
{
	gfp_t gfp = turn++ % 2 ? GFP_ATOMIC : GFP_ATOMIC | __GFP_ZERO;
	size_t align = turn % 4 ? 1 : 128;
	void *p = size > KMALLOC_MAX_SIZE
			  ? kvrealloc(o->p, size, gfp)
			  : krealloc_node_align(o->p, size, align, gfp, NUMA_NO_NODE);

	MUST(p || may_fail());
	if (!p)
		return;
	o->p = p;
	object_check_to(o, size < o->size ? size : o->size - 8);
	*o = object_signed(p, size, RESIZED);
}

/* ---- the caches ---- */

static inline void construct(void *p)
{
	memset(p, 0, 512);
}

static inline void make_caches(void)
{
	struct kmem_cache_args args = { .ctor = construct };

	caches[0] = kmem_cache_create("any-64", 64, NULL, SLAB_NO_MERGE);
	caches[1] = kmem_cache_create("any-1024", 1024, NULL, SLAB_NO_MERGE);
	caches[2] = kmem_cache_create("any-bare", 256, NULL, SLAB_CONSISTENCY_CHECKS);
	caches[3] = kmem_cache_create("any-made", 512, &args, SLAB_NO_MERGE);
	caches[4] = kmem_cache_create("any-4096", 4096, NULL, SLAB_NO_MERGE);
	caches[5] = kmem_cache_create("any-bare-2048", 2048, NULL, SLAB_CONSISTENCY_CHECKS);
	for (unsigned i = 0; i < CACHES; i++)
		MUST(caches[i]);
}

#endif
