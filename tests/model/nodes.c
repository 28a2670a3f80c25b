/* SPDX-License-Identifier: MIT */
/*
 * tests/model/nodes.c - slab/nodes.h: a cache's part for a node is empty before a thread finds it
 *
 * Idea      A cache has nothing for its second node. Two threads make it at the first use: a table of
 *           parts, and the part. One of them wins each; a third thread finds the part, or not, and
 *           then uses the first node's. Each thread pushes its thing on the stack that it finds, and
 *           looks whether that stack is whole. There are many caches, and a step for each. The memory
 *           of a part was used for something else before, so it is written plainly. Runs the shipped
 *           code, on the shipped stack.
 * Broken    NODES_SHOW  shown relaxed (TSan)
 *           NODES_FIND  found relaxed (TSan)
 *           NODES_CAS   shown by a store: two win, and the things on the first one's stack are lost
 */
#ifdef BROKEN_NODES_SHOW
#define ORDER_NODES_SHOW memory_order_relaxed
#endif
#ifdef BROKEN_NODES_FIND
#define ORDER_NODES_FIND memory_order_relaxed
#endif
#ifdef MODEL_ROUNDS
#define MODEL_STEPS 20
#else
#define MODEL_STEPS 1
#endif
#include "model.h"
#include "slab/nodes.h"
#include "sync/stack.h"

#define NODES MODEL_THREADS

struct kmem_cache_node {
	struct stele_stack partial;
	struct payload is_empty; /* plain: written with what is above */
};

struct kmem_cache_nodes {
	_Atomic(struct kmem_cache_node *) at;
	struct payload is_empty;
};

struct item {
	struct stele_link link;
} __attribute__((aligned(STELE_STACK_GRAIN)));

static struct cache {
	struct stele_stack partial; /* the first node's */
	_Atomic(struct kmem_cache_nodes *) nodes;
	struct kmem_cache_nodes tables[NODES + 1]; /* written by the thread that takes it */
	struct kmem_cache_node memory[NODES + 1];
	struct item items[NODES + 1];	   /* 0 is none */
	_Atomic uint32_t given[NODES + 1]; /* memory that was not needed */
} caches[MODEL_STEPS];

/* As stele_cache_node(). */
static struct kmem_cache_node *find(struct cache *s)
{
	struct kmem_cache_nodes *nodes = nodes_find(&s->nodes);

	if (!nodes)
		return NULL;
	model_assert(nodes->is_empty.holder == 1);
	return node_find(&nodes->at);
}

static struct kmem_cache_nodes *table_of(struct cache *s, int me)
{
	struct kmem_cache_nodes *nodes = nodes_find(&s->nodes), *mine = &s->tables[me];

	if (nodes)
		return nodes;
	store_relaxed(&mine->at, NULL);
	mine->is_empty.holder = 1;
	STELE_POINT("model:table");
	return nodes_show(&s->nodes, mine);
}

static bool show(struct kmem_cache_nodes *nodes, struct kmem_cache_node *mine)
{
#ifdef BROKEN_NODES_CAS
	bool none = !node_find(&nodes->at);

	STELE_POINT("model:none");
	if (none)
		atomic_exchange(&nodes->at, mine);
	return none;
#else
	return node_show(&nodes->at, mine) == mine;
#endif
}

static void make(struct cache *s, int me)
{
	struct kmem_cache_nodes *nodes = table_of(s, me);
	struct kmem_cache_node *mine = &s->memory[me];

	if (load_relaxed(&nodes->at))
		return;
	store_relaxed(&mine->partial.head, 0);
	mine->is_empty.holder = 1;
	STELE_POINT("model:made");
	if (!show(nodes, mine))
		store_relaxed(&s->given[me], 1);
}

/* The caller's, for its node; else the first node's. */
static void push(struct cache *s, int me)
{
	struct kmem_cache_node *node = find(s);

	if (node)
		model_assert(node->is_empty.holder == 1);
	stack_push(node ? &node->partial : &s->partial, s->items, &s->items[me].link);
}

static void model_thread(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		if (me <= 2)
			make(&caches[step], me);
		push(&caches[step], me);
	}
}

static void model_setup(void)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		struct cache *s = &caches[step];

		store_relaxed(&s->partial.head, 0);
		store_relaxed(&s->nodes, NULL);
		for (int me = 1; me <= NODES; me++) {
			store_relaxed(&s->given[me], 0);
			store_relaxed(&s->memory[me].partial.head, 12345);
			s->memory[me].is_empty.holder = 0;
			s->tables[me].is_empty.holder = 0;
		}
	}
}

static void check(struct cache *s)
{
	struct kmem_cache_node *node = find(s);
	int found = 0;

	model_assert(node);
	model_assert(!load_relaxed(&s->given[node - s->memory]));
	while (stack_pop(&node->partial, s->items) || stack_pop(&s->partial, s->items))
		model_assert(++found <= NODES);
	model_assert(found == NODES);
}

static void model_check(void)
{
	for (int step = 0; step < MODEL_STEPS; step++)
		check(&caches[step]);
}
