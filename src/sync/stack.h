/* SPDX-License-Identifier: MIT */
/*
 * sync/stack.h - a lock-free stack of things whose memory is never given away
 *
 * Idea      Treiber's stack; the head holds {tag, index}. The tag grows by one at
 *           every push and pop, so a head that was read, and is found again, was
 *           never changed in between.
 * Objects   nodes at base + index * 64, index 0 is "none". A node's link may be read after another
 *           thread has popped the node and uses its memory for something else, so links are atomic.
 *           The value is thrown away then, as the head has another tag. The memory must still be
 *           readable, so the library never gives it to a program: nodes are descriptors of runs, or
 *           sheaves, whose slabs stay for good (sync/atomic.h).
 * Order     STACK: push releases, pop and take acquire: all that was written to a node before its
 *           push is seen after its pop.
 * Context   any. A push or pop that loses a race tries again; each loss means that another thread
 *           made progress.
 * Limits    36 bits of index (4 TiB of nodes), 28 bits of tag: a thread would have to
 *           stall between two instructions while the head changes exactly 2^28 times
 *           and shows the same node again.
 * Tests     tests/model/stack.c
 */
#ifndef STELE_SYNC_STACK_H
#define STELE_SYNC_STACK_H

#include "sync/atomic.h"
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

/* ---- links: on this stack, on a list of notes (later.h), in a queue for readers (grace.h) ---- */

/*
 * A thing that lies on one of these has a link in it: descriptors and sheaves do, and some hold the links
 * of all three. All are here, so that the head of a descriptor (page/run.h) includes this file alone.
 */

struct stele_link {
	_Atomic uint64_t next; /* index of the node below; racy readers discard it */
};

struct stele_stack {
	_Atomic uint64_t head; /* {tag:28, index:36} */
};

struct stele_later {
	struct stele_link link;
	_Atomic uint32_t noted;
};

/* Of an object that waits for readers, this is the first word of its kvfree_rcu_head or rcu_head. */
struct stele_grace_link {
	_Atomic(struct stele_grace_link *) next;
};

struct stele_grace_call;
/* The runner calls this after the grace period. Returns the bytes that the entry counted as. */
typedef uint64_t stele_grace_done(struct stele_grace_call *call);

struct stele_grace_call {
	struct stele_grace_link link;
	_Atomic(stele_grace_done *) done; /* not NULL while it waits; the function clears it */
};

/* ---- the stack ---- */

#ifndef ORDER_STACK_PUSH
#define ORDER_STACK_PUSH memory_order_release
#endif
#ifndef ORDER_STACK_POP
#define ORDER_STACK_POP memory_order_acquire
#endif
#ifndef STACK_TAG_STEP
#define STACK_TAG_STEP 1 /* a model shows what happens with 0 */
#endif

#define STELE_STACK_INDEX_BITS 36
#define STELE_STACK_INDEX(head) ((head) & ((1ull << STELE_STACK_INDEX_BITS) - 1))
#define STELE_STACK_GRAIN 64

static inline uint64_t stack_next_head(uint64_t old, uint64_t index)
{
	uint64_t tag = (old >> STELE_STACK_INDEX_BITS) + STACK_TAG_STEP;

	return tag << STELE_STACK_INDEX_BITS | index;
}

static inline struct stele_link *stack_node(void *base, uint64_t index)
{
	return (struct stele_link *)((char *)base + index * STELE_STACK_GRAIN);
}

static inline uint64_t stack_index(void *base, struct stele_link *node)
{
	return (uint64_t)((char *)node - (char *)base) / STELE_STACK_GRAIN;
}

/* Pushes the chain first..last, already linked by the caller. */
static inline void stack_push_chain(struct stele_stack *stack, void *base, struct stele_link *first,
				    struct stele_link *last)
{
	uint64_t old = load_relaxed(&stack->head);

	do {
		store_relaxed(&last->next, STELE_STACK_INDEX(old));
		STELE_POINT("stack:push");
		/* ORDER(STACK) release: the thread that pops the node sees its contents. */
	} while (!atomic_compare_exchange_weak_explicit(
		&stack->head, &old, stack_next_head(old, stack_index(base, first)),
		ORDER_STACK_PUSH, memory_order_relaxed));
}

static inline void stack_push(struct stele_stack *stack, void *base, struct stele_link *node)
{
	stack_push_chain(stack, base, node, node);
}

/* Pops the top node if the head is still @head. */
static inline bool stack_pop_if(struct stele_stack *stack, void *base, uint64_t head)
{
	struct stele_link *top = stack_node(base, STELE_STACK_INDEX(head));
	uint64_t next;

	STELE_POINT("stack:read");
	racy_target(top);
	next = load_relaxed(&top->next);
	STELE_POINT("stack:pop");
	/* ORDER(STACK) acquire: pairs with the push of this node. */
	return atomic_compare_exchange_strong_explicit(&stack->head, &head,
						       stack_next_head(head, next), ORDER_STACK_POP,
						       memory_order_relaxed);
}

static inline struct stele_link *stack_pop(struct stele_stack *stack, void *base)
{
	for (;;) {
		/* ORDER(STACK) acquire: the link below was written before the push. */
		uint64_t head = atomic_load_explicit(&stack->head, ORDER_STACK_POP);

		if (!STELE_STACK_INDEX(head))
			return NULL;
		if (stack_pop_if(stack, base, head))
			return stack_node(base, STELE_STACK_INDEX(head));
	}
}

/* Takes the whole stack; the caller walks it with stack_below(). */
static inline struct stele_link *stack_take_all(struct stele_stack *stack, void *base)
{
	uint64_t old = load_relaxed(&stack->head);

	while (STELE_STACK_INDEX(old)) {
		/* ORDER(STACK) acquire: pairs with the push of every node that is taken. */
		if (atomic_compare_exchange_weak_explicit(&stack->head, &old,
							  stack_next_head(old, 0), ORDER_STACK_POP,
							  memory_order_relaxed))
			return stack_node(base, STELE_STACK_INDEX(old));
	}
	return NULL;
}

static inline struct stele_link *stack_below(void *base, struct stele_link *node)
{
	uint64_t next = load_relaxed(&node->next);

	return next ? stack_node(base, next) : NULL;
}

/* ---- a look at all nodes, while no thread changes the stack ---- */

/* The walk keeps a node that it has seen, a later one after each doubling of its steps. So it meets that
 * node again if the links form a circle. */
struct stack_walk {
	uint64_t index, seen, steps;
};

static inline struct stack_walk stack_walk_from_top(struct stele_stack *stack)
{
	return (struct stack_walk){ .index = STELE_STACK_INDEX(load_relaxed(&stack->head)) };
}

/* NULL: at the end, or in a circle. */
static inline struct stele_link *stack_walk_node(const struct stack_walk *walk, void *base)
{
	return walk->index && walk->index != walk->seen ? stack_node(base, walk->index) : NULL;
}

static inline void stack_walk_down(struct stack_walk *walk, void *base)
{
	walk->steps++;
	if (!(walk->steps & (walk->steps - 1)))
		walk->seen = walk->index;
	walk->index = load_relaxed(&stack_node(base, walk->index)->next);
}

static inline bool stack_walk_met_a_circle(const struct stack_walk *walk)
{
	return walk->index && walk->index == walk->seen;
}

#endif
