/* SPDX-License-Identifier: MIT */
/*
 * os/nodes.h - the memory nodes of the machine, and which one a range of addresses prefers
 *
 * Idea      What /sys says of nodes, CPUs and distances, by open and read alone; placement by raw
 *           system calls, so that the data path depends on the C library alone.
 * Context   any. errno is kept.
 * Failure   a return value: no /sys, a seccomp filter, a kernel without nodes.
 */
#ifndef STELE_OS_NODES_H
#define STELE_OS_NODES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The nodes in /sys/devices/system/node/@what ("online", "has_memory"); 0 when it does not say. */
uint64_t stele_os_nodes(const char *what);

/* The CPUs of @node that are online, into STELE_OS_CPUS bits. How many, or -errno. */
int stele_os_node_cpus(unsigned node, uint64_t *mask);

/* The distances from @node to the nodes that are online, in their order. How many, or -errno. At
 * start: one caller at a time. */
int stele_os_node_distances(unsigned node, uint16_t *distance, unsigned most);

/* The nodes that this thread may have memory of; 0 when the system does not tell, or when the
 * thread has a memory policy of its own. */
uint64_t stele_os_nodes_allowed(void);

/* Pages that appear in [p, p+size) come from @node while it has some. Page aligned; @size 0 only
 * asks whether the call can be had. 0 or -errno. */
int stele_os_prefer_node(void *p, size_t size, unsigned node);

/* The CPU this thread runs on just now; 0 when the system does not tell. */
unsigned stele_os_cpu(void);

#endif
