/* SPDX-License-Identifier: MIT */
/*
 * slab/partial.h - claiming from the slab on top of a partial stack without popping it
 *
 * Idea      A look is the head, the state of the slab it names, and the head again. If the head
 *           is the same, its tag proves that the slab was on top of this stack when its state
 *           was read; the state's generation then makes a claim fail if it became another slab.
 * Order     SLABHEAD: head acquire, state acquire, head. A thread that reuses a descriptor has
 *           popped it before; so a thread that reads a state of the new use sees a new head as
 *           well.
 * Context   any; each lost race means that another thread made progress.
 * Tests     tests/model/partial.c
 */
#ifndef STELE_SLAB_PARTIAL_H
#define STELE_SLAB_PARTIAL_H

#include "slab/bitmap.h"
#include "sync/stack.h"

#ifndef ORDER_HEAD
#define ORDER_HEAD memory_order_acquire
#endif
#ifndef ORDER_HEAD_STATE
#define ORDER_HEAD_STATE memory_order_acquire
#endif

/* An entry of a partial stack, inside of a descriptor: the link and the state side by side. */
struct partial {
	struct stele_link link;
	_Atomic uint64_t state;
};

/* The slab on top, as it was at one moment. */
struct partial_look {
	struct partial *slab; /* NULL: the stack is empty */
	uint64_t head, state;
};

static inline struct partial_look partial_look(struct stele_stack *stack, void *base)
{
	struct partial_look look;

	for (;;) {
		/* ORDER(SLABHEAD) acquire: the state is not older than the slab's push. */
		look.head = atomic_load_explicit(&stack->head, ORDER_HEAD);
		look.slab = NULL;
		if (!STELE_STACK_INDEX(look.head))
			return look;
		look.slab = (struct partial *)stack_node(base, STELE_STACK_INDEX(look.head));
		STELE_POINT("partial:look");
		racy_target(look.slab);
		/* ORDER(SLABHEAD) acquire: the second look at the head is not older than the pop
		 * that came before this state. */
		look.state = atomic_load_explicit(&look.slab->state, ORDER_HEAD_STATE);
		STELE_POINT("partial:again");
		if (load_relaxed(&stack->head) == look.head)
			return look;
	}
}

/* Takes a slab without free objects off the stack. UNLIST_LOST: it is no longer on top. */
static inline enum unlist_result partial_pop(struct stele_stack *stack, void *base,
					     const struct partial_look *look)
{
	if (!stack_pop_if(stack, base, look->head))
		return UNLIST_LOST;
	STELE_POINT("partial:popped");
	return state_unlist(&look->slab->state);
}

#endif
