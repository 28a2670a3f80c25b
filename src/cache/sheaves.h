/* SPDX-License-Identifier: MIT */
/*
 * cache/sheaves.h - whole sheaves (percpu/percpu.h): made, put into barns, taken from there, dissolved
 *
 * Barns     A barn is two stacks of sheaves, full ones and empty ones. The sheaf on top says how many
 *           lie below it. A look at that reads a sheaf without owning it.
 * Order     STACK. The entries travel with the sheaf.
 * Context   any, but for what is said otherwise; each lost race means that another thread made
 *           progress.
 * Tests     tests/unit/cache/test_sheaf.c, tests/model/sheaf.c
 */
#ifndef STELE_CACHE_SHEAVES_H
#define STELE_CACHE_SHEAVES_H

#include "base/basics.h"
#include "percpu/percpu.h"
#include "slab/kmem_cache.h"
#include "sync/stack.h"

/* ---- a barn ---- */

#ifndef BARN_FENCE
#define BARN_FENCE() fence_release() /* a model shows what happens without */
#endif

/* As it was at one moment. */
static inline bool barn_has(struct stele_stack *stack)
{
	return STELE_STACK_INDEX(load_relaxed(&stack->head)) != 0;
}

/* Exact at one moment: of a sheaf that was popped meanwhile, the memory may hold anything. */
static inline uint64_t barn_depth(struct stele_stack *stack)
{
	struct sheaf *top;
	uint64_t head, depth;

	do {
		/* ORDER(STACK) acquire: the depth is not older than the push. */
		head = load_acquire(&stack->head);
		if (!STELE_STACK_INDEX(head))
			return 0;
		top = (struct sheaf *)stack_node(stele_hot.base, STELE_STACK_INDEX(head));
		STELE_POINT("barn:depth");
		racy_target(top);
		/* ORDER(STACK) acquire: before the second look at the head. */
		depth = load_acquire(&top->depth);
	} while (load_relaxed(&stack->head) != head);
	return depth;
}

/* Puts a sheaf unless @limit are there. */
static inline bool barn_put(struct stele_stack *stack, struct sheaf *sheaf, uint64_t top,
			    uint32_t limit)
{
	uint64_t depth = barn_depth(stack);

	if (depth >= limit)
		return false;
	sheaf->top = top;
	store_relaxed(&sheaf->depth, depth + 1);
	stack_push(stack, stele_hot.base, &sheaf->link);
	return true;
}

/* A sheaf's top, or 0. */
static inline uint64_t barn_get(struct stele_stack *stack)
{
	struct stele_link *link = stack_pop(stack, stele_hot.base);

	/* ORDER(PAGEMAP) release: the pop has seen the stores of the threads that made the slabs.
	 * They become visible before a later store publishes an object of this sheaf. */
	BARN_FENCE();
	return link ? ((struct sheaf *)link)->top : 0;
}

/* ---- attach.c ---- */
/* An object of the slot's sheaves, which are replaced or filled, or of the barn. NULL: there is none.
 * EFFORT_BOUNDED: a sheaf moves as it is. */
void *stele_sheaves_alloc(struct kmem_cache *s, enum effort effort);
/* Puts @p, of this slot's node, into a sheaf of the slot. False: it has no room. */
bool stele_sheaves_free(struct kmem_cache *s, void *p, enum effort effort);

/* ---- sheaves.c ---- */
/* A new, empty sheaf: its top, or 0. */
uint64_t stele_sheaf_new(struct kmem_cache *s);
/* Frees the memory of an empty sheaf. */
void stele_sheaf_destroy(struct kmem_cache *s, uint64_t top);
/* Returns what is in a sheaf to the slabs; its new top. */
uint64_t stele_sheaf_flush(struct kmem_cache *s, uint64_t top);
/* Both: the objects of a sheaf go to the slabs, and its memory is freed. */
void stele_sheaf_dissolve(struct kmem_cache *s, uint64_t top);
/* MAIN and SPARE of a slot, of which either may be no sheaf. */
void stele_sheaf_dissolve_both(struct kmem_cache *s, const uint64_t found[2]);
bool stele_is_sheaf_cache(const struct kmem_cache *s);
/* Each returns NULL, or the invariant that is broken (base/valid.h). The caller has the sheaf in hand.
 * The frame is all but the entries; debug builds look at it whenever a sheaf goes from hand to hand. A
 * double free by the program may break the rest: the slab of an object in it may be gone. */
const char *stele_sheaf_frame_valid(const struct kmem_cache *s, uint64_t top);
const char *stele_sheaf_valid(const struct kmem_cache *s, uint64_t top);
/* stele_cache_nodes_make() of the caches that sheaves are of. Ordinary threads. */
int stele_sheaf_nodes_make(void);

/* ---- barns.c ---- */
/* A sheaf, empty or not, goes to the barn, or its objects to the slabs. EFFORT_BOUNDED: it goes to
 * the barn as it is, past the barn's limit if need be. */
void stele_sheaf_put(struct kmem_cache *s, uint64_t top, enum effort effort);
/* An empty sheaf: of the barn if it has one, else a new one; 0: there is none. */
uint64_t stele_sheaf_get_empty(struct kmem_cache *s);
/* One with objects, of this node's barn, or 0. */
uint64_t stele_sheaf_get_filled(struct kmem_cache *s);
/* One object of a sheaf in the barn, for a thread that cannot have a sheaf: its slot is closed or
 * busy. */
void *stele_barn_take_one(struct kmem_cache *s);
/* There is no memory: an object out of any node's barn. */
void *stele_barns_take_one(struct kmem_cache *s);
/* Full sheaves that each barn keeps at first. */
void stele_barns_limit(struct kmem_cache *s, uint32_t limit);
/* Dissolves all that is in the barns. */
void stele_barns_flush(struct kmem_cache *s);
/* Whether any slot or barn has a sheaf of it: a short look, soon out of date. */
bool stele_cache_has_sheaves(struct kmem_cache *s);

#endif
