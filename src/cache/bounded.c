/* SPDX-License-Identifier: MIT */
/*
 * cache/bounded.c - allocating and freeing for calls that promise to be short
 *
 * Idea      The ordinary slow way (slow.c) may fill a sheaf, empty one, retire slabs, purge:
 *           cheap on average, long now and then. Here each step moves at most one sheaf as it
 *           is, or one object:
 *           alloc: main -> spare -> full one from the barn -> one object from a slab
 *           free:  main -> spare -> empty one (barn, or the slot's first) -> one object to its slab
 *           A slab that becomes empty stays, and is noted for later (deferred.c).
 * States    as in slow.c.
 * Order     SLOT, STACK, SLABBITS, SLABSTATE.
 * Failure   a sheaf that is left in hand after a lost race goes to the barn, full or not, past
 *           the barn's limit if need be: then it is over it until sheaves are taken from it.
 * Context   any.
 * Limits    not bounded: a constructor, clearing the object, opening a new area, and the search
 *           of areas for free frames, which grows with the memory in use. A compare-and-swap
 *           that others win is tried again.
 * Tests     tests/contract/test_nolock.c, tests/stress/inject.c
 */
#include "slab/slab.h"

#define ROUNDS 2 /* others may empty or fill what we provide; then the slab serves directly */

/* Puts a sheaf where it helps; nothing is flushed. */
static void stow_whole(struct kmem_cache *s, uint64_t top)
{
	struct sheaf *sheaf = sheaf_of(top, s->sheaf_size);
	struct barn *barn = barn_for(s, sheaf);
	unsigned n = sheaf_count(top, s->sheaf_size);

	if (stele_pcpu_cas(s->words, WORD_SPARE, 0, top))
		return;
	barn_put(n ? &barn->full : &barn->empty, sheaf, top, UINT32_MAX);
	if (n)
		SHEAF_EVENT(BARN_PUT, "barn_put", s, sheaf, n);
}

/* Replaces MAIN, seen as @old, by @new; stows whichever is left over. */
static void attach_whole(struct kmem_cache *s, uint64_t old, uint64_t new)
{
	if (!stele_pcpu_cas(s->words, WORD_MAIN, old, new))
		stow_whole(s, new);
	else if (stele_is_sheaf(old))
		stow_whole(s, old);
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

/* Gives this slot a sheaf with objects. False: there is none as it is. */
static bool bring_filled(struct kmem_cache *s)
{
	uint64_t main = stele_pcpu_read(s->words, WORD_MAIN), top;

	if (!word_attachable(main))
		return false;
	if (stele_is_sheaf(main) && !sheaf_is_empty(main, s->sheaf_size))
		return true;
	top = take_spare(s, 1, s->capacity);
	if (!top) {
		top = barn_get(&barn_here(s)->full);
		if (!top)
			return false;
		SHEAF_EVENT(BARN_GET, "barn_get", s, sheaf_of(top, s->sheaf_size),
			    sheaf_count(top, s->sheaf_size));
	}
	STELE_POINT("bounded:filled");
	attach_whole(s, main, top);
	return true;
}

static void *alloc_here(struct kmem_cache *s)
{
	void *p = s->capacity ? stele_pcpu_pop(s->words) : NULL;

	for (int i = 0; !p && s->capacity && i < ROUNDS && bring_filled(s); i++)
		p = stele_pcpu_pop(s->words);
	return p ? p : stele_barn_take_one(s);
}

/* Of @where: out of this slot's sheaves if that is here, and what they give is of it as well. */
static void *alloc_from(struct kmem_cache *s, unsigned where)
{
	void *p = where_node(where) == stele_node_here() ? alloc_here(s) : NULL;

	if (p && nodes_several() && node_at(p) != where_node(where)) {
		stele_slabs_give_bounded(s, p);
		p = NULL;
	}
	if (!p)
		p = stele_slabs_take_bounded(s, where);
	if (p || !nodes_several() || where & WHERE_ONLY)
		return p;
	/* There is no memory: now it may take longer. */
	p = alloc_here(s);
	return p ? p : stele_barns_take(s);
}

void *stele_slab_alloc_bounded(struct kmem_cache *s, gfp_t gfp, int node)
{
	unsigned where;
	void *p = stele_where(node, gfp, &where) ? alloc_from(s, where) : NULL;

	if (p && gfp & __GFP_ZERO)
		stele_zero_object(s, p);
	return p;
}

/* An empty sheaf, if the full one that it replaces has a place: the slot, or a barn below its limit. */
static uint64_t room_for(struct kmem_cache *s, uint64_t main)
{
	struct barn *barn = cache_barn(s, stele_node_here());
	uint64_t top;

	if (stele_is_sheaf(main) && stele_is_sheaf(stele_pcpu_read(s->words, WORD_SPARE)) &&
	    barn_depth(&barn->full) >= load_relaxed(&barn->limit))
		return 0;
	top = barn_get(&barn->empty);
	return top || stele_is_sheaf(main) ? top : stele_sheaf_new(s);
}

/* Gives this slot a sheaf with room. False: it cannot have one as things are. */
static bool bring_room(struct kmem_cache *s)
{
	uint64_t main = stele_pcpu_read(s->words, WORD_MAIN), top;

	if (!word_attachable(main))
		return false;
	if (stele_is_sheaf(main) && !sheaf_is_full(main, s->sheaf_size, s->capacity))
		return true;
	top = take_spare(s, 0, s->capacity - 1u);
	if (!top)
		top = room_for(s, main);
	if (!top)
		return false;
	STELE_POINT("bounded:room");
	attach_whole(s, main, top);
	return true;
}

void stele_slab_free_bounded(struct kmem_cache *s, void *p)
{
	bool by_sheaf = s->capacity && !is_remote(p),
	     done = by_sheaf && stele_pcpu_push(s->words, p);

	for (int i = 0; !done && by_sheaf && i < ROUNDS && bring_room(s); i++)
		done = stele_pcpu_push(s->words, p);
	if (!done)
		stele_slabs_give_bounded(s, p);
}
