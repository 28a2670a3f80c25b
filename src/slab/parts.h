/* SPDX-License-Identifier: MIT */
/*
 * slab/parts.h - what a cache has for each memory node (nodes.c)
 *
 * Idea      Node 0's partial stack and barn lie in the cache itself. A node above 0 has its own, once
 *           they are made.
 * Context   the look-ups: any. The others: ordinary threads.
 */
#ifndef STELE_SLAB_PARTS_H
#define STELE_SLAB_PARTS_H

#include "page/run.h"
#include "page/where.h"
#include "percpu/percpu.h"
#include "slab/kmem_cache.h"
#include "slab/nodes.h"
#include "sync/atomic.h"
#include "sync/stack.h"

/* Of a node above 0; NULL: it has none yet. */
static inline struct kmem_cache_node *stele_cache_node(struct kmem_cache *s, unsigned node)
{
	struct kmem_cache_nodes *nodes = nodes_find(&s->nodes);
	struct kmem_cache_node *part;

	racy_target(nodes);
	part = nodes ? node_find(&nodes->at[node]) : NULL;
	racy_target(part);
	return part;
}

static inline bool cache_has_node(struct kmem_cache *s, unsigned node)
{
	return !node || stele_cache_node(s, node);
}

static inline struct stele_stack *cache_partial(struct kmem_cache *s, unsigned node)
{
	struct kmem_cache_node *n = stele_unlikely(node) ? stele_cache_node(s, node) : NULL;

	return n ? &n->partial : &s->partial;
}

/* Puts a slab with free objects on the partial stack of its node. */
static inline void cache_list_slab(struct kmem_cache *s, struct run *run)
{
	stack_push(cache_partial(s, node_at((void *)run->base)), stele_hot.base, &run->link);
}

static inline struct barn *cache_barn(struct kmem_cache *s, unsigned node)
{
	struct kmem_cache_node *n = stele_unlikely(node) ? stele_cache_node(s, node) : NULL;

	return n ? &n->barn : &s->barn;
}

static inline struct barn *barn_here(struct kmem_cache *s)
{
	return cache_barn(s, stele_node_here());
}

/* For every node that has memory. 0 or -ENOMEM: the cache then uses the parts that were created. */
int stele_cache_nodes_make(struct kmem_cache *s);
/* Whether there is nothing to make. */
bool stele_cache_nodes_whole(struct kmem_cache *s);
/* Nothing is left in them. */
void stele_cache_nodes_free(struct kmem_cache *s);

#endif
