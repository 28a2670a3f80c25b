/* SPDX-License-Identifier: MIT */
/*
 * slab/in_hand.h - how many threads hold what nobody else can see, for a barrier to wait for
 *
 * Idea      Who takes a thing off where all can see it, and does not put it where it goes in the
 *           same step, has it in hand meanwhile: a note and its slab (deferred.c), an rcu sheaf
 *           (rcu.c). He counts himself before he takes it, and until it is where it goes. A
 *           barrier first finds the place of before empty, then waits for the count to be 0.
 * Order     DRAINED, HANDOVER: entering is a relaxed add and a release fence, before the taking;
 *           leaving is a release; a barrier acquires what shows the place empty, then the count.
 * Context   entering and leaving: any. Waiting: ordinary threads, with patience, not for ever: who
 *           entered may have been left by siglongjmp(), and then he never leaves.
 * Fork      those who had entered are not in the child: it begins at 0.
 * Tests     tests/model/handover.pml  tests/contract/test_interrupted.c, test_rcu_grace.c
 */
#ifndef STELE_SLAB_IN_HAND_H
#define STELE_SLAB_IN_HAND_H

#include "os/os.h"
#include "slab/slab.h"

struct in_hand {
	_Atomic uint32_t threads; /* any thread, ORDER(DRAINED) or ORDER(HANDOVER) */
};

static inline void in_hand_enter(struct in_hand *in_hand)
{
	add_relaxed(&in_hand->threads, 1);
	/* ORDER(DRAINED), ORDER(HANDOVER) release: who finds the thing gone sees the count. */
	fence_release();
}

/* Not below 0: a handler of ours may have forked, and the child counts from 0. */
static inline void in_hand_leave(struct in_hand *in_hand)
{
	uint32_t seen = load_relaxed(&in_hand->threads);

	/* ORDER(DRAINED), ORDER(HANDOVER) release: the thing is where it goes. */
	while (seen && !cas_release(&in_hand->threads, &seen, seen - 1))
		;
}

/* What was in hand before the place was found empty, which was an acquire, is done. */
static inline void in_hand_wait(struct in_hand *in_hand)
{
	/* ORDER(DRAINED), ORDER(HANDOVER) acquire: and what its holder did is seen. */
	for (int i = 0; i < PATIENCE && load_acquire(&in_hand->threads); i++)
		stele_os_nap();
}

static inline void in_hand_after_fork(struct in_hand *in_hand)
{
	atomic_store(&in_hand->threads, 0);
}

#endif
