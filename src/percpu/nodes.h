/* SPDX-License-Identifier: MIT */
/*
 * percpu/nodes.h - which memory node a slot belongs to, and which others are near
 *
 * Idea      `count` is 1 if memory has one node, or if the system refuses a call that several nodes
 *           need. Then no code reads anything else. Otherwise slots are CPU numbers, and a slot
 *           has its CPU's node. In the fallback a slot has the node on which it was first used.
 *           A node without memory stands for the nearest one that has some.
 * Choice    `count` is 1 as well if the process started with a memory policy: numactl has the last
 *           word.
 * Objects   memory: bits are only ever set. A slot's node: read racily; an old value costs time.
 * Context   any, but for stele_nodes_choose() and stele_nodes_look(): one at a time.
 * Tests     tests/unit/percpu/test_nodes.c
 */
#ifndef STELE_PERCPU_NODES_H
#define STELE_PERCPU_NODES_H

#include "base/bits.h"
#include "base/layout.h"
#include "sync/atomic.h"

struct stele_nodes {
	unsigned count;		 /* nodes have numbers below; fixed at start */
	bool pretended;		 /* by the option: nothing is asked of the system */
	_Atomic uint64_t memory; /* a bit for each that has some */
};
extern struct stele_nodes stele_nodes __attribute__((visibility("hidden")));

static inline bool nodes_several(void)
{
	return stele_unlikely(stele_nodes.count > 1);
}

static inline bool node_has_memory(unsigned node)
{
	return node < stele_nodes.count && load_relaxed(&stele_nodes.memory) >> node & 1;
}

/* At start: how many nodes there are. */
void stele_nodes_choose(void);

/* The same, once it is known what slots are. */
void stele_nodes_start(void);
/* There is room for those below @count only, or (1) for none apart. At start. */
void stele_nodes_keep(unsigned count);

/* Looks again at CPUs and memory; the nodes that have memory now. */
uint64_t stele_nodes_look(void);
/* @node, found by it, may be taken from. */
void stele_node_shown(unsigned node);

/* One of the other nodes that have memory, the nearest to @node first. A *which of 0 asks for the
 * first; each call raises it. -1 after the last. */
int stele_node_farther(unsigned node, unsigned *which);
/* @node, or the nearest that has memory. */
unsigned stele_node_with_memory(unsigned node);

unsigned stele_node_of_cpu(unsigned cpu);

/* A fallback slot is used for the first time. */
void stele_node_of_new_slot(unsigned slot);

/* The node that this slot takes memory from. */
unsigned stele_node_of_slot(unsigned slot);
unsigned stele_node_here_slow(void); /* slots.c */

/* The node that this thread's slot takes memory from. */
static inline unsigned stele_node_here(void)
{
	return nodes_several() ? stele_node_here_slow() : 0;
}

#endif
