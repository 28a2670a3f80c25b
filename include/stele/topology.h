/* SPDX-License-Identifier: MIT */
/*
 * stele/topology.h - memory nodes
 *
 * Idea      Nodes have the system's numbers. Where memory has one node, or the system lets nobody
 *           choose (a seccomp filter, numactl, a cpuset of one node), there is node 0 alone.
 * Context   any.
 */
#ifndef STELE_TOPOLOGY_H
#define STELE_TOPOLOGY_H

#include <stele/compiler.h>

STELE_EXTERN_C_BEGIN

/** cpu_to_node - the node of a CPU; 0 for one that was never online, -1 for no CPU's number */
STELE_API int cpu_to_node(int cpu);

/**
 * numa_mem_id - the node that this thread's allocations come from just now
 *
 * The one of its CPU, or the nearest that has memory. It may be another one at the next call.
 * Context: any.
 */
STELE_API int numa_mem_id(void);

STELE_EXTERN_C_END

#endif
