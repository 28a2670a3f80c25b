/* SPDX-License-Identifier: MIT */
/*
 * rcu/runner.h - the right to run rounds, and how rounds and forks keep out of each other's way
 *
 * Idea      One thread at a time owns the rounds of a flavour: it takes the queue, and calls what
 *           has waited. The owner's word names the thread, so a thread that waits for rounds can
 *           see that the owner is gone, and becomes the owner itself.
 *           A fork must not copy a lock of liburcu that some thread holds. So a thread enters its
 *           name in `busy` before it goes into liburcu or into what it calls, and a thread that
 *           forks enters its name in `forks`; each then looks at the other table. A thread that
 *           sees a fork leaves `busy` again and waits; a fork waits for busy threads.
 * Objects   owner: {process:32, thread:32}; 0: nobody. A child of fork() finds its parent's number
 *           there, and takes over. OWNER_STARTING: the thread is being made.
 *           calls, heads: taken from the queue for the round `begun`, not called yet.
 * Order     RUNNER: the owner's word is taken with acquire and release: the next owner sees what
 *           the last one left, and a thread that finds an owner sees the flavour that was set
 *           before. busy and forks: each side enters, a fence of sequential consistency, looks.
 * Context   ordinary threads; owning: with signals held back.
 * Tests     tests/model/runner.c  tests/contract/test_rcu_leave.c  tests/contract/test_rcu_trouble.c
 */
#ifndef STELE_RCU_RUNNER_H
#define STELE_RCU_RUNNER_H

#include "sync/atomic.h"
#include "sync/grace.h"
#include "sync/in_hand.h"

#ifndef RUNNER_FENCE
#define RUNNER_FENCE() fence_seq()
#endif
#ifndef ORDER_RUNNER_BECOME
#define ORDER_RUNNER_BECOME memory_order_acq_rel
#endif

/* In the thread's half: threads have smaller numbers. */
#define OWNER_STARTING 0x80000000u

/* Beside each of stele_graces[]. */
struct runner {
	_Atomic uint64_t owner;
	struct in_hand busy;	/* threads in a round, and not just letting a fork in */
	struct in_hand syncing; /* threads inside of liburcu */
	/* The owner's. */
	struct stele_grace_link *calls, *heads;
	bool readers_left;	  /* of these two */
	struct in_hand_name name; /* the owner's, in `busy` */
	/* Any thread's. */
	bool broken;	       /* a child without grace periods; set in the child's first steps */
	_Atomic uint32_t said; /* that it is broken, or has no flavour */
	_Atomic uint32_t gave_up; /* done, when a caller's patience was at its end */
};

/* @seen: a word whose thread is gone, or 0. */
static inline bool runner_become(struct runner *r, uint64_t seen, uint64_t me)
{
	/* ORDER(RUNNER) acquire: the entries that the last owner left; release: the flavour was set
	 * before. */
	return atomic_compare_exchange_strong_explicit(&r->owner, &seen, me, ORDER_RUNNER_BECOME,
						       memory_order_relaxed);
}

static inline void runner_stop(struct runner *r, uint64_t me)
{
	/* ORDER(RUNNER) release. A child of fork() has another owner by now. */
	cas_release(&r->owner, &me, 0);
}

static inline bool runner_has_in_hand(const struct runner *r)
{
	return r->calls || r->heads;
}

/* The owner begins a round, unless what an earlier one took is still in hand. Its number. */
static inline uint32_t runner_take(struct runner *r, struct stele_grace *g)
{
	if (!runner_has_in_hand(r)) {
		grace_begin(g);
		r->readers_left = false;
		r->calls = grace_take(&g->calls);
		r->heads = grace_take(&g->heads);
	}
	STELE_POINT("runner:taken");
	return load_relaxed(&g->begun);
}

/*
 * The owner has seen a grace period end that began after @round was taken, and did not own the
 * rounds meanwhile. Whether what is in hand now may be called.
 */
static inline bool runner_saw_period(struct runner *r, struct stele_grace *g, uint32_t round)
{
	if (load_relaxed(&g->begun) == round)
		r->readers_left = true;
	return r->readers_left;
}

/* False: a fork is under way, or the table is full. @me: the thread's name. */
static inline bool runner_try_busy(struct runner *r, struct in_hand *forks, uint32_t me,
				   struct in_hand_name *name)
{
	if (!in_hand_enter(&r->busy, me, name))
		return false;
	STELE_POINT("runner:busy");
	/* ORDER(RUNNER) sequentially consistent: busy, then look for forks, which say so and
	 * then look whether we are busy. */
	RUNNER_FENCE();
	if (!in_hand_is_busy(forks, me))
		return true;
	in_hand_leave(name);
	name->place = NULL;
	return false;
}

/* Before a fork; the caller then waits for `busy`. */
static inline void runner_announce_fork(struct in_hand *forks, uint32_t me,
					struct in_hand_name *name)
{
	in_hand_enter(forks, me, name);
	STELE_POINT("runner:forks");
	/* ORDER(RUNNER) sequentially consistent, as in runner_try_busy(). */
	RUNNER_FENCE();
}

#endif
