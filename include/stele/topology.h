/* SPDX-License-Identifier: MIT */
/*
 * stele/topology.h - memory nodes
 *
 * Idea      Nodes have the system's numbers. Node 0 is the only node if memory has one node, or if
 *           the process cannot choose (a seccomp filter, numactl, a cpuset of one node).
 * Context   any.
 */
#ifndef STELE_TOPOLOGY_H
#define STELE_TOPOLOGY_H

#include <stele/compiler.h>

STELE_EXTERN_C_BEGIN

/** cpu_to_node - the node of a CPU; 0 if it was never online, -1 for an impossible number */
STELE_API int cpu_to_node(int cpu);

/**
 * numa_mem_id - the node that this thread's allocations come from just now
 *
 * The node of its CPU, or the nearest node that has memory. The next call may give another one.
 * Context: any.
 */
STELE_API int numa_mem_id(void);

STELE_EXTERN_C_END

#endif
