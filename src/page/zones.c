/* SPDX-License-Identifier: MIT */
/*
 * page/zones.c - the stretches of the arena that belong to nodes
 *
 * Idea      Each node has one stretch, with one policy: the system is told when areas are mapped,
 *           before anything in them was touched, and mappings with the same policy become one.
 *           The policy is a preference: where the node is full, the system takes another. In
 *           this library memory belongs to a node if its address lies in that node's stretch.
 * Context   looking: one thread at a time. Else any.
 * Failure   the system refuses the policy: pages come from where they are touched first, which is
 *           near to the thread that touches them.
 * Tests     tests/unit/page/test_zones.c, tests/contract/test_node.c
 */
#include "os/nodes.h"
#include "page/heap.h"
#include "page/run.h"
#include "page/where.h"
#include "percpu/system.h"
#include <stele/gfp.h>
#include <stele/page.h>
#include <stele/topology.h>

void stele_zones_bind(uint32_t first, uint32_t n)
{
	unsigned node;

	if (!nodes_several() || stele_nodes.pretended)
		return;
	node = first >> stele_heap.zone_shift;
	if (node_has_memory(node))
		stele_os_prefer_node(area_memory(first), (size_t)n * AREA_SIZE, node);
}

/* A node that gets memory has no areas open yet: none were taken from it. */
void stele_zones_look(void)
{
	uint64_t found = stele_nodes_look();

	for (unsigned node = 0; node < stele_nodes.count; node++) {
		if (!(found >> node & 1) || node_has_memory(node))
			continue;
		stele_node_shown(node);
	}
}

bool stele_where(int node, unsigned gfp, unsigned *where)
{
	unsigned number = (unsigned)node, only = gfp & __GFP_THISNODE ? WHERE_ONLY : 0;

	if (node < 0) {
		*where = stele_node_here() | only;
	} else if (node_has_memory(number)) {
		*where = number | only;
	} else {
		*where = number < stele_nodes.count ? stele_node_with_memory(number)
						    : stele_node_here();
		return !only;
	}
	return true;
}

unsigned stele_node_at_slow(const void *p)
{
	return area_of((uintptr_t)p) >> stele_heap.zone_shift;
}
