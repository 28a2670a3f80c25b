/* SPDX-License-Identifier: MIT */
/*
 * slab/deferred.c - slabs that became empty in a call which must not retire them
 *
 * Idea      kfree_nolock() gives an object to its slab by two atomic operations, and stops there:
 *           an empty slab stays on the partial stack, IDLE, and its descriptor is noted here.
 *           Its objects serve the next allocation of the cache as any others. The next ordinary
 *           slow call, or the barrier, retires what is idle still: it runs the destructor, gives
 *           the frames back, and looks whether caches shall be emptied or pages purged.
 * Objects   later: descriptors, each on it once. A note may be out of date: the slab is in use
 *           again, or the descriptor stands for something else. Only a state that says IDLE
 *           counts, and it gives the slab to one taker.
 *           draining: those between a note and the end of what it asked for (in_hand.h).
 * Order     LATER (sync/later.h), SLABSTATE: the note comes after the state is IDLE.
 *           DRAINED: a drainer is counted before it takes a note, and until the slab is retired;
 *           the barrier finds the list empty (acquire), then waits for the count.
 * Context   noting and draining: any. The barrier waits for drainers, with patience, not for ever:
 *           one may have been left by siglongjmp(). Who destroys a cache need not: a slab counts
 *           until its retirer is done with the cache (cache.c).
 * Failure   a drainer that never comes back: the slab in its hand is lost.
 * Tests     tests/model/deferred.c, tests/contract/test_nolock.c
 */
#include "slab/in_hand.h"
#include "slab/slab.h"

static struct stele_later_list later;
static struct in_hand draining;

/* In one ordinary call: others may be noting while it drains. */
#define DRAIN_MOST 64

/* The links lie at the same place in every descriptor, so a base that is off by it has them on
 * the stack's grain. */
static char *base_of_links(void)
{
	return stele_hot.base + offsetof(struct run, later);
}

void stele_defer(struct run *run)
{
	later_note(&later, base_of_links(), &run->later);
}

bool stele_deferred_pending(void)
{
	return !later_is_empty(&later) || stele_purge_is_due() || stele_cold_due();
}

/* False: there was nothing. */
static bool retire_one(enum stele_purging when)
{
	struct stele_later *note;

	/* ORDER(DRAINED): who finds the note gone sees the count. */
	in_hand_enter(&draining);
	note = later_take(&later, base_of_links());
	STELE_POINT("deferred:taken");
	if (note)
		stele_slab_retire_idle(STELE_CONTAINER_OF(note, struct run, later), when);
	/* ORDER(DRAINED): the slab is retired. */
	in_hand_leave(&draining);
	return note;
}

void stele_deferred_drain(enum stele_purging when)
{
	for (int i = 0; i < DRAIN_MOST && !later_is_empty(&later) && retire_one(when); i++)
		;
	if (when == PURGE_NOW)
		stele_purge_due();
	if (when == PURGE_NOW && stele_cold_due())
		stele_cold_look();
}

void stele_deferred_drain_all(void)
{
	while (retire_one(PURGE_NOW))
		;
	stele_purge_due();
}

void stele_deferred_barrier(void)
{
	stele_deferred_drain_all();
	/* ORDER(DRAINED) acquire: what was in another drainer's hand is done. */
	in_hand_wait(&draining);
}

void stele_deferred_after_fork(void)
{
	in_hand_after_fork(&draining);
}
