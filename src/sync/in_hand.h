/* SPDX-License-Identifier: MIT */
/*
 * sync/in_hand.h - which threads hold something that no other thread can find
 *
 * Idea      A thread that takes a thing out of one place and puts it into another holds it for a
 *           moment where no other thread can find it. The thread enters its name in a table
 *           (sync/names.h) before it takes the thing, and frees the place when the thing has
 *           arrived. A barrier first sees the first place empty, and then waits until every name
 *           that it finds is gone.
 * States    free -> held -> free; held -> given up -> free. A barrier that has waited in vain for
 *           a long time gives up on the name: no later barrier waits for it. A barrier that
 *           finds the thread gone frees the place at once: the thing is lost.
 * Order     IN_HAND: entering is a fence of release before the taking; leaving is a release; a
 *           barrier acquires the empty place first, then the names.
 * Context   entering and leaving: any; bounded. Signals are held back in between where that is
 *           possible, so that no handler can leave there by siglongjmp().
 * Failure   no place can be had: the caller does not take the thing now.
 * Fork      the threads that had entered are not in the child: it forgets them. A thread that
 *           forked while it was inside finds its place changed, and leaves it alone.
 * Tests     tests/model/in_hand.c  tests/model/handover.pml  tests/contract/test_rcu_leave.c
 */
#ifndef STELE_SYNC_IN_HAND_H
#define STELE_SYNC_IN_HAND_H

#include "sync/names.h"

#ifndef IN_HAND_FENCE
#define IN_HAND_FENCE() fence_release()
#endif

#define IN_HAND_GIVEN_UP NAMES_MARK

/* Waits for a moment. False: that thread is gone. */
typedef bool (*in_hand_nap)(uint32_t thread);

/* Whether a barrier has to wait for this word; @me: its own thread, which it need not wait for. */
static inline bool in_hand_is_other(uint64_t word, uint32_t me)
{
	return (uint32_t)word && (uint32_t)word != me && !(word & IN_HAND_GIVEN_UP);
}

/* @me is the thread's name, not 0. False: it can not enter now, and leaving does nothing. */
static inline bool in_hand_enter(struct names *in_hand, uint32_t me, struct name *name)
{
	bool entered = names_enter(in_hand, me, name);

	/* ORDER(IN_HAND) release: a barrier that finds the thing gone sees the name. */
	IN_HAND_FENCE();
	return entered;
}

static inline void in_hand_leave(const struct name *name)
{
	names_leave(name);
}

/* A barrier has waited for @seen for as long as it wants to. */
static inline void in_hand_give_up(_Atomic uint64_t *place, uint64_t seen)
{
	cas_relaxed(place, &seen, seen | IN_HAND_GIVEN_UP);
}

/* For the thread in @seen. @most: how often it naps. */
static inline void in_hand_wait_for(_Atomic uint64_t *place, uint64_t seen, in_hand_nap nap,
				    int most)
{
	/* ORDER(IN_HAND) acquire: this thread sees all that the holder did. */
	while (load_acquire(place) == seen) {
		if (most-- <= 0) {
			in_hand_give_up(place, seen);
			return;
		}
		if (!nap((uint32_t)seen))
			name_free(place, seen);
	}
}

/*
 * Waits until everything is done that others had in hand before this, where the place that they
 * took it from was seen empty by an acquire. @nap is called while it waits; @most: how often for
 * one name, before the barrier gives up on it.
 */
static inline void in_hand_wait(struct names *in_hand, uint32_t me, in_hand_nap nap, int most)
{
	_Atomic uint64_t *place;

	for (unsigned i = 0; (place = names_at(in_hand, i)); i++) {
		/* ORDER(IN_HAND) acquire: this thread sees all that the holder did. */
		uint64_t seen = load_acquire(place);

		if (in_hand_is_other(seen, me))
			in_hand_wait_for(place, seen, nap, most);
	}
}

/* Whether others hold something; a look. */
static inline bool in_hand_is_busy(struct names *in_hand, uint32_t me)
{
	_Atomic uint64_t *place;

	for (unsigned i = 0; (place = names_at(in_hand, i)); i++)
		/* ORDER(RUNNER) sequentially consistent: see rcu/rounds.c. */
		if (in_hand_is_other(load_seq(place), me))
			return true;
	return false;
}

#endif
