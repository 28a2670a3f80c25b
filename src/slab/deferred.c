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
 *           draining: the threads between a note and the end of what it asked for.
 * Order     LATER (sync/later.h), SLABSTATE: the note comes after the state is IDLE.
 *           DRAINED: a drainer enters its name (sync/in_hand.h) before it takes a note, and leaves
 *           when the slab is retired; the barrier finds the list empty (acquire), then waits for
 *           the names.
 * Context   noting and draining: any. Signals are held back between the note and the end of the
 *           slab, so no handler can leave there. If the cache has a destructor, they are let in
 *           before the slab is retired: a handler that leaves then keeps the slab.
 *           The barrier gives up on a name after PATIENCE, once. A thread that destroys a cache
 *           needs no barrier: a slab counts until its retirer is done with the cache (cache/destroy.c).
 * Failure   a destructor that never comes back: its slab is lost.
 * Promise   contract 10 (docs/contract.md)
 * Tests     tests/model/deferred.c  tests/model/in_hand.c  tests/contract/test_nolock.c
 */
#include "slab/slabs.h"
#include "os/os.h"
#include "percpu/system.h"
#include "slab/bitmap.h"
#include "slab/object.h"
#include "sync/in_hand.h"
#include "sync/later.h"

static struct stele_later_list later;
static struct names draining = { .is_gone = stele_thread_is_gone };

/* In one ordinary call: others may be noting while it drains. */
#define RETIRE_MOST 64

/* The links lie at the same place in every descriptor, so a base that is off by it has them on
 * the stack's grain. */
static char *base_of_links(void)
{
	return stele_hot.base + offsetof(struct run, later);
}

void stele_deferred_note(struct run *run)
{
	later_note(&later, base_of_links(), &run->later);
}

bool stele_deferred_noted(void)
{
	return !later_is_empty(&later);
}

/* True: the signals were let in again, for the destructor's sake. */
static bool retire_noted(struct run *run, enum effort effort, uint64_t signals)
{
	bool open;

	if (!state_take_idle(&run->state, false))
		return false;
	open = run_cache(run)->dtor;
	if (open)
		stele_os_signals_release(signals);
	stele_slab_retire(run_cache(run), run, effort);
	return open;
}

/* False: there was nothing. */
static bool retire_one(enum effort effort)
{
	uint64_t signals = stele_os_signals_hold();
	/* ORDER(DRAINED): a barrier that finds the note gone sees the name. */
	struct name name;
	bool named = in_hand_enter(&draining, stele_thread_name(), &name);
	struct stele_later *note = named ? later_take(&later, base_of_links()) : NULL;
	bool open = false;

	STELE_POINT("deferred:taken");
	if (note)
		open = retire_noted(STELE_CONTAINER_OF(note, struct run, later), effort, signals);
	/* ORDER(DRAINED): the slab is retired. */
	in_hand_leave(&name);
	if (!open)
		stele_os_signals_release(signals);
	return note;
}

void stele_deferred_retire(enum effort effort)
{
	for (int i = 0; i < RETIRE_MOST && !later_is_empty(&later) && retire_one(effort); i++)
		;
}

void stele_deferred_retire_all(void)
{
	while (retire_one(EFFORT_USUAL))
		;
}

void stele_deferred_wait(void)
{
	stele_deferred_retire_all();
	/* ORDER(DRAINED) acquire: the slabs in another drainer's hand are done. */
	in_hand_wait(&draining, stele_thread_name(), stele_thread_nap, PATIENCE);
	/* There may have been no place for this thread's name. */
	if (!later_is_empty(&later))
		stele_deferred_retire_all();
}

void stele_deferred_after_fork(void)
{
	names_after_fork(&draining);
}
