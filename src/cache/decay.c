/* SPDX-License-Identifier: MIT */
/*
 * cache/decay.c - a program that shrinks takes its caches with it
 *
 * Idea      Sheaves hold objects for the next allocation and so keep slabs alive. When the memory
 *           in slabs has fallen to half of what it was, the next allocations are likely far away.
 *           The thread that retires the slab by which the memory falls below that line begins a
 *           round through all caches, which empties their sheaves. There is one round per halving,
 *           so it costs little beside the frees of that halving. It needs no thread of its own and
 *           no clock.
 * Objects   frames: in slabs now. mark: the most since the last round.
 *           asked, done: rounds, by number. While they differ, a round is under way. It serves
 *           the requests from before it began. A thread that crosses the line later gets another
 *           one. A thread that is late to say that a round is done costs a round too many.
 * Context   any: a round leaves busy slots alone, and waits for nothing.
 * Bound     one call looks at AT_ONCE caches; later frees of slabs and slow calls go on with the round,
 *           however many caches there are.
 * Limits    below MARK_MIN it never happens. Caches with a destructor are left alone: it would
 *           run under the list's lock, and may want to create or destroy a cache.
 * Tests     tests/unit/cache/test_decay.c; `make bench` measures what idle threads keep.
 */
#include "cache/chores.h"
#include "cache/caches.h"
#include "cache/sheaves.h"
#include "slab/slabs.h"
#include "sync/atomic.h"

#define MARK_MIN ((2u << 20) / FRAME_SIZE)
#define AT_ONCE 16u

static _Atomic uint64_t frames;
static _Atomic uint64_t mark;
static _Atomic uint32_t asked, done;
static uint32_t serves; /* under the list's lock: the round under way */

void stele_decay_grown(unsigned more)
{
	uint64_t now = add_relaxed(&frames, more) + more, seen = load_relaxed(&mark);

	while (now > seen && !cas_relaxed(&mark, &seen, now))
		;
}

static void empty_cache(struct kmem_cache *s, void *round)
{
	if (s == stele_caches)
		serves = load_relaxed(&asked);
	*(uint32_t *)round = serves;
	if (!s->dtor && stele_cache_has_sheaves(s))
		stele_cache_flush(s, EFFORT_USUAL);
}

void stele_decay_lowered(unsigned less)
{
	sub_relaxed(&frames, less);
}

bool stele_decay_pending(void)
{
	return load_relaxed(&asked) != load_relaxed(&done);
}

void stele_decay_go_on(void)
{
	uint32_t round = 0;

	if (stele_likely(!stele_decay_pending()) ||
	    !stele_cache_try_some(ROUND_DECAY, AT_ONCE, empty_cache, &round))
		return;
	STELE_POINT("decay:over");
	store_relaxed(&done, round);
	stele_kept_purge();
}

/* Emptying frees slabs and comes back here; the list is then taken, and this is all. */
void stele_decay_shrunk(unsigned less)
{
	uint64_t now = sub_relaxed(&frames, less) - less, seen = load_relaxed(&mark);

	if (stele_unlikely(seen >= MARK_MIN && now < seen / 2)) {
		/* Ask before lowering the mark: a thread that leaves between the two causes an extra
		 * round, never a missing one. */
		add_relaxed(&asked, 1);
		STELE_POINT("decay:crossed");
		cas_relaxed(&mark, &seen, now);
	}
	stele_decay_go_on();
}
