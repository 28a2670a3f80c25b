/* SPDX-License-Identifier: MIT */
/*
 * tests/any_context/slab_calls.c - TABLE: kmalloc, typed caches and pages at every instruction
 *
 * Idea      Each phase goes through one part of the data path, fast or slow. The handler
 *           allocates, writes, checks and frees from the cache and of the size that the phase is
 *           busy with, by every call; it leaves objects to the phase and frees some of the
 *           phase's.
 * Nothing lost: when all objects are freed and the sheaves emptied, no memory is in use.
 */
#include "areas.h"
#include "objects.h"

#include <stdio.h>
#include <stdlib.h>
#include <stele/page.h>
#include <stele/slab.h>
#include <stele/stats.h>
#include <string.h>

enum way { TYPED, BY_SIZE, NOLOCK, TYPED_NOLOCK, RESIZED, WAYS, IN_BULK = WAYS, PAGES, VIRTUAL };

#define MANY_MAX 700
#define NOLOCK_MAX KMALLOC_MAX_CACHE_SIZE

struct phase {
	void (*run)(void);
	size_t size;	     /* of the objects by size */
	unsigned cache_size; /* of the typed ones */
};

static struct kmem_cache *caches[5];
static const unsigned cache_sizes[] = { 64, 1024, 256, 512, 4096 };
static const struct phase *now;
static struct kmem_cache *cache;
static struct basket for_handler, from_handler;
static int *page_fail;
static struct areas areas;
static unsigned turn;

/* Frames may be refused while this phase says so. */
static bool may_fail(void)
{
	return *page_fail != 0;
}

static void *pages_of(size_t size)
{
	return (void *)__get_free_pages(GFP_ATOMIC, (unsigned)get_order(size));
}

static void *call_alloc(enum way way, size_t size)
{
	switch (way) {
	case TYPED:
		return kmem_cache_alloc(cache, GFP_ATOMIC);
	case TYPED_NOLOCK:
		return kmem_cache_alloc_nolock(cache, 0, turn % 3 ? NUMA_NO_NODE : 0);
	case NOLOCK:
		return kmalloc_nolock(size, turn % 8 ? 0 : __GFP_ZERO, turn % 3 ? NUMA_NO_NODE : 0);
	case PAGES:
		return pages_of(size);
	case RESIZED:
		return krealloc(NULL, size, GFP_ATOMIC);
	case VIRTUAL:
		return kvmalloc(size, GFP_ATOMIC);
	default:
		return kmalloc(size, turn % 8 ? GFP_ATOMIC : GFP_ATOMIC | __GFP_ZERO);
	}
}

static size_t size_for(enum way way, size_t size)
{
	if (way == TYPED || way == TYPED_NOLOCK)
		return now->cache_size;
	return way == NOLOCK && size > NOLOCK_MAX ? 512 : size;
}

/* False: there was no memory, and none was promised. */
static bool make(enum way way, size_t size, struct object *o)
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
	else if (o->way == NOLOCK || (o->way == BY_SIZE && o->size <= NOLOCK_MAX && turn % 4 == 0))
		kfree_nolock(o->p);
	else
		kfree(o->p);
	turn++;
}

/* ---- the handler ---- */

static void resize(enum way way)
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

static void work_one_way(enum way way)
{
	struct object first, second;

	if (!make(way, now->size, &first))
		return;
	if (!make(way, now->size, &second)) {
		drop(&first);
		return;
	}
	drop(&first);
	object_check(&second);
	if (trap_depth() > 1 || !basket_put(&from_handler, second))
		drop(&second);
}

static void in_handler(void)
{
	struct object gift;

	for (enum way way = 0; way < WAYS; way++) {
		work_one_way(way);
		if (trap_depth() <= 1 && basket_take(&for_handler, &gift))
			drop(&gift);
	}
	resize(BY_SIZE);
	if (trap_depth() <= 1)
		work_one_way(PAGES);
}

/* ---- what the phases do ---- */

static struct object many[MANY_MAX];

/* @count of them, freed first to last or last to first. */
static void many_of(enum way way, size_t size, unsigned count, bool backward)
{
	unsigned made = 0;

	while (made < count && make(way, size, &many[made]))
		made++;
	for (unsigned i = 0; i < made; i++)
		drop(&many[backward ? made - 1 - i : i]);
}

static void pairs(void)
{
	struct object o;

	for (enum way way = 0; way < WAYS; way++)
		for (int i = 0; i < 2; i++)
			if (make(way, now->size, &o))
				drop(&o);
	MUST(!kmalloc_nolock(NOLOCK_MAX + 1, 0, NUMA_NO_NODE));
	kfree_nolock(kmalloc_nolock(0, 0, NUMA_NO_NODE));
	kfree(kmalloc(0, GFP_ATOMIC));
	kfree(NULL);
	MUST(!kmem_cache_alloc_bulk(cache, GFP_ATOMIC, 0, (void **)many));
}

/* Through the sheaves, the barn and the slabs, and back. */
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

/* Every third is freed, then the rest: slabs are partial, listed, unlisted, dead in the list. */
static void partial(void)
{
	unsigned made = 0;

	while (made < 90 && make(TYPED, 0, &many[made]))
		made++;
	for (unsigned first = 0; first < 3; first++)
		for (unsigned i = first; i < made; i += 3)
			drop(&many[i]);
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

static void resize_to(struct object *o, size_t size)
{
	void *p = krealloc(o->p, size, turn++ % 2 ? GFP_ATOMIC : GFP_ATOMIC | __GFP_ZERO);

	MUST(p || may_fail());
	if (!p)
		return;
	o->p = p;
	object_check_to(o, size < o->size ? size : o->size - 8);
	*o = object_signed(p, size, RESIZED);
}

/* A row of sizes: in place, shrinking, growing, with its neighbour free or not. */
static void resized(void)
{
	static const unsigned of_eight[] = { 4, 8, 12, 7, 16, 20, 8, 3, 30 };
	struct object o, neighbour;

	if (!make(BY_SIZE, now->size, &o))
		return;
	for (unsigned i = 0; i < 9; i++) {
		bool beside = i % 3 && make(BY_SIZE, now->size, &neighbour);

		resize_to(&o, now->size / 64 * of_eight[i] * 8);
		if (beside)
			drop(&neighbour);
	}
	drop(&o);
}

static void large(void)
{
	many_of(BY_SIZE, now->size, 4, turn % 2);
	resized();
}

static void pages(void)
{
	for (size_t size = 4096; size <= 65536; size *= 4)
		many_of(PAGES, size, 2, true);
	many_of(PAGES, 2u << 20, 1, true);
}

/* Blocks of half an area, until one more had to be opened. */
static void new_area(void)
{
	unsigned made = 0;
	uint32_t before;

	areas_lower(&areas);
	before = areas_opened(&areas);
	while (made < MANY_MAX && areas_opened(&areas) == before)
		if (make(BY_SIZE, now->size, &many[made]))
			made++;
	while (made)
		drop(&many[--made]);
}

/* The memory in slabs rises by more than 2 MiB and falls to nothing. */
static void decay(void)
{
	many_of(TYPED, 0, 600, false);
}

/* Blocks of areas: one in the way of another, one so large that it goes back at once. */
static void huge(void)
{
	struct object row[4];

	for (unsigned i = 0; i < 4; i++)
		if (!make(BY_SIZE, now->size, &row[i]))
			return;
	for (unsigned i = 0; i < 4; i++)
		resize_to(&row[i], now->size * (i % 2 ? 3 : 2));
	for (unsigned i = 0; i < 4; i++)
		resize_to(&row[i], now->size + (i << 20) / 2);
	for (unsigned i = 0; i < 4; i++)
		drop(&row[i]);
	many_of(VIRTUAL, 34u << 20, 1, true);
	many_of(VIRTUAL, 1u << 30, 1, true);
	MUST(!kmalloc(KMALLOC_MAX_SIZE + 1, GFP_ATOMIC | __GFP_NOWARN));
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

/* The quick ones first: an instruction is tried in the first phase that runs it. */
static const struct phase phases[] = {
	{ pairs, 64, 64 },	    { pairs, 1024, 1024 },	   { pairs, 2000, 256 },
	{ refill, 512, 1024 },	    { refill, 256, 256 },	   { by_size, 4096, 512 },
	{ by_size, 16384, 64 },	    { new_slabs, 128, 512 },	   { partial, 72, 1024 },
	{ partial, 72, 256 },	    { shrink, 640, 1024 },	   { shrink, 64, 64 },
	{ bulk, 96, 1024 },	    { resized, 512, 64 },	   { resized, 4096, 64 },
	{ pages, 40 << 10, 64 },    { no_frames, 1024, 256 },	   { large, 65536, 4096 },
	{ large, 300 << 10, 1024 }, { no_frames, 48 << 10, 1024 }, { decay, 4096, 4096 },
	{ large, 600 << 10, 1024 }, { new_area, 1000 << 10, 64 },  { no_frames, 1060 << 10, 1024 },
	{ huge, 1060 << 10, 64 },
};
#define PHASES (sizeof(phases) / sizeof(phases[0]))
#define CHEAP 15

static void give_to_handler(void)
{
	struct object o;

	for (enum way way = 0; way < WAYS; way++)
		if (make(way, now->size, &o) && !basket_put(&for_handler, o))
			drop(&o);
}

static void empty(struct basket *basket)
{
	struct object o;

	while (basket_take(basket, &o))
		drop(&o);
}

static void between(void)
{
	empty(&from_handler);
	empty(&for_handler);
}

static void run(unsigned number)
{
	now = &phases[number];
	for (unsigned i = 0; i < sizeof(caches) / sizeof(caches[0]); i++)
		if (cache_sizes[i] == now->cache_size)
			cache = caches[i];
	give_to_handler();
	now->run();
}

static uint64_t in_use(void)
{
	struct stele_stats stats;

	stele_trim(0);
	stele_stats_read(&stats);
	MUST_HOLD(stats.reports == 0);
	return stats.slab_bytes + stats.large_bytes;
}

static uint64_t at_start;

/* A handler may leave objects while those that were left are freed. */
static void settle(void)
{
	uint64_t bytes;

	do {
		between();
		bytes = in_use();
	} while (for_handler.count || from_handler.count);
	MUST_HOLD(bytes == at_start);
}

static void construct(void *p)
{
	memset(p, 0, 512);
}

static void make_caches(void)
{
	struct kmem_cache_args args = { .ctor = construct };

	caches[0] = kmem_cache_create("any-64", 64, NULL, SLAB_NO_MERGE);
	caches[1] = kmem_cache_create("any-1024", 1024, NULL, SLAB_NO_MERGE);
	caches[2] = kmem_cache_create("any-bare", 256, NULL, SLAB_CONSISTENCY_CHECKS);
	caches[3] = kmem_cache_create("any-made", 512, &args, SLAB_NO_MERGE);
	caches[4] = kmem_cache_create("any-4096", 4096, NULL, SLAB_NO_MERGE);
	for (unsigned i = 0; i < 5; i++)
		MUST(caches[i]);
}

static void nothing(const char *point)
{
	(void)point;
}

int main(int argc, char **argv)
{
	const struct trap_plan plan = {
		.name = "libstele",
		.table = argc > 1 ? argv[1] : "",
		.function = (const void *)kmalloc,
		.function_name = "kmalloc",
		.phases = PHASES,
		.cheap = CHEAP,
		.phase = run,
		.between = between,
		.handler = in_handler,
		.settle = settle,
		.share = 90,
	};

	make_caches();
	at_start = in_use();
	trap_prepare(&plan);
	page_fail = trap_symbol("stele_inject_page_fail");
	areas = areas_find();
	if (trap_symbol_if("stele_inject"))
		*(void (**)(const char *))trap_symbol("stele_inject") = nothing;
	trap_run();
	for (unsigned i = 0; i < 5; i++)
		kmem_cache_destroy(caches[i]);
	MUST_HOLD(in_use() == 0);
	return 0;
}
