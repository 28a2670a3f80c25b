/* SPDX-License-Identifier: MIT */
/*
 * slab/kept.h - slabs of caches with SLAB_KEPT, whose memory never leaves the library (kept.c)
 *
 * Context   any.
 */
#ifndef STELE_SLAB_KEPT_H
#define STELE_SLAB_KEPT_H

#include "base/effort.h"

struct kmem_cache;
struct run;

/* The slab in this descriptor has just become idle. */
void stele_kept_idle(struct run *run);
/* The same when the caller owns it (state_take_idle()): all of it is free again. */
void stele_kept_park(struct kmem_cache *s, struct run *run, enum effort effort);
/* The pages of idle ones go back to the system. */
void stele_kept_purge(void);

#endif
