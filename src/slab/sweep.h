/* SPDX-License-Identifier: MIT */
/*
 * slab/sweep.h - the descriptors of dead slabs come off a partial stack
 *
 * Idea      slab/dead.c has the theory. These are the steps, so that a model can include them.
 *           A sweep has all that it pops in hand, and pushes back what lives. LISTED stays set
 *           meanwhile: a thread that frees does not push such a slab, and one that buries it leaves
 *           the descriptor to the thread that pops it next.
 * Order     SLABHEAD, STACK, SLABSTATE.
 * Context   any.
 * Failure   a thread that never comes back from a sweep: the stack has lost what was in its hands.
 * Tests     tests/model/partial.c
 */
#ifndef STELE_SLAB_SWEEP_H
#define STELE_SLAB_SWEEP_H

#include "slab/partial.h"

/* May be weakened by a model that must fail then. */
#ifndef ORDER_SWEEP_STATE
#define ORDER_SWEEP_STATE memory_order_acquire
#endif

/* The slab on top, which is dead, and the caller's now. NULL: the slab on top is none, or lives, or
 * another thread was faster. */
static inline struct partial *sweep_top(struct stele_stack *stack, void *base)
{
	struct partial_look look = partial_look(stack, base);

	if (!look.slab || !(look.state & STATE_DEAD) || !stack_pop_if(stack, base, look.head))
		return NULL;
	return look.slab;
}

/* Slabs that were popped and live, linked in the order that they had; and how many. */
struct swept {
	struct stele_link *first, *last;
	unsigned dead, live;
};

static inline void swept_keep(struct swept *swept, void *base, struct stele_link *link)
{
	if (swept->last)
		store_relaxed(&swept->last->next, stack_index(base, link));
	swept->first = swept->first ? swept->first : link;
	swept->last = link;
	swept->live++;
}

/* Pops slabs until @dead_most dead ones went to @each, or @live_most others are in hand. */
static inline __attribute__((always_inline)) void sweep_pop(struct swept *swept,
							    struct stele_stack *stack, void *base,
							    unsigned dead_most, unsigned live_most,
							    void (*each)(struct partial *slab))
{
	struct stele_link *link;

	while (swept->dead < dead_most && swept->live < live_most &&
	       (link = stack_pop(stack, base))) {
		struct partial *slab = (struct partial *)link;

		/* ORDER(SLABSTATE) acquire: of a dead slab, the retirer is done with it. */
		if (atomic_load_explicit(&slab->state, ORDER_SWEEP_STATE) & STATE_DEAD) {
			each(slab);
			swept->dead++;
		} else {
			swept_keep(swept, base, link);
		}
	}
}

static inline void sweep_push_back(const struct swept *swept, struct stele_stack *stack, void *base)
{
	STELE_POINT("dead:in-hand");
	if (swept->first)
		stack_push_chain(stack, base, swept->first, swept->last);
}

#endif
