/* SPDX-License-Identifier: MIT */
/*
 * sync/in_hand.h - which threads hold something that no other thread can find
 *
 * Idea      A thread that takes a thing out of one place and puts it into another holds it for a
 *           moment where no other thread can find it. The thread enters its name in a table before
 *           it takes the thing, and removes the name when the thing has arrived. A barrier first
 *           sees the first place empty, and then waits until every name that it finds is gone.
 *           A name and not a count: a count that one thread leaves too high stays too high for
 *           all. A name can be told from the next one, and can be given up on, alone and once.
 * Objects   a place: {turn:31, given up:1, thread:32}; thread 0: free. The turn is raised by each
 *           use of the place, so a waiter sees that a place has changed hands.
 * States    free -> held -> free; held -> given up -> free. A barrier that has waited in vain for
 *           a long time gives up on the name: no later barrier waits for it.
 * Order     IN_HAND: entering is a fence of release before the taking; leaving is a release; a
 *           barrier acquires the empty place first, then the names.
 * Context   entering and leaving: any; bounded. Signals are held back in between where that is
 *           possible, so that no handler can leave there by siglongjmp().
 * Failure   all places are taken: the caller does not take the thing now.
 * Fork      the threads that had entered are not in the child: it forgets them. A thread that
 *           forked while it was inside finds its place changed, and leaves it alone.
 * Tests     tests/model/in_hand.c  tests/model/handover.pml  tests/contract/test_rcu_leave.c
 */
#ifndef STELE_SYNC_IN_HAND_H
#define STELE_SYNC_IN_HAND_H

#include "sync/atomic.h"
#include "sync/inject.h"
#include <stddef.h>

#ifndef ORDER_IN_HAND_LEAVE
#define ORDER_IN_HAND_LEAVE memory_order_release
#endif
#ifndef IN_HAND_FENCE
#define IN_HAND_FENCE() fence_release()
#endif
#ifndef IN_HAND_PLACES
#define IN_HAND_PLACES 64u
#endif

#define IN_HAND_GIVEN_UP (1ull << 32)
#define IN_HAND_TURN (1ull << 33)

struct in_hand {
	_Atomic uint64_t place[IN_HAND_PLACES];
};

/* A thread keeps it between entering and leaving. */
struct in_hand_name {
	_Atomic uint64_t *place; /* NULL: it has not entered */
	uint64_t word;
};

/* Whether a barrier has to wait for this word; @me: its own thread, which it need not wait for. */
static inline bool in_hand_is_other(uint64_t word, uint32_t me)
{
	return (uint32_t)word && (uint32_t)word != me && !(word & IN_HAND_GIVEN_UP);
}

/* @me is the thread's name, not 0. False: no place is free, and leaving does nothing. */
static inline bool in_hand_enter(struct in_hand *in_hand, uint32_t me, struct in_hand_name *name)
{
	name->place = NULL;
	name->word = 0;
	for (unsigned i = 0; i < IN_HAND_PLACES; i++) {
		_Atomic uint64_t *place = &in_hand->place[(me + i) % IN_HAND_PLACES];
		uint64_t seen = load_relaxed(place);
		uint64_t mine = (seen & ~(IN_HAND_TURN - 1)) + IN_HAND_TURN + me;

		if ((uint32_t)seen || !cas_relaxed(place, &seen, mine))
			continue;
		/* ORDER(IN_HAND) release: a barrier that finds the thing gone sees the name. */
		IN_HAND_FENCE();
		name->place = place;
		name->word = mine;
		return true;
	}
	return false;
}

static inline void in_hand_leave(const struct in_hand_name *name)
{
	uint64_t seen = name->word, left = seen & ~(IN_HAND_TURN - 1);

	/* ORDER(IN_HAND) release: the thing has arrived. */
	while (name->place && (seen & ~IN_HAND_GIVEN_UP) == name->word &&
	       !atomic_compare_exchange_weak_explicit(name->place, &seen, left, ORDER_IN_HAND_LEAVE,
						      memory_order_relaxed))
		;
}

/* A thread that comes here again without having left was thrown out by a handler's jump. */
static inline void in_hand_forget(struct in_hand *in_hand, uint32_t me)
{
	for (unsigned i = 0; i < IN_HAND_PLACES; i++) {
		uint64_t seen = load_relaxed(&in_hand->place[i]);

		if ((uint32_t)seen == me)
			cas_relaxed(&in_hand->place[i], &seen, seen & ~(IN_HAND_TURN - 1));
	}
}

/* A barrier has waited for @seen for as long as it wants to. */
static inline void in_hand_give_up(_Atomic uint64_t *place, uint64_t seen)
{
	cas_relaxed(place, &seen, seen | IN_HAND_GIVEN_UP);
}

/*
 * Waits until everything is done that others had in hand before this, where the place that they
 * took it from was seen empty by an acquire. @nap is called while it waits; @most: how often for
 * one name, before the barrier gives up on it.
 */
static inline void in_hand_wait(struct in_hand *in_hand, uint32_t me, void (*nap)(void), int most)
{
	for (unsigned i = 0; i < IN_HAND_PLACES; i++) {
		_Atomic uint64_t *place = &in_hand->place[i];
		/* ORDER(IN_HAND) acquire: this thread sees all that the holder did. */
		uint64_t seen = load_acquire(place);
		int left = most;

		/* ORDER(IN_HAND) acquire: the same. */
		while (in_hand_is_other(seen, me) && load_acquire(place) == seen && left-- > 0)
			nap();
		if (left < 0)
			in_hand_give_up(place, seen);
	}
}

/* Whether others hold something; a look. */
static inline bool in_hand_is_busy(struct in_hand *in_hand, uint32_t me)
{
	for (unsigned i = 0; i < IN_HAND_PLACES; i++)
		/* ORDER(RUNNER) sequentially consistent: see rcu/rounds.c. */
		if (in_hand_is_other(load_seq(&in_hand->place[i]), me))
			return true;
	return false;
}

/* Whether a thread is still inside, even one that a barrier gave up on. */
static inline bool in_hand_is_held(struct in_hand *in_hand)
{
	for (unsigned i = 0; i < IN_HAND_PLACES; i++)
		if ((uint32_t)load_relaxed(&in_hand->place[i]))
			return true;
	return false;
}

static inline void in_hand_after_fork(struct in_hand *in_hand)
{
	for (unsigned i = 0; i < IN_HAND_PLACES; i++) {
		uint64_t seen = load_relaxed(&in_hand->place[i]);

		/* The turn too: a thread that forked inside does not take the place for its own. */
		if ((uint32_t)seen)
			store_relaxed(&in_hand->place[i],
				      (seen & ~(IN_HAND_TURN - 1)) + IN_HAND_TURN);
	}
}

#endif
