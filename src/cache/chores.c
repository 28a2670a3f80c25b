/* SPDX-License-Identifier: MIT */
/*
 * cache/chores.c - work that calls have left to the next one that may take its time
 *
 * Idea      Slabs that a bounded call left idle (slab/deferred.c), pages to purge (page/keep.c), the
 *           round through the caches of a program that shrinks (decay.c), the look at cold slots
 *           (cold.c). Each ordinary slow call looks whether any is due, and does a bounded part.
 * Climbs    The slabs' floor tells of slabs made and retired, and of a lack of memory, through a
 *           table (slab/hooks.h). Retiring a slab may begin a round that empties caches, and so
 *           retires slabs: then the list is taken, and that is all (decay.c).
 * Context   any.
 * Tests     tests/contract/test_nolock.c  tests/unit/cache/
 */
#include "cache/chores.h"
#include "page/run.h"
#include "slab/slabs.h"
#include "slab/hooks.h"
#include <stele/slab.h>

bool stele_chores_due(void)
{
	return stele_deferred_noted() || stele_purge_is_due() || stele_cold_due() ||
	       stele_decay_pending();
}

void stele_chores_do(enum effort effort)
{
	stele_deferred_retire(effort);
	if (effort == EFFORT_BOUNDED)
		return;
	stele_decay_go_on();
	stele_purge_due();
	if (stele_cold_due())
		stele_cold_look();
}

void stele_deferred_barrier(void)
{
	stele_deferred_wait();
	stele_purge_due();
	if (stele_cold_due())
		stele_cold_look();
}

/* ---- what slabs tell ---- */

static void slab_made(unsigned frames)
{
	stele_decay_grown(frames);
	stele_cold_note();
}

static void slab_gone(unsigned frames, enum effort effort)
{
	if (effort == EFFORT_BOUNDED)
		stele_decay_lowered(frames);
	else
		stele_decay_shrunk(frames);
}

static bool memory_short(enum effort effort)
{
	if (!stele_chores_due())
		return false;
	stele_chores_do(effort);
	return true;
}

void stele_chores_watch_slabs(void)
{
	static const struct slab_hooks hooks = { slab_made, slab_gone, memory_short };

	store_relaxed(&stele_slab_hooks, &hooks);
}
