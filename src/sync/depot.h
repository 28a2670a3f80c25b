/* SPDX-License-Identifier: MIT */
/*
 * sync/depot.h - stacks, each kept once under a number (depot.c)
 *
 * Context   any.
 */
#ifndef STELE_SYNC_DEPOT_H
#define STELE_SYNC_DEPOT_H

#include <stdint.h>

/* The number of a stack of @n callers, n > 0; 0: there is no room for another one. */
uint32_t stele_depot_put(const uintptr_t *stack, unsigned n);
/* The callers of that number, *n of them; NULL: there is no such number. */
const uintptr_t *stele_depot_get(uint32_t number, unsigned *n);

#endif
