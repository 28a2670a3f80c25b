/* SPDX-License-Identifier: MIT */
/*
 * cache/chores.h - work that calls have left to the next one that may take its time (chores.c)
 *
 * Context   any.
 */
#ifndef STELE_CACHE_CHORES_H
#define STELE_CACHE_CHORES_H

#include "base/effort.h"
#include <stdbool.h>

bool stele_chores_due(void);
/* Some of it, unless another thread does it. EFFORT_BOUNDED: no system call. */
void stele_chores_do(enum effort effort);
/* From now on slabs that are made and retired count here (slab/hooks.h). Idempotent. */
void stele_chores_watch_slabs(void);

#endif
