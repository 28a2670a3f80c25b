/* SPDX-License-Identifier: MIT */
/*
 * slab/take.c - takes objects from the bitmaps of slabs
 *
 * Idea      The partial stack's top is looked at, not popped: a taker claims from it while
 *           it stays where it is, so no thread has objects in hand. Only a slab found without free
 *           objects is popped.
 * Order     STACK, SLABBITS, SLABSTATE (slab/bitmap.h), SLABHEAD (slab/partial.h).
 * Nodes     each has a partial stack, of slabs in its memory. A taker begins with the node it
 *           wants: its partial slabs, then a new one; then come the others, the nearest first.
 *           A cache that has nothing for a node yet keeps that node's slabs on node 0's stack.
 * Context   any. A bounded call looks at few slabs, while there is memory.
 * Failure   no frames: fewer objects, or none.
 * Tests     tests/model/partial.c, tests/unit/slab/
 */
#include "page/run.h"
#include "slab/bitmap.h"
#include "page/where.h"
#include "percpu/percpu.h"
#include "slab/slabs.h"
#include "slab/hooks.h"
#include "slab/kmem_cache.h"
#include "slab/partial.h"
#include "slab/parts.h"

_Static_assert(offsetof(struct run, state) ==
		       offsetof(struct run, link) + offsetof(struct partial, state),
	       "a descriptor's link and state are a struct partial");

/* Writes the objects of @bits so that the lowest address ends on top. */
static unsigned emit(const struct kmem_cache *s, const struct run *run, unsigned word,
		     uint64_t bits, uint64_t *out)
{
	uint64_t base = run->first + (uint64_t)word * 64 * s->size;
	unsigned n = 0;

	while (bits) {
		unsigned bit = 63 - (unsigned)__builtin_clzll(bits);

		out[n++] = base + (uint64_t)bit * s->size;
		bits &= ~(1ull << bit);
	}
	return n;
}

/* Finds @n objects that were claimed. They are there; others only move them about. */
static void take_claimed(struct kmem_cache *s, struct run *run, uint64_t *out, unsigned n)
{
	unsigned words = (run->objects + 63) / 64;

	for (unsigned w = 0; n; w = w + 1 == words ? 0 : w + 1) {
		unsigned got = emit(s, run, w, bits_take(&run->free[w], n), out);

		out += got;
		n -= got;
	}
}

/* The top slab has nothing: takes it off the stack unless that changed. */
static void pop_exhausted(struct kmem_cache *s, struct stele_stack *stack, struct run *run,
			  const struct partial_look *look)
{
	switch (partial_pop(stack, stele_hot.base, look)) {
	case UNLIST_DEAD:
		stele_dead_return(run);
		break;
	case UNLIST_RELIST:
		cache_list_slab(s, run);
		break;
	case UNLIST_DONE:
	case UNLIST_LOST:
		break;
	}
}

#define ANY_NUMBER ~0u
#define FEW_POPS 8 /* spent slabs on top of the stack that a bounded call takes off it */

static unsigned pops_for(enum effort effort)
{
	return effort == EFFORT_BOUNDED ? FEW_POPS : ANY_NUMBER;
}

/* Some objects from the top of a partial stack; 0 when it is empty, or @pops slabs had none. */
static unsigned take_listed(struct kmem_cache *s, struct stele_stack *stack, uint64_t *out,
			    unsigned want, unsigned pops)
{
	for (;;) {
		struct partial_look look = partial_look(stack, stele_hot.base);
		struct run *run;
		unsigned n;

		if (!look.slab)
			return 0;
		run = run_of_link(&look.slab->link);
		if (!(look.state & STATE_FREE)) {
			if (!pops--)
				return 0;
			pop_exhausted(s, stack, run, &look);
			continue;
		}
		n = state_claim(&run->state, look.state, want);
		if (n) {
			take_claimed(s, run, out, n);
			return n;
		}
	}
}

/* The same of a node's stack, where also slabs of others may be (see Nodes): these do not count. */
static unsigned take_partial(struct kmem_cache *s, unsigned where, uint64_t *out, unsigned want,
			     unsigned pops)
{
	unsigned node = where_node(where);
	unsigned n = take_listed(s, cache_partial(s, node), out, want, pops);

	if (stele_likely(!n || !(where & WHERE_ONLY) || node_at((void *)(uintptr_t)*out) == node))
		return n;
	while (n)
		stele_slabs_give_one(s, (void *)(uintptr_t)out[--n], EFFORT_BOUNDED);
	return 0;
}

/* The node has nothing: the others, the nearest first. */
static unsigned take_of_others(struct kmem_cache *s, unsigned where, uint64_t *out, unsigned want)
{
	unsigned node = where_node(where), which = 0, n = 0;
	int other;

	if (where & WHERE_ONLY)
		return 0;
	while (!n && (other = stele_node_farther(node, &which)) >= 0) {
		n = take_partial(s, (unsigned)other, out, want, ANY_NUMBER);
		if (!n)
			n = stele_slab_new(s, (unsigned)other | WHERE_ONLY, out, want);
	}
	return n;
}

/* Once more, after slabs that no thread had retired yet: they may be of another cache. */
static unsigned take_after_retiring(struct kmem_cache *s, unsigned where, uint64_t *out, unsigned n,
				    enum effort effort)
{
	unsigned got;

	if (stele_likely(!slab_hooks()->starved(effort)))
		return 0;
	got = take_partial(s, where, out, n, ANY_NUMBER);
	return got ? got : stele_slab_new(s, where, out, n);
}

static unsigned take_first(struct kmem_cache *s, unsigned where, uint64_t *out, unsigned n,
			   enum effort effort)
{
	unsigned got = take_partial(s, where, out, n, pops_for(effort));

	if (!got)
		got = stele_slab_new(s, where | WHERE_ONLY, out, n);
	/* There is no memory for a slab. Now a bounded call may pop any number of slabs, too. */
	if (!got && effort == EFFORT_BOUNDED)
		got = take_partial(s, where, out, n, ANY_NUMBER);
	if (!got)
		got = take_of_others(s, where, out, n);
	if (!got)
		got = take_after_retiring(s, where, out, n, effort);
	return got;
}

unsigned stele_slabs_take(struct kmem_cache *s, unsigned where, uint64_t *out, unsigned n,
			  enum effort effort)
{
	unsigned got = take_first(s, where, out, n, effort), more = got;

	/* No new slab for the others: fewer than @n will do. */
	while (more && got < n) {
		more = take_partial(s, where, out + got, n - got, pops_for(effort));
		got += more;
	}
	return got;
}
