/* SPDX-License-Identifier: MIT */
/*
 * linux/topology.h - for source written against the kernel: memory nodes, <stele/topology.h>
 */
#ifndef STELE_KERNEL_LINUX_TOPOLOGY_H
#define STELE_KERNEL_LINUX_TOPOLOGY_H

#include <stele/topology.h>

#endif
