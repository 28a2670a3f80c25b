/* SPDX-License-Identifier: MIT */
/*
 * tests/growth/world.h - a world of the library's objects, and calls of each kind in it
 *
 * Idea      A world of size 1 has caches with objects in sheaves, small and large blocks with holes
 *           between them, and huge blocks. A world of size 16 has 16 times as many of each.
 * Kinds     take turns, so that each one finds what the others have left. Calls that by their nature
 *           look at everything come now and then: a trim makes the next calls of all kinds slow.
 */
#ifndef STELE_TESTS_GROWTH_WORLD_H
#define STELE_TESTS_GROWTH_WORLD_H

#include "../toy_flavor.h"
#include "kind.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <stele/mempool.h>
#include <stele/page.h>
#include <stele/rcu.h>
#include <stele/slab.h>
#include <stele/stats.h>

#define CACHES 64  /* in a world of size 1 */
#define SMALL 3000 /* blocks of up to 4 KiB */
#define LARGE 100  /* of 60 to 140 KB */
#define HUGE 12	   /* of 2.1 to 4 MB: more than an area */
#define BURST 40

struct item {
	char bytes[200];
	struct kvfree_rcu_head rcu;
};

static struct kmem_cache *some, *items;
static mempool_t *pool;
static void *block(size_t size)
{
	char *p = kmalloc(size, GFP_KERNEL);

	MUST(p);
	p[0] = 1;
	return p;
}

static void give_back(void *p)
{
	kfree(p);
}

static void caches_with_objects(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		char name[24];
		struct kmem_cache *s;
		void *p[3];

		snprintf(name, sizeof(name), "world-%u", i);
		s = kmem_cache_create(name, 64 + i % 7 * 40, NULL, SLAB_NO_MERGE);
		MUST(s);
		for (int j = 0; j < 3; j++)
			MUST((p[j] = kmem_cache_alloc(s, 0)));
		for (int j = 0; j < 2; j++)
			kmem_cache_free(s, p[j]);
	}
}

static void make_world(unsigned scale)
{
	caches_with_objects(CACHES * scale);
	blocks_with_holes(block, give_back, SMALL * scale, 8, 4096);
	blocks_with_holes(block, give_back, LARGE * scale, 60000, 140000);
	blocks_with_holes(block, give_back, HUGE * scale, 2100000, 4000000);
	MUST(stele_rcu_set_flavor(&toy_flavor) == 0);
	some = kmem_cache_create("some", 500, NULL, SLAB_NO_MERGE);
	items = kmem_cache_create("items", sizeof(struct item), NULL, SLAB_NO_MERGE);
	pool = mempool_create_kmalloc_pool(4, 300);
	MUST(some && items && pool);
}

static void objects(void)
{
	void *p[BURST];

	for (int i = 0; i < BURST; i++)
		p[i] = kmem_cache_alloc(some, 0);
	for (int i = 0; i < BURST; i++)
		kmem_cache_free(some, p[i]);
}

static void small_blocks(void)
{
	void *p[BURST];

	for (int i = 0; i < BURST; i++)
		p[i] = kmalloc(size_between(1, 4096), GFP_KERNEL);
	for (int i = 0; i < BURST; i++)
		kfree(p[i]);
}

static void large(void)
{
	kfree(kmalloc(100000, GFP_KERNEL));
}

static void huge(void)
{
	kfree(kmalloc(2100000, GFP_KERNEL));
}

static void many(unsigned n, size_t size)
{
	void *p[BURST];

	for (unsigned i = 0; i < n; i++)
		p[i] = block(size);
	for (unsigned i = 0; i < n; i++)
		kfree(p[i]);
}

static void many_large(void)
{
	many(BURST, 100000);
}

static void many_huge(void)
{
	many(HUGE, 2100000);
}

static void growing(void)
{
	void *p = NULL;

	for (size_t size = 5000; size < 12000; size += size / 4)
		p = krealloc(p, size, GFP_KERNEL);
	kfree(p);
}

static void growing_huge(void)
{
	void *p = NULL;

	/* A block of up to 32 MiB may be a row of frames, which is copied once. */
	for (size_t size = 40000000; size < 200000000; size += size / 2)
		MUST(p = kvrealloc(p, size, GFP_KERNEL));
	kvfree(p);
}

static void pages(void)
{
	struct page *page = alloc_pages(GFP_KERNEL, 4);

	if (page)
		__free_pages(page, 4);
}

static void nolock(void)
{
	void *p[BURST];

	for (int i = 0; i < BURST; i++)
		p[i] = kmalloc_nolock(300, 0, NUMA_NO_NODE);
	for (int i = 0; i < BURST; i++)
		kfree_nolock(p[i]);
}

static void bulk(void)
{
	void *p[BURST];

	if (kmem_cache_alloc_bulk(some, GFP_KERNEL, BURST, p))
		kmem_cache_free_bulk(some, BURST, p);
}

static void deferred(void)
{
	for (int i = 0; i < BURST; i++) {
		struct item *item = kmem_cache_alloc(items, 0);

		if (item)
			kfree_rcu(item, rcu);
	}
}

static void shrink(void)
{
	kmem_cache_shrink(some);
}

static void elements(void)
{
	void *p[BURST];

	for (int i = 0; i < BURST; i++)
		p[i] = mempool_alloc(pool, GFP_KERNEL);
	for (int i = 0; i < BURST; i++)
		mempool_free(p[i], pool);
}

static void trim(void)
{
	stele_trim(0);
}

static void read_stats(void)
{
	struct stele_stats stats;

	stele_stats_read(&stats);
}

static void create(void)
{
	kmem_cache_destroy(kmem_cache_create("other", 900, NULL, 0));
}

static void barrier(void)
{
	deferred();
	kvfree_rcu_barrier();
}

static const struct kind kinds[] = {
	{ "40 objects of a cache", objects, 1 },
	{ "40 blocks of up to 4 KiB", small_blocks, 1 },
	{ "a block of 100 KB", large, 1 },
	{ "a block of 2.1 MB", huge, 1 },
	{ "40 blocks of 100 KB", many_large, 1 },
	{ "12 blocks of 2.1 MB", many_huge, 1 },
	{ "a block that grows", growing, 1 },
	{ "a huge block that grows", growing_huge, 1 },
	{ "16 pages", pages, 1 },
	{ "40 blocks, _nolock", nolock, 1 },
	{ "40 objects in bulk", bulk, 1 },
	{ "40 elements of a mempool", elements, 1 },
	{ "40 calls of kfree_rcu()", deferred, 1 },
	{ "kmem_cache_shrink()", shrink, 1 },
	{ "kmem_cache_create()", create, 1 },
	{ "stele_trim()", trim, 6 },
	{ "stele_stats_read()", read_stats, 6 },
	{ "kvfree_rcu_barrier()", barrier, 6 },
};
#define KINDS (sizeof(kinds) / sizeof(kinds[0]))

#endif
