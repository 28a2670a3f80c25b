/* SPDX-License-Identifier: MIT */
/*
 * cache/sheaf.h - a stack of free objects that moves between slots and the barn as a whole
 *
 * Idea      A sheaf is a block of 256, 512 or 1024 bytes, aligned to its size. Everybody
 *           passes its top (a pointer to the next free entry), which names the sheaf and
 *           says how full it is in one word.
 *             link | saved top | depth | 0 | entry 0 ... entry capacity-1 | END
 *           The 0 stops a pop, the END stops a push. Sheaves are read without ownership (the link
 *           and depth here, entries in percpu/steps.c), so their slabs stay for good (kept.c).
 * States    in a slot's MAIN or SPARE; in the barn; in one thread's hands. Never in two.
 * Order     in a slot: SLOT; in the barn: STACK. The entries travel with it.
 */
#ifndef STELE_CACHE_SHEAF_H
#define STELE_CACHE_SHEAF_H

#include "percpu/percpu.h"
#include "slab/kmem_cache.h"
#include "sync/stack.h"

#ifndef BARN_FENCE
#define BARN_FENCE() fence_release() /* a model shows what happens without */
#endif

struct sheaf {
	struct stele_link link; /* barn */
	uint64_t top;		/* while in the barn */
	_Atomic uint64_t depth; /* sheaves below and this one, as of its push; read racily */
	uint64_t bottom;	/* always 0 */
	uint64_t entry[];
};

#define SHEAF_OVERHEAD 5 /* words that are not entries */

static inline struct sheaf *sheaf_of(uint64_t top, unsigned bytes)
{
	return (struct sheaf *)(uintptr_t)(top & ~(uint64_t)(bytes - 1));
}

static inline uint64_t sheaf_bottom(struct sheaf *sheaf)
{
	return (uint64_t)(uintptr_t)sheaf->entry;
}

static inline unsigned sheaf_count(uint64_t top, unsigned bytes)
{
	return (unsigned)((top - sheaf_bottom(sheaf_of(top, bytes))) / 8);
}

/* From the top alone, so a sheaf that is in use elsewhere may be asked about. */
static inline bool sheaf_is_empty(uint64_t top, unsigned bytes)
{
	return sheaf_count(top, bytes) == 0;
}

static inline bool sheaf_is_full(uint64_t top, unsigned bytes, unsigned capacity)
{
	return sheaf_count(top, bytes) == capacity;
}

/* Whether a slot's word may be replaced by a sheaf: it has one, or could have. Not when a taker has
 * marked it, nor before the slot's first use. */
static inline bool word_attachable(uint64_t word)
{
	return stele_is_sheaf(word) || word == SHEAF_EMPTY;
}

/* The same for a caller that has the time to look whether the taker is gone; the next look finds it
 * mended. */
static inline bool word_attachable_mend(uint64_t word)
{
	if (stele_unlikely(word == SHEAF_REMOTE))
		stele_pcpu_mend();
	return word_attachable(word);
}

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
