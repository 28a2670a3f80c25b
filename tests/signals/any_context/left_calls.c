/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/left_calls.c - TABLE: the calls of the library that a handler leaves
 *
 * Idea      left.h leaves the phases at every instruction; here are the calls of the phases, and those
 *           of the thread that goes on.
 * Argument  the table, then "jumps", "exits", "stays" or "control", as left.h says.
 */
#include "../../toy_flavor.h"
#include "left.h"
#include "../another_cache.h"

#include <stele/mempool.h>
#include <stele/page.h>
#include <stele/rcu.h>
#include <stele/slab.h>

struct thing {
	uint64_t words[6];
	struct kvfree_rcu_head rcu;
};

static struct kmem_cache *cache;
static mempool_t pool;

/* ---- the ways to free ---- */

static void free_any(void *p)
{
	kfree(p);
}

static void free_typed(void *p)
{
	kmem_cache_free(cache, p);
}

static void free_nolock(void *p)
{
	kfree_nolock(p);
}

static void free_later(void *p)
{
	kfree_rcu((struct thing *)p, rcu);
}

static void free_later_nolock(void *p)
{
	kfree_rcu_nolock((struct thing *)p, rcu);
}

static void free_virtual(void *p)
{
	kvfree(p);
}

static void free_one_page(void *p)
{
	free_pages((unsigned long)p, 1);
}

static void free_element(void *p)
{
	mempool_free(p, &pool);
}

/* ---- the phases ---- */

static void by_size(void)
{
	static const size_t sizes[] = { 8, 96, 512, 4096, 24000, 32768 };

	for (unsigned i = 0; i < 6; i++) {
		hold(i, kmalloc(sizes[i], GFP_ATOMIC), sizes[i], free_any);
		let_go(i);
	}
}

static void refill(void)
{
	for (unsigned i = 0; i < HELD; i++)
		hold(i, kmem_cache_alloc(cache, GFP_ATOMIC), 72, free_typed);
	let_all_go();
}

/* Slabs are partial, listed, and dead on their stack. */
static void partial(void)
{
	for (unsigned i = 0; i < HELD; i++)
		hold(i, kmem_cache_alloc(cache, GFP_ATOMIC), 72, i % 2 ? free_typed : free_nolock);
	for (unsigned third = 0; third < 3; third++)
		for (unsigned i = third; i < HELD; i += 3)
			let_go(i);
}

static void no_lock(void)
{
	for (unsigned i = 0; i < 60; i++)
		hold(i,
		     i % 2 ? kmalloc_nolock(1000, 0, NUMA_NO_NODE)
			   : kmem_cache_alloc_nolock(cache, 0, NUMA_NO_NODE),
		     72, free_nolock);
	let_all_go();
}

/* Memory in slabs rises by more than 2 MiB and falls. */
static void decay(void)
{
	for (unsigned i = 0; i < HELD; i++)
		hold(i, kmalloc(24000, GFP_ATOMIC), 24000, free_any);
	let_all_go();
}

static void bulk(void)
{
	static void *p[40];

	MUST(kmem_cache_alloc_bulk(cache, GFP_ATOMIC, 40, p));
	kmem_cache_free_bulk(cache, 40, p);
}

static void large(void)
{
	static const size_t sizes[] = { 40 << 10, 300 << 10, 600 << 10, 3 << 20, 2200 << 10 };

	for (unsigned i = 0; i < 5; i++)
		hold(i, kvmalloc(sizes[i], GFP_ATOMIC), sizes[i], free_virtual);
	let_all_go();
}

static void resized(void)
{
	static const size_t sizes[] = { 64, 300, 4096, 40 << 10, 300 << 10, 100, 0 };
	void *p = kmalloc(200, GFP_ATOMIC);

	for (unsigned i = 0; i < 7; i++) {
		p = krealloc(p, sizes[i], GFP_ATOMIC);
		MUST(p);
	}
}

static void pages(void)
{
	for (unsigned i = 0; i < 12; i++)
		hold(i, (void *)__get_free_pages(GFP_ATOMIC, 1), 8192, free_one_page);
	let_all_go();
}

static void after_readers(void)
{
	for (unsigned i = 0; i < HELD; i++)
		hold(i, kmalloc(sizeof(struct thing), GFP_ATOMIC), sizeof(struct thing),
		     i % 4 ? free_later : free_later_nolock);
	let_all_go();
}

static void reserve(void)
{
	for (unsigned i = 0; i < 8; i++)
		hold(i, mempool_alloc(&pool, GFP_ATOMIC), 64, free_element);
	let_all_go();
}

/* Frames run out, at the first request and later. */
static void no_frames(void)
{
	for (int nth = 1; nth <= 5; nth += 2) {
		void *p;

		*page_fail = nth;
		for (unsigned i = 0; i < HELD / 2; i++)
			if ((p = i % 2 ? kmalloc(3000, GFP_ATOMIC | __GFP_NOWARN)
				       : kmalloc_nolock(3000, 0, NUMA_NO_NODE)))
				hold(i, p, 3000, free_any);
		kvfree(kvmalloc(300 << 10, GFP_ATOMIC | __GFP_NOWARN));
		*page_fail = 0;
		let_all_go();
	}
}

/* ---- the thread that goes on ---- */

static void use_data_path(void)
{
	void *p[60];

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 60; i++)
			MUST(p[i] = round ? kmalloc(40u << round * 3, GFP_KERNEL)
					  : kmem_cache_alloc(cache, GFP_KERNEL));
		for (unsigned i = 0; i < 60; i++)
			kfree(p[i]);
	}
	MUST(p[0] = mempool_alloc(&pool, GFP_KERNEL));
	mempool_free(p[0], &pool);
	MUST(p[0] = kvmalloc(700 << 10, GFP_KERNEL));
	kvfree(p[0]);
}

static void use_control_path(void)
{
	use_another_cache();
	kvfree_rcu_barrier();
	stele_deferred_barrier();
	stele_trim(0);
}

/* ---- what the neighbour has ---- */

static void *take_block(size_t bytes)
{
	return kvmalloc_node_align(bytes, 4096, GFP_ATOMIC | __GFP_NOWARN, NUMA_NO_NODE);
}

static void give_block(void *p)
{
	kvfree(p);
}

static void empty_caches(void)
{
	stele_trim(0);
}

/* ---- the program ---- */

static void (*const phases[])(void) = {
	by_size, refill, partial,	no_lock, bulk,	    reserve,
	resized, pages,	 after_readers, large,	 no_frames, decay,
};
#define PHASES (sizeof(phases) / sizeof(phases[0]))

static void run(unsigned number)
{
	phases[number]();
}

int main(int argc, char **argv)
{
	struct trap_plan calls = {
		.function = (const void *)kmalloc,
		.function_name = "kmalloc",
		.phases = PHASES,
		.phase = run,
		.share = 15,
	};

	left_prepare(&calls, argc, argv);
	cache = kmem_cache_create("left", 72, NULL, SLAB_NO_MERGE);
	MUST(cache && stele_rcu_set_flavor(&toy_flavor) == 0);
	MUST(mempool_init_kmalloc_pool(&pool, 4, 64) == 0);
	left_run();
	return 0;
}
