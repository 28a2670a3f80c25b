/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/slab_calls.c - TABLE: kmalloc, typed caches and pages at every
 * instruction
 *
 * Idea      Each phase goes through one part of the data path, fast or slow. The handler
 *           allocates, writes, checks and frees from the cache and of the size that the phase is
 *           busy with, by every call; it leaves objects to the phase and frees some of the
 *           phase's.
 * Nothing lost: when all objects are freed and the sheaves emptied, no memory is in use.
 */
#include "slab_ways.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <stele/page.h>
#include <stele/slab.h>
#include <stele/stats.h>
#include <stele/trace.h>
#include <string.h>

static volatile unsigned long events_seen;

/* ---- the handler ---- */

static void resize(unsigned way)
{
	struct object o;
	size_t other = now->size > 256 ? now->size / 2 : now->size * 2;
	void *p;

	if (!make(way, now->size, &o))
		return;
	p = krealloc(o.p, other, GFP_ATOMIC);
	MUST(p || may_fail());
	if (p) {
		struct object moved = { p, o.size, o.token, RESIZED, NULL };

		object_check_to(&moved, other < o.size ? other : o.size - 8);
		o = object_signed(p, other, RESIZED);
	}
	drop(&o);
}

static void in_handler(void)
{
	for (unsigned way = 0; way < WAYS; way++) {
		two_objects(way, now->size, 0);
		drop_gift();
	}
	resize(BY_SIZE);
	if (trap_depth() <= 1)
		two_objects(turn % 2 ? PAGES : PAGES_NOLOCK, now->size, 0);
	other_waits(&others, others.taking);
	other_waits(&others, others.list);
}

/* ---- what the phases do ---- */

static void pairs(void)
{
	struct object o;
	void *p;

	for (unsigned way = 0; way < WAYS; way++)
		for (int i = 0; i < 2; i++)
			if (make(way, now->size, &o))
				drop(&o);
	MUST(!kmalloc_nolock(NOLOCK_MAX + 1, 0, NUMA_NO_NODE));
	kfree_nolock(kmalloc_nolock(0, 0, NUMA_NO_NODE));
	kfree(kmalloc(0, GFP_ATOMIC));
	kfree(NULL);
	kvfree(NULL);
	p = krealloc(NULL, now->size, GFP_ATOMIC);
	MUST(krealloc(p, 0, GFP_ATOMIC) == ZERO_SIZE_PTR);
	p = kvrealloc(NULL, now->size, GFP_ATOMIC);
	MUST(kvrealloc(p, 0, GFP_ATOMIC) == ZERO_SIZE_PTR);
	free_pages(0, 0);
	free_pages_nolock(NULL, 0);
	MUST(!kmem_cache_alloc_bulk(cache, GFP_ATOMIC, 0, (void **)many));
}

/* A request that cannot be served, without a message. */
static void refused(void)
{
	const gfp_t quietly = GFP_ATOMIC | __GFP_NOWARN, here = quietly | __GFP_THISNODE;

	MUST(!kmalloc(KMALLOC_MAX_SIZE + 1, quietly));
	MUST(!kmalloc_node(now->size, here, 1000) && !kmem_cache_alloc_node(cache, here, 1000));
	MUST(!__get_free_pages(quietly, MAX_PAGE_ORDER + 1));
	MUST(!alloc_pages_nolock(0, NUMA_NO_NODE, MAX_PAGE_ORDER + 1));
}

static void refill(void)
{
	many_of(TYPED, 0, 120, true);
	many_of(TYPED, 0, 120, false);
}

static void by_size(void)
{
	many_of(BY_SIZE, now->size, 40, true);
	many_of(NOLOCK, now->size, 40, false);
}

/* Slabs come and go. */
static void new_slabs(void)
{
	kmem_cache_shrink(cache);
	many_of(TYPED_NOLOCK, 0, 60, false);
}

static void partial(void)
{
	drop_by_thirds(make_many(TYPED, 0, 90));
}

static void shrink(void)
{
	many_of(TYPED, 0, 60, true);
	kmem_cache_shrink(cache);
	many_of(TYPED, 0, 3, true);
}

static void bulk(void)
{
	void *p[40];

	if (!kmem_cache_alloc_bulk(cache, GFP_ATOMIC, 40, p)) {
		MUST(may_fail());
		return;
	}
	for (unsigned i = 0; i < 40; i++)
		many[i] = object_signed(p[i], now->cache_size, IN_BULK);
	for (unsigned i = 0; i < 40; i++)
		object_check(&many[i]);
	kmem_cache_free_bulk(cache, 20, p);
	kmem_cache_free_bulk(NULL, 20, p + 20);
}

static void resized(void)
{
	static const unsigned of_eight[] = { 4, 8, 12, 7, 16, 20, 8, 3, 30 };
	struct object o;

	if (make(BY_SIZE, now->size, &o))
		resize_in_row(&o, BY_SIZE, of_eight, 9);
}

static void large(void)
{
	many_of(BY_SIZE, now->size, 4, turn % 2);
	resized();
}

static void pages(void)
{
	for (size_t size = 4096; size <= 65536; size *= 4) {
		many_of(PAGES, size, 2, true);
		many_of(PAGES_NOLOCK, size, 2, false);
	}
	many_of(PAGES, 2u << 20, 1, true);
}

static void new_area(void)
{
	open_area(BY_SIZE, now->size);
}

/* The memory in slabs rises by more than 2 MiB and falls to nothing. */
static void decay(void)
{
	many_of(TYPED, 0, now->cache_size == 4096 ? 600 : MANY_MAX, false);
}

static void new_descriptors(void)
{
	open_descriptors(BY_SIZE, now->size);
	open_descriptors(BY_SIZE, 2200 << 10);
}

static void huge(void)
{
	struct object row[4];

	if (!four_huge(BY_SIZE, now->size, row))
		return;
	for (unsigned i = 0; i < 4; i += 2) {
		drop(&row[i + 1]);
		resize_to(&row[i], now->size * 2);
		drop(&row[i]);
	}
}

/* Blocks so large that a free returns them to the system at once, and that the library asks the
 * system how much memory there is. */
static void vast(void)
{
	struct object o;
	void *p;

	many_of(VIRTUAL, 34u << 20, 1, true);
	if (!make(VIRTUAL, 3u << 20, &o))
		return;
	p = kvrealloc(o.p, 1u << 30, GFP_ATOMIC);
	MUST(p);
	o.p = p;
	object_check_to(&o, o.size - 8);
	kvfree(p);
	many_of(VIRTUAL, 1u << 30, 1, true);
}

/* _nolock calls empty more slabs than one ordinary call retires. Then the only frames to be had are
 * those of these slabs. */
static void deferred_to(unsigned way)
{
	unsigned made;

	stele_trim(1 << 20);
	made = make_many(TYPED, 0, MANY_MAX);
	for (unsigned i = 0; i < made; i++) {
		object_check(&many[i]);
		kfree_nolock(many[i].p);
	}
	*page_fail = -1;
	many_of(way, now->size, 20, true);
	*page_fail = 0;
	many_of(way, now->size, 20, true);
}

static void deferred(void)
{
	deferred_to(BY_SIZE);
	deferred_to(NOLOCK);
}

/* ---- others ---- */

static void beside_others(void)
{
	beside_others_of(NULL, decay, BY_SIZE);
}

static void inherited(void)
{
	struct kmem_cache *marked = caches[1];

	kmem_cache_shrink(marked);
	inherit(0);
	decay();
	kmem_cache_shrink(marked);
	inherit(marked->words);
	kmem_cache_free(marked, kmem_cache_alloc(marked, GFP_ATOMIC));
}

/* ---- events ---- */

/* Runs in the middle of any call: allocates, writes, frees. */
static void on_event(const struct stele_trace_event *event, void *arg)
{
	struct object o;

	(void)arg;
	MUST(event->event & STELE_TRACE_ALL);
	events_seen++;
	errno = EDOM;
	if (trap_depth() || !make(NOLOCK, now->size, &o))
		return;
	object_check(&o);
	kfree_nolock(o.p);
}

static void all_of_it(void)
{
	pairs();
	refused();
	by_size();
	refill();
	partial();
	bulk();
	pages();
	resized();
	shrink();
	many_of(VIRTUAL, now->size * 8, 2, true);
}

/* Frames run out at the first, second, ... request. */
static void no_frames(void)
{
	for (int nth = 1; nth <= 6; nth++) {
		stele_trim(1 << 20);
		*page_fail = nth;
		many_of(TYPED, 0, 30, true);
		many_of(NOLOCK, now->size, 30, true);
		many_of(VIRTUAL, now->size * 8, 3, true);
		bulk();
		resized();
		pages();
		*page_fail = 0;
	}
}

#define ALL STELE_TRACE_ALL
#define FREES (STELE_TRACE_KFREE | STELE_TRACE_KMEM_CACHE_FREE)
#define ALLOCS (STELE_TRACE_KMALLOC | STELE_TRACE_KMEM_CACHE_ALLOC)

/* The quick ones first: an instruction is tried in the first phase that runs it. */
static const struct phase phases[] = {
	{ pairs, 64, 64, 0 },
	{ pairs, 1024, 1024, 0 },
	{ pairs, 2000, 256, 0 },
	{ refill, 512, 1024, 0 },
	{ refill, 256, 256, 0 },
	{ by_size, 4096, 512, 0 },
	{ by_size, 16384, 64, 0 },
	{ new_slabs, 128, 512, 0 },
	{ partial, 72, 1024, 0 },
	{ partial, 72, 256, 0 },
	{ shrink, 640, 1024, 0 },
	{ shrink, 64, 64, 0 },
	{ bulk, 96, 1024, 0 },
	{ resized, 512, 64, 0 },
	{ resized, 4096, 64, 0 },
	{ refused, 1024, 1024, 0 },
	{ pages, 40 << 10, 64, 0 },
	{ no_frames, 1024, 256, 0 },
	{ large, 65536, 4096, 0 },
	{ large, 300 << 10, 1024, 0 },
	{ no_frames, 48 << 10, 1024, 0 },
	{ decay, 4096, 4096, 0 },
	{ large, 600 << 10, 1024, 0 },
	{ new_area, 1000 << 10, 64, 0 },
	{ no_frames, 1060 << 10, 1024, 0 },
	{ new_descriptors, 40 << 10, 1024, 0 },
	{ huge, 2200 << 10, 64, 0 },
	{ deferred, 2000, 2048, 0 },
	{ beside_others, 64, 2048, 0 },
	{ inherited, 64, 2048, 0 },
	{ all_of_it, 512, 1024, ALL },
	{ all_of_it, 96, 256, ALL | STELE_TRACE_NESTED },
	{ all_of_it, 1024, 64, FREES },
	{ all_of_it, 1024, 64, ALLOCS },
	{ large, 600 << 10, 1024, ALL },
	{ huge, 3 << 20, 64, ALL },
	{ vast, 64, 64, 0 },
};
#define PHASES (sizeof(phases) / sizeof(phases[0]))
#define CHEAP 15

static void run(unsigned number)
{
	now = &phases[number];
	for (unsigned i = 0; i < CACHES; i++)
		if (cache_sizes[i] == now->cache_size)
			cache = caches[i];
	give_to_handler(WAYS, now->size);
	if (now->events)
		MUST(stele_trace_register(now->events, on_event, NULL) == 0);
	now->run();
	if (now->events)
		MUST(stele_trace_unregister(on_event, NULL) == 0);
}

static uint64_t in_use(void)
{
	struct stele_stats stats;

	stele_trim(0);
	stele_stats_read(&stats);
	MUST_HOLD(stats.reports == 0);
	return stats.slab_bytes + stats.large_bytes;
}

int main(int argc, char **argv)
{
	struct trap_plan plan = {
		.name = "libstele",
		.function = (const void *)kmalloc,
		.function_name = "kmalloc",
		.phases = PHASES,
		.cheap = CHEAP,
		.phase = run,
	};

	uint64_t unused = in_use();

	make_caches();
	at_start = in_use();
	prepare(&plan, argc, argv);
	trap_run();
	for (unsigned i = 0; i < CACHES; i++)
		kmem_cache_destroy(caches[i]);
	MUST_HOLD(in_use() == unused);
	return 0;
}
