/* SPDX-License-Identifier: MIT */
/*
 * slab/hooks.h - where slabs must reach up: a table that the floor above fills in
 *
 * Idea      The number of frames in slabs, and a lack of memory, are reasons to empty sheaves, of
 *           which this floor knows nothing. It calls these functions then, through one pointer.
 * Objects   stele_slab_hooks: functions that do nothing, until the first cache with sheaves is made;
 *           then those of cache/chores.c. Each thread that makes a cache stores the same pointer.
 * Context   any. A function must wait for nothing; with EFFORT_BOUNDED it must also be short.
 */
#ifndef STELE_SLAB_HOOKS_H
#define STELE_SLAB_HOOKS_H

#include "base/basics.h"
#include "sync/atomic.h"

struct slab_hooks {
	/* A slab was made, or has gone; not of caches that keep theirs. Any context. With
	 * EFFORT_BOUNDED the call is short. */
	void (*grown)(unsigned frames);
	void (*shrunk)(unsigned frames, enum effort effort);
	/* There is no memory for a slab. True: something was given back, and a second look is worth
	 * it. Any context. */
	bool (*starved)(enum effort effort);
};

extern _Atomic(const struct slab_hooks *) stele_slab_hooks;

static inline const struct slab_hooks *slab_hooks(void)
{
	return load_relaxed(&stele_slab_hooks);
}

#endif
