/* SPDX-License-Identifier: MIT */
/*
 * cache/miss.c - when the slot's sheaf is empty, full, or missing
 *
 * Idea      Detach, work, attach. No slot is ever locked: a sheaf is replaced in one step
 *           if the word still holds what was seen, and then belongs to the thread that replaced it.
 *           A handler that lands in between finds EMPTY or another sheaf and does the same.
 *           alloc: main -> spare -> full one from the barn -> refill from slabs -> one object
 *           free:  main -> spare -> empty one (barn, new), main to the barn -> to the slab
 *           A full and an empty sheaf in one slot are made two halves, so that at least
 *           half a sheaf of calls lies between two visits here.
 * Bounded   A call that promises to be short moves at most one sheaf as it is, or one object: it
 *           fills and empties no sheaf, and does no chores (base/effort.h). A slab that becomes
 *           empty stays, and is noted for later (slab/deferred.c).
 * States    a sheaf is in MAIN, in SPARE, in the barn, or in one thread's hands.
 * Nodes     A slot takes from its node's barn. An object that is freed on another node than its own
 *           goes to its slab at once.
 * Order     SLOT, STACK.
 * Failure   a lost race or a busy slot: the sheaf in hand goes to the barn and the single
 *           object takes the next way; nothing waits.
 * Limits    not bounded: a constructor, clearing the object, opening a new area, and the search
 *           of areas for free frames, which grows with the memory in use. A compare-and-swap
 *           that others win is tried again.
 * Tests     tests/model/sheaf.c, tests/stress/, tests/contract/test_nolock.c
 */
#include "cache/miss.h"
#include "base/fmt.h"
#include "base/options.h"
#include "cache/barn.h"
#include "cache/chores.h"
#include "cache/sheaves.h"
#include "cache/short.h"
#include "page/where.h"
#include "percpu/percpu.h"
#include "percpu/sheaf.h"
#include "slab/events.h"
#include "slab/report.h"
#include "slab/slabs.h"
#include "sync/inject.h"
#include <string.h>

/* How often: others may empty or fill what we provide; then one object goes to its slab or comes from
 * one. */
static int rounds(enum effort effort)
{
	return effort == EFFORT_BOUNDED ? 2 : 4;
}

static bool may_attach(uint64_t word, enum effort effort)
{
	return effort == EFFORT_BOUNDED ? word_attachable(word) : word_attachable_mend(word);
}

/* ---- attaching ---- */

/* Puts @top where it helps this slot next, else into the barn. */
static void stow(struct kmem_cache *s, uint64_t top, enum effort effort)
{
	if (!stele_pcpu_cas(s->words, WORD_SPARE, 0, top))
		stele_sheaf_put(s, top, effort);
}

/* Replaces MAIN, seen as @old, by @new; stows whichever is left over. */
static void attach(struct kmem_cache *s, uint64_t old, uint64_t new, enum effort effort)
{
	if (!stele_pcpu_cas(s->words, WORD_MAIN, old, new))
		stow(s, new, effort);
	else if (stele_is_sheaf(old))
		stow(s, old, effort);
}

/* Takes the spare into hand if it is a sheaf, and filled to @least at least, @most at most. */
static uint64_t take_spare(struct kmem_cache *s, unsigned least, unsigned most)
{
	uint64_t top = stele_pcpu_read(s->words, WORD_SPARE);
	unsigned count;

	if (!stele_is_sheaf(top))
		return 0;
	count = sheaf_count(top, s->sheaf_size);
	if (count < least || count > most)
		return 0;
	return stele_pcpu_cas(s->words, WORD_SPARE, top, 0) ? top : 0;
}

/* ---- alloc ---- */

/* An empty sheaf in hand: this slot's own if it is still there, else another. */
static uint64_t empty_in_hand(struct kmem_cache *s, uint64_t *main)
{
	if (stele_is_sheaf(*main) && stele_pcpu_cas(s->words, WORD_MAIN, *main, SHEAF_EMPTY)) {
		uint64_t top = *main;

		*main = SHEAF_EMPTY;
		return top;
	}
	return stele_sheaf_get_empty(s);
}

/* Fills a sheaf from the slabs and attaches it. */
static bool refill(struct kmem_cache *s, uint64_t main)
{
	uint64_t top = empty_in_hand(s, &main);
	unsigned n;

	if (!top)
		return false;
	STELE_POINT("sheaf:detached");
	n = stele_slabs_take(s, stele_node_here(), (uint64_t *)(uintptr_t)top, s->capacity,
			     EFFORT_USUAL);
	STELE_POINT("sheaf:refilled");
	SHEAF_EVENT(SHEAF_REFILL, "sheaf_refill", s, sheaf_of(top, s->sheaf_size), n);
	attach(s, main, top + n * 8ul, EFFORT_USUAL);
	return n > 0;
}

/*
 * A full sheaf beside an empty one is where a program that frees and allocates in turn would
 * come here at every other call. Half of @full moves to @empty: the half that was freed last is
 * attached in place of EMPTY, the other put aside.
 */
static void attach_halves(struct kmem_cache *s, uint64_t full, uint64_t empty, enum effort effort)
{
	uint64_t bytes = s->capacity / 2u * 8ul, rest = full - bytes;

	memcpy((void *)(uintptr_t)empty, (void *)(uintptr_t)rest, bytes);
	attach(s, SHEAF_EMPTY, empty + bytes, effort);
	stow(s, rest, effort);
}

/* MAIN, seen as @main, is empty or missing; @top was the spare and is in hand. */
static void attach_spare(struct kmem_cache *s, uint64_t main, uint64_t top, enum effort effort)
{
	if (stele_is_sheaf(main) && sheaf_is_full(top, s->sheaf_size, s->capacity) &&
	    stele_pcpu_cas(s->words, WORD_MAIN, main, SHEAF_EMPTY))
		attach_halves(s, top, main, effort);
	else
		attach(s, main, top, effort);
}

/* Gives this slot a sheaf with objects. False: there is none to be had. */
static bool provide_filled(struct kmem_cache *s, enum effort effort)
{
	uint64_t main = stele_pcpu_read(s->words, WORD_MAIN), top;

	if (!may_attach(main, effort))
		return false;
	if (stele_is_sheaf(main) && !sheaf_is_empty(main, s->sheaf_size))
		return true; /* filled meanwhile, or another slot's */
	top = take_spare(s, 1, s->capacity);
	if (top) {
		attach_spare(s, main, top, effort);
		return true;
	}
	top = stele_sheaf_get_filled(s);
	if (top) {
		STELE_POINT("sheaf:filled");
		attach(s, main, top, effort);
		return true;
	}
	return effort != EFFORT_BOUNDED && refill(s, main);
}

static void *alloc_from_sheaves(struct kmem_cache *s, enum effort effort)
{
	void *p = NULL;

	for (int i = rounds(effort); !p && s->capacity && i && provide_filled(s, effort); i--)
		p = stele_pcpu_pop(s->words);
	return p ? p : stele_barn_take_one(s);
}

/* There is no memory: what other threads have freed meanwhile, or keep for another node. */
static void *alloc_late(struct kmem_cache *s)
{
	void *p = alloc_from_sheaves(s, EFFORT_BOUNDED);

	return p || !nodes_several() ? p : stele_barns_take_one(s);
}

/* A constructed object is what its constructor made it; zeroing one is a mistake to tell. */
void *stele_zero_object(struct kmem_cache *s, void *p)
{
	static _Atomic uint32_t warned;

	if (!s->ctor)
		memset(p, 0, load_relaxed(&s->object_size));
	else if (!stele_opt.quiet && !exchange_relaxed(&warned, 1))
		stele_say("stele: %s: __GFP_ZERO for a cache with a constructor; not zeroed\n",
			  s->name);
	return p;
}

static void *alloc_any_way(struct kmem_cache *s)
{
	void *p = alloc_from_sheaves(s, EFFORT_USUAL);

	if (!p)
		p = stele_slabs_take_one(s, stele_node_here(), EFFORT_USUAL);
	return p ? p : alloc_late(s);
}

void *stele_alloc_anywhere(struct kmem_cache *s, gfp_t gfp)
{
	void *p = pcpu_pop_late(s->words);

	if (STELE_DEBUG && s->destroyed)
		return stele_report_destroyed((struct stele_call){ "kmem_cache_alloc", NULL }, s);
	if (stele_unlikely(stele_chores_due()))
		stele_chores_do(EFFORT_USUAL);
	if (!p)
		p = alloc_any_way(s);
	if (stele_unlikely(!p))
		p = stele_cache_alloc_short(s, alloc_any_way);
	if (p && gfp & __GFP_ZERO)
		stele_zero_object(s, p);
	return p;
}

/* Out of this slot's sheaves if its node is @node, and if what they give is of that node as well. */
static void *alloc_from_node(struct kmem_cache *s, unsigned node, enum effort effort)
{
	void *p;

	if (node != stele_node_here())
		return NULL;
	p = pcpu_pop_late(s->words);
	if (!p)
		p = alloc_from_sheaves(s, effort);
	if (!p || node_at(p) == node)
		return p;
	stele_slabs_give_one(s, p, effort);
	return NULL;
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
		p = stele_slabs_take_one(s, where, effort);
	if (!p && !(where & WHERE_ONLY))
		p = alloc_late(s);
	if (p && gfp & __GFP_ZERO)
		stele_zero_object(s, p);
	return p;
}

void stele_cache_alloc_event(struct kmem_cache *s, void *p, gfp_t gfp, int node, const void *site)
{
	probe_kmem_cache_alloc(p, &s->name_at, &s->object_size, &s->size, gfp);
	TRACE(KMEM_CACHE_ALLOC, .call_site = site, .ptr = p, .name = s->name,
	      .bytes_req = load_relaxed(&s->object_size), .bytes_alloc = s->size, .gfp_flags = gfp,
	      .node = node);
}

void *stele_cache_alloc_at(struct kmem_cache *s, gfp_t gfp, int node, enum effort effort,
			   const void *site)
{
	void *p = stele_alloc_at(s, gfp, node, effort);

	stele_cache_alloc_event(s, p, gfp, node, site);
	return p;
}

/* ---- free ---- */

/* An empty sheaf for a bounded call, if the full one that it replaces has a place: the slot, or a barn
 * below its limit. */
static uint64_t empty_as_it_is(struct kmem_cache *s, uint64_t main)
{
	struct barn *barn = barn_here(s);
	uint64_t top;

	if (stele_is_sheaf(main) && stele_is_sheaf(stele_pcpu_read(s->words, WORD_SPARE)) &&
	    barn_depth(&barn->full) >= load_relaxed(&barn->limit))
		return 0;
	top = barn_get(&barn->empty);
	return top || stele_is_sheaf(main) ? top : stele_sheaf_new(s);
}

/* Gives this slot a sheaf with room. False: it cannot have one now. */
static bool provide_room(struct kmem_cache *s, enum effort effort)
{
	uint64_t main = stele_pcpu_read(s->words, WORD_MAIN), top;

	if (!may_attach(main, effort))
		return false;
	if (stele_is_sheaf(main) && !sheaf_is_full(main, s->sheaf_size, s->capacity))
		return true;
	top = take_spare(s, 0, s->capacity - 1u);
	if (!top)
		top = effort == EFFORT_BOUNDED ? empty_as_it_is(s, main) : stele_sheaf_get_empty(s);
	if (!top)
		return false;
	STELE_POINT("sheaf:room");
	attach(s, main, top, effort);
	return true;
}

bool stele_free_object(struct kmem_cache *s, void *p, enum effort effort)
{
	bool by_sheaf = s->capacity && !is_remote(p);

	if (effort != EFFORT_BOUNDED && stele_unlikely(stele_chores_due()))
		stele_chores_do(effort);
	for (int i = rounds(effort); by_sheaf && i && provide_room(s, effort); i--)
		if (stele_pcpu_push(s->words, p))
			return true;
	stele_slabs_give_one(s, p, effort);
	return true;
}
