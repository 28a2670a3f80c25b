/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/storms/kinds_stele.c - the calls of the kernel's contract, each with the frees it
 * allows
 */
#include "kinds.h"

#include "../../stress/stress.h"

#define TYPED 136
#define TINY 24

static struct kmem_cache *typed, *tiny;

static void *make_plain(size_t size)
{
	return kmalloc(size, GFP_ATOMIC);
}

static void *make_zeroed(size_t size)
{
	return kzalloc(size, GFP_ATOMIC);
}

static void *make_nolock(size_t size)
{
	return kmalloc_nolock(size, 0, NUMA_NO_NODE);
}

static void *make_zeroed_nolock(size_t size)
{
	return kmalloc_nolock(size, __GFP_ZERO, NUMA_NO_NODE);
}

static void *make_typed(size_t size)
{
	(void)size;
	return kmem_cache_alloc(typed, GFP_ATOMIC);
}

static void *make_tiny(size_t size)
{
	(void)size;
	return kmem_cache_zalloc(tiny, GFP_ATOMIC);
}

/* One of several; the others go back as they came. */
static void *make_in_bulk(size_t size)
{
	void *p[12];

	(void)size;
	if (!kmem_cache_alloc_bulk(typed, GFP_ATOMIC, 12, p))
		return NULL;
	kmem_cache_free_bulk(typed, 11, p + 1);
	return p[0];
}

static void *make_virtual(size_t size)
{
	return kvmalloc(size, GFP_ATOMIC);
}

static void drop_plain(void *p)
{
	kfree(p);
}

static void drop_nolock(void *p)
{
	kfree_nolock(p);
}

static void drop_typed(void *p)
{
	kmem_cache_free(typed, p);
}

static void drop_virtual(void *p)
{
	kvfree(p);
}

static void *resize_plain(void *p, size_t size)
{
	return krealloc(p, size, GFP_ATOMIC);
}

const struct kind kinds[] = {
	{ "kmalloc, krealloc", make_plain, drop_plain, resize_plain, 0, 0, 8, false },
	{ "kzalloc", make_zeroed, drop_plain, NULL, 0, 0, 8, true },
	{ "kmalloc_nolock, kfree_nolock", make_nolock, drop_nolock, NULL, 0, 30000, 8, false },
	{ "kmalloc_nolock, kfree", make_zeroed_nolock, drop_plain, NULL, 0, 3000, 8, true },
	{ "kmem_cache_alloc, kmem_cache_free", make_typed, drop_typed, NULL, TYPED, 0, 8, false },
	{ "kmem_cache_alloc_bulk", make_in_bulk, drop_typed, NULL, TYPED, 0, 8, false },
	{ "kmem_cache_zalloc, kfree", make_tiny, drop_plain, NULL, TINY, 0, 8, true },
	{ "kvmalloc, kvfree", make_virtual, drop_virtual, NULL, 0, 0, 8, false },
};
const unsigned kinds_count = sizeof(kinds) / sizeof(kinds[0]);

void kinds_start(const char *argument)
{
	(void)argument;
	typed = kmem_cache_create("storm-typed", TYPED, NULL, SLAB_NO_MERGE);
	tiny = kmem_cache_create("storm-tiny", TINY, NULL, SLAB_NO_MERGE);
	MUST(typed && tiny);
}

void kinds_trim(void)
{
	kmem_cache_shrink(typed);
	stele_trim(1 << 20);
}

int kinds_finish(unsigned long made)
{
	MUST(kmem_cache_shrink(typed) == 0);
	MUST(kmem_cache_shrink(tiny) == 0);
	kmem_cache_destroy(typed);
	kmem_cache_destroy(tiny);
	atomic_store(&steps, made);
	return finish(1 << 20);
}
