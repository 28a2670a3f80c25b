/* SPDX-License-Identifier: MIT */
/*
 * cache/prepare.c - makes the parts that every cache needs for a new memory node
 *
 * Context   ordinary threads.
 * Failure   -ENOMEM: the parts that were made stay; node 0's serve for the others.
 * Tests     tests/contract/test_node.c
 */
#include "cache/caches.h"
#include "cache/sheaves.h"
#include "page/run.h"
#include "page/where.h"
#include "slab/parts.h"
#include "sync/mutex.h"

static void make_parts(struct kmem_cache *s, void *arg)
{
	int *error = arg, failed = stele_cache_nodes_make(s);

	*error = failed ? failed : *error;
}

/* The nodes that the machine has now. */
static int look_for_nodes(void)
{
	int error = stele_lock(&stele_list_lock);

	if (error)
		return error;
	stele_zones_look();
	stele_unlock(&stele_list_lock);
	return 0;
}

/* A cache that is being made meanwhile finds the node, or is in the list when the walk begins. Any
 * node's number will do: the call makes all missing parts, for whichever node. */
int stele_nodes_prepare(int node)
{
	int error = stele_heap_start();

	if (error || node < 0 || (unsigned)node >= stele_nodes.count || !nodes_several())
		return error;
	error = look_for_nodes();
	if (error)
		return error;
	error = stele_sheaf_nodes_make();
	stele_cache_each(make_parts, &error);
	return error;
}
