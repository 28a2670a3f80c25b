/* SPDX-License-Identifier: MIT */
/*
 * cache/shrink.h - gives back what caches do not need (shrink.c)
 *
 * Context   ordinary threads.
 */
#ifndef STELE_CACHE_SHRINK_H
#define STELE_CACHE_SHRINK_H

#include <stddef.h>

/* Flushes every cache and purges; what malloc_trim() does. */
void stele_shrink_all(size_t keep_bytes);

#endif
