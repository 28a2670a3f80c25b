/* SPDX-License-Identifier: MIT */
/*
 * cache/prepare.h - what every cache needs for a memory node that is new (prepare.c)
 */
#ifndef STELE_CACHE_PREPARE_H
#define STELE_CACHE_PREPARE_H

/* Makes a new node's parts in every cache, before the first of its CPUs runs. 0 or -ENOMEM: may be
 * called again, and goes on where it was. Ordinary threads. */
int stele_nodes_prepare(int node);

#endif
