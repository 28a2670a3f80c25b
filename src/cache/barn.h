/* SPDX-License-Identifier: MIT */
/*
 * cache/barn.h - whole sheaves (percpu/sheaf.h) between slots
 *
 * Idea      A barn is two stacks of sheaves, full ones and empty ones. The sheaf on top says how many
 *           lie below it. A look at that reads a sheaf without owning it.
 * Order     STACK. The entries travel with the sheaf.
 * Context   any; each lost race means that another thread made progress.
 * Tests     tests/unit/cache/test_sheaf.c, tests/model/sheaf.c
 */
#ifndef STELE_CACHE_BARN_H
#define STELE_CACHE_BARN_H

#include "percpu/sheaf.h"
#include "slab/kmem_cache.h"
#include "sync/stack.h"

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

	/* ORDER(PAGEMAP) release: the makers of its slabs, whom the pop has seen, before whatever
	 * tells of the objects. */
	BARN_FENCE();
	return link ? ((struct sheaf *)link)->top : 0;
}

#endif
