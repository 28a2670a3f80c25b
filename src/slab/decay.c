/* SPDX-License-Identifier: MIT */
/*
 * slab/decay.c - a program that shrinks takes its caches with it
 *
 * Idea      Sheaves hold objects for the next allocation and so keep slabs alive. When the
 *           memory in slabs has fallen to half of what it was, the next allocations are
 *           likely far away: whoever frees the slab that crosses the line empties the
 *           sheaves of every cache. It happens once per halving, so its cost is small
 *           beside that of the frees that led there, and no thread or clock is needed.
 * Objects   frames: in slabs now. mark: the most since the last emptying.
 * Context   any: what is busy is left alone, nothing waits.
 * Limits    below MARK_MIN it never happens. Caches with a destructor are left alone: it would
 *           run under the list's lock, and may want to create or destroy a cache.
 * Tests     tests/unit/slab/test_decay.c; `make bench` measures what idle threads keep.
 */
#include "slab/slab.h"

#define MARK_MIN ((2u << 20) / FRAME_SIZE)

static _Atomic uint64_t frames;
static _Atomic uint64_t mark;

void stele_decay_grown(unsigned more)
{
	uint64_t now = add_relaxed(&frames, more) + more, seen = load_relaxed(&mark);

	while (now > seen && !cas_relaxed(&mark, &seen, now))
		;
	stele_cold_note();
}

static void empty_cache(struct kmem_cache *s, void *arg)
{
	(void)arg;
	if (!s->dtor && load_relaxed(&s->slabs))
		stele_slab_flush_all(s, false);
}

void stele_decay_lowered(unsigned less)
{
	sub_relaxed(&frames, less);
}

void stele_decay_shrunk(unsigned less)
{
	uint64_t now = sub_relaxed(&frames, less) - less, seen = load_relaxed(&mark);

	if (stele_likely(seen < MARK_MIN || now >= seen / 2) || !cas_relaxed(&mark, &seen, now))
		return;
	/* Emptying frees slabs and comes back here; the list is then taken, and this is all. */
	stele_cache_try_each(empty_cache, NULL);
	stele_kept_purge();
}
