/* SPDX-License-Identifier: MIT */
/*
 * cache/barns.c - whole sheaves between slots: a barn for each memory node
 *
 * Idea      A slot that runs dry takes a full sheaf from its node's barn and leaves its empty one: one
 *           exchange for a sheaf of objects. A barn keeps more full sheaves when a miss finds that
 *           one was turned away before, within bounds.
 * Nodes     A sheaf goes to the barn of the node whose memory it is itself, after its objects of
 *           other nodes went to their slabs.
 * Order     STACK.
 * Context   any. A bounded put moves the sheaf as it is, so the barn may be past its limit until
 *           sheaves are taken from it.
 * Failure   put: the barn is full, and the objects go to the slabs. get: 0.
 * Tests     tests/model/sheaf.c  tests/unit/cache/test_sheaf.c  tests/contract/test_node.c
 */
#include "cache/sheaves.h"
#include "base/valid.h"
#include "page/where.h"
#include "percpu/percpu.h"
#include "slab/slabs.h"
#include "slab/parts.h"

/* Empty sheaves kept in a barn: as many as there is room for full ones, within these. */
#define EMPTY_MIN 8u
#define EMPTY_MAX 128u

/* Where @sheaf rests when no slot has it: its own node's. */
static struct barn *barn_for(struct kmem_cache *s, const struct sheaf *sheaf)
{
	return cache_barn(s, node_at(sheaf));
}

static void put_empty(struct kmem_cache *s, uint64_t top)
{
	struct sheaf *sheaf = sheaf_of(top, s->sheaf_size);
	struct barn *barn = barn_for(s, sheaf);
	uint64_t limit = load_relaxed(&barn->limit), full = barn_depth(&barn->full);

	limit = STELE_MAX(limit > full ? limit - full : 0, (uint64_t)EMPTY_MIN);
	if (!barn_put(&barn->empty, sheaf, top, (uint32_t)STELE_MIN(limit, (uint64_t)EMPTY_MAX)))
		stele_sheaf_destroy(s, top);
}

/* A sheaf that is not empty goes to the barn, or its objects to the slabs. */
static void put_filled(struct kmem_cache *s, uint64_t top)
{
	struct sheaf *sheaf = sheaf_of(top, s->sheaf_size);
	struct barn *barn = barn_for(s, sheaf);

	if (barn_put(&barn->full, sheaf, top, load_relaxed(&barn->limit))) {
		SHEAF_EVENT(BARN_PUT, "barn_put", s, sheaf, sheaf_count(top, s->sheaf_size));
		return;
	}
	store_relaxed(&barn->overflow, 1);
	put_empty(s, stele_sheaf_flush(s, top));
}

/* A sheaf that comes from a barn is this thread's: its top, or 0. */
static uint64_t get_whole(struct kmem_cache *s, struct stele_stack *stack)
{
	uint64_t top = barn_get(stack);

	STELE_SOUND(top ? stele_sheaf_frame_valid(s, top) : NULL);
	(void)s;
	return top;
}

/* As it is: nothing is flushed. */
static void put_whole(struct kmem_cache *s, uint64_t top)
{
	struct sheaf *sheaf = sheaf_of(top, s->sheaf_size);
	struct barn *barn = barn_for(s, sheaf);
	unsigned n = sheaf_count(top, s->sheaf_size);

	barn_put(n ? &barn->full : &barn->empty, sheaf, top, UINT32_MAX);
	if (n)
		SHEAF_EVENT(BARN_PUT, "barn_put", s, sheaf, n);
}

/* Gives what a sheaf holds of other nodes than its own to their slabs; its new top. */
static uint64_t sort_out(struct kmem_cache *s, uint64_t top)
{
	struct sheaf *sheaf = sheaf_of(top, s->sheaf_size);
	unsigned node = node_at(sheaf), n = sheaf_count(top, s->sheaf_size), kept = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t object = sheaf->entry[i];

		if (node_at((void *)(uintptr_t)object) != node)
			continue;
		sheaf->entry[i] = sheaf->entry[kept];
		sheaf->entry[kept++] = object;
	}
	if (kept < n)
		stele_slabs_give(s, sheaf->entry + kept, n - kept);
	return sheaf_bottom(sheaf) + kept * 8ul;
}

void stele_sheaf_put(struct kmem_cache *s, uint64_t top, enum effort effort)
{
	STELE_SOUND(stele_sheaf_frame_valid(s, top));
	if (effort == EFFORT_BOUNDED) {
		put_whole(s, top);
		return;
	}
	if (nodes_several())
		top = sort_out(s, top);
	if (top == sheaf_bottom(sheaf_of(top, s->sheaf_size)))
		put_empty(s, top);
	else
		put_filled(s, top);
}

uint64_t stele_sheaf_get_empty(struct kmem_cache *s)
{
	uint64_t top = get_whole(s, &barn_here(s)->empty);

	return top ? top : stele_sheaf_new(s);
}

static void *barn_take(struct kmem_cache *s, struct barn *barn)
{
	uint64_t top = s->capacity ? get_whole(s, &barn->full) : 0;
	void *p;

	if (stele_likely(!top))
		return NULL;
	top -= 8;
	p = *(void **)(uintptr_t)top;
	/* Where it came from: past a limit only if others were faster. */
	barn_put(sheaf_is_empty(top, s->sheaf_size) ? &barn->empty : &barn->full,
		 sheaf_of(top, s->sheaf_size), top, UINT32_MAX);
	return p;
}

void *stele_barn_take_one(struct kmem_cache *s)
{
	return barn_take(s, barn_here(s));
}

void *stele_barns_take_one(struct kmem_cache *s)
{
	void *p = NULL;

	for (unsigned node = 0; !p && node < stele_nodes.count; node++)
		p = barn_take(s, cache_barn(s, node));
	return p;
}

/* A miss after an overflow means that more depth would have served: deepen, within bounds. */
uint64_t stele_sheaf_get_filled(struct kmem_cache *s)
{
	struct barn *barn = barn_here(s);
	uint64_t top = get_whole(s, &barn->full);
	uint32_t limit;

	if (top)
		SHEAF_EVENT(BARN_GET, "barn_get", s, sheaf_of(top, s->sheaf_size),
			    sheaf_count(top, s->sheaf_size));
	if (top || !load_relaxed(&barn->overflow))
		return top;
	store_relaxed(&barn->overflow, 0);
	limit = load_relaxed(&barn->limit);
	store_relaxed(&barn->limit, limit * 2 < s->barn_max ? limit * 2 : s->barn_max);
	return 0;
}

void stele_barns_limit(struct kmem_cache *s, uint32_t limit)
{
	store_relaxed(&s->barn.limit, limit);
	for (unsigned node = 1; node < stele_nodes.count; node++)
		if (cache_has_node(s, node))
			store_relaxed(&cache_barn(s, node)->limit, limit);
}

static void flush_stack(struct kmem_cache *s, struct stele_stack *stack)
{
	uint64_t top;

	while ((top = get_whole(s, stack)))
		stele_sheaf_dissolve(s, top);
}

void stele_barns_flush(struct kmem_cache *s)
{
	for (unsigned node = 0; node < stele_nodes.count; node++) {
		flush_stack(s, &cache_barn(s, node)->full);
		flush_stack(s, &cache_barn(s, node)->empty);
	}
}

bool stele_cache_has_sheaves(struct kmem_cache *s)
{
	bool found = s->capacity && stele_pcpu_sheaves(s->words);

	for (unsigned node = 0; s->capacity && !found && node < stele_nodes.count; node++)
		found = barn_has(&cache_barn(s, node)->full) ||
			barn_has(&cache_barn(s, node)->empty);
	return found;
}
