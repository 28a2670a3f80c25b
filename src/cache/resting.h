/* SPDX-License-Identifier: MIT */
/*
 * cache/resting.h - page runs that a slot keeps (resting.c)
 *
 * Context   any, but for what is said otherwise.
 */
#ifndef STELE_CACHE_RESTING_H
#define STELE_CACHE_RESTING_H

#include <stdbool.h>
#include <stddef.h>
#include <stele/gfp.h>

/* The lists, before anything is freed; and once the program's constructors run, for all that empties
 * caches. */
void stele_resting_boot(void);
void stele_resting_list(void);
/* A run of just as many frames that rests here, or NULL. It holds what its last owner wrote. */
void *stele_resting_take(size_t bytes, size_t align);
/* Frees @p, if it is a block that can rest here. False: nothing is done. */
bool stele_resting_free(void *p);
/* stele_large_take(), from what rests here first. */
void *stele_block_take(size_t bytes, size_t align, gfp_t gfp, int node);

#endif
