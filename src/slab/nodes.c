/* SPDX-License-Identifier: MIT */
/*
 * slab/nodes.c - what a cache has for each memory node
 *
 * Idea      A partial stack and a barn for each node; node 0's lie in the cache itself, so that
 *           where memory has one node nothing is added. The others' are made with the cache, and in
 *           all caches when a node gets memory: before one of its CPUs runs. They stay until the
 *           cache goes.
 * Missing   is no fault: the node's slabs and sheaves are then where node 0's are. So caches
 *           that exist before the list, and their first objects, need no order at start.
 * Locks     boot, for the caches of these. Else none: two threads may make the same, and one of
 *           them gives its own back. The parts for a new node are made outside of all locks, as
 *           that allocates (cache/memory.c).
 * Order     NODES: slab/nodes.h. CACHE_BOOT
 * Context   making and freeing: ordinary threads; making waits for boot.
 * Failure   -ENOMEM: the parts that were made stay, and the next call goes on from there.
 * Tests     tests/model/nodes.c, tests/contract/test_node.c
 */
#include "slab/parts.h"
#include "percpu/percpu.h"
#include "slab/geometry.h"
#include "slab/nodes.h"
#include "slab/slabs.h"
#include "sync/ready.h"
#include <errno.h>
#include <string.h>

static struct kmem_cache table_cache, node_cache; /* of the two structures; node 0's stack only */
static _Atomic uint32_t caches_ready;

static void give_part(struct kmem_cache *s, void *p)
{
	stele_slabs_give_one(s, p, EFFORT_USUAL);
}

/* False: a handler's jump took this thread out of filling them in. */
static bool boot_caches(void)
{
	/* ORDER(CACHE_BOOT) acquire: the caches are filled in. */
	if (stele_likely(ready_look(&caches_ready)))
		return true;
	if (stele_slab_boot_begin(&caches_ready, EFFORT_WAITING)) {
		stele_slab_boot(&table_cache, "kmem_cache_nodes", sizeof(struct kmem_cache_nodes),
				64, SLAB_NO_MERGE | SLAB_NO_SHEAVES | SLAB_KEPT | SLAB_OWN);
		stele_slab_boot(&node_cache, "kmem_cache_node", sizeof(struct kmem_cache_node), 64,
				SLAB_NO_MERGE | SLAB_NO_SHEAVES | SLAB_KEPT | SLAB_OWN);
		/* ORDER(CACHE_BOOT) release: the caches are filled in. */
		stele_slab_boot_end(&caches_ready);
	}
	return ready_look(&caches_ready);
}

static void *take_zeroed(struct kmem_cache *s, unsigned node)
{
	void *p = boot_caches() ? stele_slabs_take_one(s, node, EFFORT_USUAL) : NULL;

	return p ? memset(p, 0, s->size) : NULL;
}

static struct kmem_cache_nodes *table_of(struct kmem_cache *s)
{
	struct kmem_cache_nodes *nodes = nodes_find(&s->nodes), *mine;

	if (nodes)
		return nodes;
	mine = take_zeroed(&table_cache, 0);
	if (!mine)
		return NULL;
	nodes = nodes_show(&s->nodes, mine);
	if (nodes != mine)
		give_part(&table_cache, mine);
	return nodes;
}

static int make_node(struct kmem_cache *s, unsigned node)
{
	struct kmem_cache_nodes *nodes = table_of(s);
	struct kmem_cache_node *n;

	if (!nodes)
		return -ENOMEM;
	if (load_relaxed(&nodes->at[node]))
		return 0;
	n = take_zeroed(&node_cache, node);
	if (!n)
		return -ENOMEM;
	store_relaxed(&n->barn.limit, load_relaxed(&s->barn.limit));
	if (node_show(&nodes->at[node], n) != n)
		give_part(&node_cache, n);
	return 0;
}

static bool lacks_node(struct kmem_cache *s, unsigned node)
{
	return node_has_memory(node) && !cache_has_node(s, node);
}

int stele_cache_nodes_make(struct kmem_cache *s)
{
	int error = 0;

	for (unsigned node = 1; !error && node < stele_nodes.count; node++)
		if (lacks_node(s, node))
			error = make_node(s, node);
	return error;
}

bool stele_cache_nodes_whole(struct kmem_cache *s)
{
	for (unsigned node = 1; node < stele_nodes.count; node++)
		if (lacks_node(s, node))
			return false;
	return true;
}

void stele_cache_nodes_free(struct kmem_cache *s)
{
	struct kmem_cache_nodes *nodes = load_relaxed(&s->nodes);

	if (!nodes)
		return;
	store_relaxed(&s->nodes, NULL);
	for (unsigned node = 1; node < stele_nodes.count; node++)
		if (load_relaxed(&nodes->at[node]))
			give_part(&node_cache, load_relaxed(&nodes->at[node]));
	give_part(&table_cache, nodes);
}
