/* SPDX-License-Identifier: MIT */
/*
 * slab/kept.c - slabs whose memory never leaves the library
 *
 * Idea      Threads read sheaves, caches, and the parts that a cache has for each node without
 *           owning them (sync/atomic.h). So these slabs stay for good: an empty one keeps its
 *           address, its descriptor and its place on the partial stack, and serves the cache's next
 *           allocations as before. Only its pages go back to the system; they read as zero then,
 *           which every racy reader throws away. So the most that is kept is address space, as much
 *           as the cache needed at its peak, in areas of their own (page/permanent.c).
 * States    IDLE: all objects are free, the pages are not given back. Parked: the same, and they
 *           are. The state does not tell a parked slab from any other with free objects.
 * Objects   notes: idle slabs whose pages may be needed again at once (slab/kept_notes.h). A slab that
 *           becomes idle takes another's place there, and that one is parked if it is idle still. A
 *           note may be out of date: the slab is in use again, or idle once more. Only the state
 *           counts: it gives an idle slab to one taker.
 * Order     SLABSTATE: a thread that parks a slab takes it from its state (acquire) before the
 *           pages go, and lets go of it (release) after that.
 *           KEPT: see slab/kept_notes.h.
 * Context   any. A thread that never comes back from parking keeps that slab. One that never comes
 *           back between a slab's last free and the note here leaves its pages resident until the
 *           slab is used again.
 * Failure   the system refuses, as it does for locked memory: the pages stay, the slab is idle and
 *           serves all the same.
 * Tests     tests/unit/slab/test_kept.c, tests/contract/test_protected.c, tests/model/kept.c
 */
#include "slab/slabs.h"
#include "page/run.h"
#include "page/where.h"
#include "slab/bitmap.h"
#include "slab/kept_notes.h"
#include "slab/kmem_cache.h"
#include "slab/parts.h"
#include "sync/stack.h"

static struct kept_notes notes;

void stele_kept_park(struct kmem_cache *s, struct run *run, enum effort effort)
{
	bool resident = effort == EFFORT_BOUNDED || !stele_run_empty(run);

	if (state_refill(&run->state, run->objects, resident))
		cache_list_slab(s, run);
}

static void park_if_idle(struct run *run)
{
	if (run && state_take_idle(&run->state, false))
		stele_kept_park(run->cache, run, EFFORT_USUAL);
}

void stele_kept_idle(struct run *run)
{
	park_if_idle(kept_note(&notes, run));
}

/* ORDER(KEPT) in park_if_idle(). */
void stele_kept_purge(void)
{
	for (unsigned i = 0; i < KEPT_NOTES; i++)
		if (load_relaxed(&notes.slab[i]))
			park_if_idle(kept_replace(&notes, i, NULL));
}
