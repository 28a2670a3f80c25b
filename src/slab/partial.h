/* SPDX-License-Identifier: MIT */
/*
 * slab/partial.h - claiming from the slab on top of a partial stack without popping it
 *
 * Idea      A look is the head, the state of the slab it names, and the head again. If the head
 *           is the same, its tag proves that the slab was on top of this stack when its state
 *           was read. If the descriptor becomes another slab after that, the generation in the
 *           state makes the claim fail.
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

/* The new state of a slab that was taken off its stack with all others. */
enum tidied {
	TIDY_RETURN, /* it is dead: its descriptor is the caller's */
	TIDY_RETIRE, /* it was idle: the caller owns it, and its descriptor */
	TIDY_LIST,   /* the caller pushes it again */
};

#ifndef TIDY_TAKE_IDLE
#define TIDY_TAKE_IDLE(state) state_take_idle(state, true) /* a model shows others */
#endif

/*
 * Takes all slabs off a stack and passes each to @each. Slabs that are more than half free go back
 * first, so the fuller ones end above. @objects: of each slab.
 */
static inline __attribute__((always_inline)) void
partial_tidy(struct stele_stack *stack, void *base, unsigned objects,
	     void (*each)(struct partial *slab, enum tidied what, void *arg), void *arg)
{
	struct stele_link *link = stack_take_all(stack, base), *below, *fuller = NULL;

	for (; link; link = below) {
		struct partial *slab = (struct partial *)link;
		/* ORDER(SLABSTATE) acquire: of a dead slab, the retirer is done with it. */
		uint64_t state = load_acquire(&slab->state);

		STELE_POINT("partial:tidy");
		below = stack_below(base, link);
		if (state & STATE_DEAD) {
			each(slab, TIDY_RETURN, arg);
		} else if (TIDY_TAKE_IDLE(&slab->state)) {
			each(slab, TIDY_RETIRE, arg);
		} else if ((state & STATE_FREE) * 2 > objects) {
			each(slab, TIDY_LIST, arg);
		} else {
			store_relaxed(&link->next, fuller ? stack_index(base, fuller) : 0);
			fuller = link;
		}
	}
	for (; fuller; fuller = below) {
		below = stack_below(base, fuller);
		each((struct partial *)fuller, TIDY_LIST, arg);
	}
}

#endif
