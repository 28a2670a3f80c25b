/* SPDX-License-Identifier: MIT */
/*
 * page/where.h - the node that memory is wanted of, and the node that an address is of
 *
 * Idea      "where" is a node's number, and whether it has to be that node (WHERE_ONLY). If the
 *           node is full, the nearest other node serves, unless WHERE_ONLY is set. Each node's
 *           areas are one stretch of the arena (page/heap.h), so an address names its node.
 * Context   any, once the heap has started.
 */
#ifndef STELE_PAGE_WHERE_H
#define STELE_PAGE_WHERE_H

#include "percpu/percpu.h"

#define WHERE_ONLY 0x100u

static inline unsigned where_node(unsigned where)
{
	return where & ~WHERE_ONLY;
}

/*
 * The "where" of a call's node and flags. A memoryless or nonexistent node stands for the nearest
 * one that has memory. False: only that node will do, so there is no memory for the call.
 */
bool stele_where(int node, unsigned gfp, unsigned *where);

unsigned stele_node_at_slow(const void *p);

/* The node of an address in the arena. */
static inline unsigned node_at(const void *p)
{
	return nodes_several() ? stele_node_at_slow(p) : 0;
}

/* Whether @p is of a node that this thread's slot does not take memory from. */
static inline bool is_remote(const void *p)
{
	return nodes_several() && stele_node_at_slow(p) != stele_node_here_slow();
}

/* stele_run_take_from() from where this thread is. */
struct run;
struct run *stele_run_take_from(unsigned where, unsigned frames, unsigned align, bool *clean);
static inline struct run *stele_run_take(unsigned frames, unsigned align, bool *clean)
{
	return stele_run_take_from(stele_node_here(), frames, align, clean);
}

/* Looks for nodes that got memory since the start, and lets them be taken from. */
void stele_zones_look(void);

#endif
