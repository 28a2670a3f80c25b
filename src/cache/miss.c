/* SPDX-License-Identifier: MIT */
/*
 * cache/miss.c - when the slot's sheaf is empty, full, or missing
 *
 * Idea      The sheaves of the slot serve (attach.c), else the slabs.
 *           alloc: main -> spare -> full one from the barn -> refill from slabs -> one object
 *           free:  main -> spare -> empty one (barn, new), main to the barn -> to the slab
 * Bounded   A call that promises to be short moves at most one sheaf as it is, or one object: it
 *           fills and empties no sheaf, and does no chores (base/basics.h). A slab that becomes
 *           empty stays, and is noted for later (slab/deferred.c).
 * States    a sheaf is in MAIN, in SPARE, in the barn, or in one thread's hands.
 * Nodes     A slot takes from its node's barn. An object that is freed on another node than its own
 *           goes to its slab at once.
 * Order     SLOT, STACK.
 * Context   any; nothing waits.
 * Failure   a lost race or a busy slot: the sheaf in hand goes to the barn and the single
 *           object takes the next way.
 * Limits    not bounded: a constructor, clearing the object, opening a new area, and the search
 *           of areas for free frames, which grows with the memory in use. A compare-and-swap
 *           that others win is tried again.
 * Tests     tests/model/sheaf.c, tests/stress/, tests/contract/test_nolock.c
 */
#include "cache/object.h"
#include "base/fmt.h"
#include "cache/chores.h"
#include "cache/sheaves.h"
#include "page/where.h"
#include "percpu/percpu.h"
#include "percpu/step.h"
#include "slab/checks.h"
#include "slab/slabs.h"
#include "trace/trace.h"
#include <string.h>

/* No slab can be made: takes an object that another thread has freed meanwhile, or one that rests
 * in the barn of another node. */
static void *alloc_late(struct kmem_cache *s)
{
	void *p = stele_sheaves_alloc(s, EFFORT_BOUNDED);

	return p || !nodes_several() ? p : stele_barns_take_one(s);
}

/* A constructed object is what its constructor made it; zeroing one is a mistake to tell. */
void *stele_zero_object(struct kmem_cache *s, void *p)
{
	if (!s->ctor)
		memset(p, 0, cache_object_size(s));
	else
		STELE_WARN_ONCE(
			"stele: %s: __GFP_ZERO for a cache with a constructor; not zeroed\n",
			s->name);
	return p;
}

/* An object that is about to be handed out. */
static inline void *ready_to_use(struct kmem_cache *s, void *p, gfp_t gfp)
{
	if (p && (gfp & __GFP_ZERO || clears_new(s)))
		stele_zero_object(s, p);
	return p;
}

static void *alloc_any_way(struct kmem_cache *s, unsigned where)
{
	void *p = stele_sheaves_alloc(s, EFFORT_USUAL);

	if (!p)
		p = stele_slabs_take_one(s, where, EFFORT_USUAL);
	return p ? p : alloc_late(s);
}

/* Whether @p can be handed out. An object that was damaged while it was free is left alone for
 * good, and one that a thread looks at is left to that thread. */
static inline bool may_hand_out(struct kmem_cache *s, void *p)
{
	return stele_likely(!(s->flags & SLAB_WATCHED)) || stele_watch_take(s, p);
}

/* No sheaf of this slot had one. All allocations of a cache that checks its objects come here, as
 * it has no sheaves. */
static __attribute__((noinline)) void *alloc_missed(struct kmem_cache *s)
{
	unsigned where = stele_node_here();
	void *p;

	do {
		p = alloc_any_way(s, where);
		if (stele_unlikely(!p))
			p = stele_cache_alloc_short(s, where, alloc_any_way);
	} while (p && !may_hand_out(s, p));
	return p;
}

void *stele_alloc_anywhere(struct kmem_cache *s, gfp_t gfp)
{
	void *p = pcpu_pop_late(s->words);

	if (STELE_DEBUG && s->destroyed)
		return stele_report_destroyed((struct stele_call){ "kmem_cache_alloc", NULL }, s);
	if (stele_unlikely(stele_chores_due()))
		stele_chores_do(EFFORT_USUAL);
	if (!p)
		p = alloc_missed(s);
	return ready_to_use(s, p, gfp);
}

/* Takes from this slot's sheaves if the slot and the object that they give are of node @node. */
static void *alloc_from_node(struct kmem_cache *s, unsigned node, enum effort effort)
{
	void *p;

	if (node != stele_node_here())
		return NULL;
	p = pcpu_pop_late(s->words);
	if (!p)
		p = stele_sheaves_alloc(s, effort);
	if (!p || node_at(p) == node)
		return p;
	stele_slabs_give_one(s, p, effort);
	return NULL;
}

static void *take_one_at(struct kmem_cache *s, unsigned where, enum effort effort)
{
	void *p = stele_slabs_take_one(s, where, effort);

	return p || where & WHERE_ONLY ? p : alloc_late(s);
}

/* After other caches gave back what they kept. */
static void *take_one_again(struct kmem_cache *s, unsigned where)
{
	return take_one_at(s, where, EFFORT_USUAL);
}

/* From a slab, past the sheaves. */
static __attribute__((noinline)) void *alloc_by_one(struct kmem_cache *s, unsigned where,
						    enum effort effort)
{
	void *p;

	do {
		p = take_one_at(s, where, effort);
		if (stele_unlikely(!p) && effort != EFFORT_BOUNDED)
			p = stele_cache_alloc_short(s, where, take_one_again);
	} while (p && !may_hand_out(s, p));
	return p;
}

void *stele_alloc_at(struct kmem_cache *s, gfp_t gfp, int node, enum effort effort)
{
	unsigned where;
	void *p;

	if (effort != EFFORT_BOUNDED && node < 0 && !(gfp & __GFP_THISNODE))
		return stele_alloc_anywhere(s, gfp);
	if (!stele_where(node, gfp, &where))
		return NULL;
	if (effort != EFFORT_BOUNDED && !nodes_several())
		return stele_alloc_anywhere(s, gfp);
	if (effort != EFFORT_BOUNDED && stele_unlikely(stele_chores_due()))
		stele_chores_do(effort);
	p = alloc_from_node(s, where_node(where), effort);
	if (!p)
		p = alloc_by_one(s, where, effort);
	return ready_to_use(s, p, gfp);
}

/* Apart, as it needs a frame. */
static __attribute__((noinline, cold)) void alloc_event(struct kmem_cache *s, void *p, gfp_t gfp,
							int node, const void *site)
{
	if (s->meta)
		stele_watch_taken(p, cache_object_size(s), site, KIND_UNKNOWN);
	TRACE(KMEM_CACHE_ALLOC, .call_site = site, .ptr = p, .name = s->name,
	      .bytes_req = cache_object_size(s), .bytes_alloc = s->size, .gfp_flags = gfp,
	      .node = node);
}

void stele_cache_alloc_event(struct kmem_cache *s, void *p, gfp_t gfp, int node, const void *site)
{
	probe_kmem_cache_alloc(p, &s->name_at, &s->object_size, &s->size, gfp);
	if (trace_asked(STELE_TRACE_KMEM_CACHE_ALLOC | WATCH_OBJECTS))
		alloc_event(s, p, gfp, node, site);
}

void *stele_cache_alloc_at(struct kmem_cache *s, gfp_t gfp, int node, enum effort effort,
			   const void *site)
{
	void *p = NULL;

	if (effort == EFFORT_BOUNDED || !slab_fails(s, gfp, site))
		p = stele_alloc_at(s, gfp, node, effort);
	stele_cache_alloc_event(s, p, gfp, node, site);
	return p;
}

/* ---- free ---- */

bool stele_free_object(struct kmem_cache *s, void *p, enum effort effort)
{
	clear_freed(s, p);
	if (effort != EFFORT_BOUNDED && stele_unlikely(stele_chores_due()))
		stele_chores_do(effort);
	if (is_remote(p) || !stele_sheaves_free(s, p, effort))
		stele_slabs_give_one(s, p, effort);
	return true;
}
