/* SPDX-License-Identifier: MIT */
/*
 * slab/nodes.h - a part of a cache that is added once, by whichever thread needs it first
 *
 * Idea      Two threads may make the part at once. Each fills in its own and tries to show it. The
 *           second thread finds the part of the first, and gives its own back. A thread that finds
 *           no part yet does without one.
 * Order     NODES: shown with release after it was filled in, found with acquire.
 * Context   any.
 * Tests     tests/model/nodes.c
 */
#ifndef STELE_SLAB_NODES_H
#define STELE_SLAB_NODES_H

#include "sync/atomic.h"
#include <stddef.h>

#ifndef ORDER_NODES_FIND
#define ORDER_NODES_FIND memory_order_acquire
#endif
#ifndef ORDER_NODES_SHOW
#define ORDER_NODES_SHOW memory_order_acq_rel
#endif

struct kmem_cache_node;
struct kmem_cache_nodes;

/* NULL: it has none yet. */
static inline struct kmem_cache_nodes *nodes_find(_Atomic(struct kmem_cache_nodes *) *place)
{
	/* ORDER(NODES) acquire: the part is empty before it is found. */
	return atomic_load_explicit(place, ORDER_NODES_FIND);
}

/* The one that is there now: @mine, or another thread's. */
static inline struct kmem_cache_nodes *nodes_show(_Atomic(struct kmem_cache_nodes *) *place,
						  struct kmem_cache_nodes *mine)
{
	struct kmem_cache_nodes *there = NULL;

	/* ORDER(NODES) release: this thread's part is empty; acquire: another thread's is. */
	return atomic_compare_exchange_strong_explicit(place, &there, mine, ORDER_NODES_SHOW,
						       ORDER_NODES_FIND)
		       ? mine
		       : there;
}

static inline struct kmem_cache_node *node_find(_Atomic(struct kmem_cache_node *) *place)
{
	/* ORDER(NODES) acquire: its stacks are empty before it is found. */
	return atomic_load_explicit(place, ORDER_NODES_FIND);
}

static inline struct kmem_cache_node *node_show(_Atomic(struct kmem_cache_node *) *place,
						struct kmem_cache_node *mine)
{
	struct kmem_cache_node *there = NULL;

	/* ORDER(NODES) release: the stacks of this thread's part are empty; acquire: those of
	 * another thread's part are. */
	return atomic_compare_exchange_strong_explicit(place, &there, mine, ORDER_NODES_SHOW,
						       ORDER_NODES_FIND)
		       ? mine
		       : there;
}

#endif
