/* SPDX-License-Identifier: MIT */
/*
 * rcu/runner.h - rounds: what they have in hand, and how they and forks keep out of each other's way
 *
 * Idea      A round takes the queue, waits for readers, and calls what it took. Mostly one thread
 *           runs the rounds of a flavour, one after the other. But a thread may stall in one, in a
 *           user's callback above all, and then others run rounds beside it. So the entries that a
 *           round took lie in one of a few hands, from which any thread may take the rest. The
 *           thread that runs the round takes out one entry at a time, and calls it.
 *           A fork must not copy a lock of liburcu that some thread holds. So a thread enters its
 *           name in `busy` before it goes into liburcu or into what it calls, and a thread that
 *           forks enters its name in `forks`; each then looks at the other table. A thread that
 *           sees a fork leaves `busy` again and waits; a fork waits for busy threads.
 * Objects   owner, of a runner and of a hand: {process:32, thread:32}; 0: nobody. A child of fork()
 *           finds its parent's number there, and takes over. OWNER_STARTING: the thread is being made.
 *           OWNER_LEFT: a hand whose entries wait for a thread that has seen readers leave.
 *           round: {busy:1, number:32} of the round whose entries these are, or of an older one; 0:
 *           none. A round is done (sync/grace.h) only if its number is below those of all hands.
 *           calls, heads: entries that are not called yet. They are taken whole, by an exchange.
 *           away: the owner may stay where it is for as long as readers or a callback do.
 * States    a hand is free (0), a living thread's, left (OWNER_LEFT), or a dead thread's. The next
 *           round takes a left or dead one over as it is, with its number.
 * Order     RUNNER: the owner's word is taken with acquire and release: the next owner sees what
 *           the last one left, and a thread that finds an owner sees the flavour that was set
 *           before. busy and forks: each side enters, a fence of sequential consistency, looks.
 *           ROUNDS: a hand first shows the number of its round, and then the owner raises `begun`.
 *           A hand that takes over another one's entries first shows a number that is not above
 *           that one's. All of these steps are sequentially consistent, so a thread that computes
 *           which rounds are done sees the hand.
 * Context   ordinary threads; owning: with signals held back.
 * Failure   a thread that stalls or dies while it takes entries out of a list, which is a few
 *           instructions, has all of them in its hands; else it has one, or none. A barrier gives
 *           up on its round, once (wait.c).
 * Tests     tests/model/runner.c  tests/contract/test_rcu_leave.c  tests/contract/test_rcu_stall.c
 */
#ifndef STELE_RCU_RUNNER_H
#define STELE_RCU_RUNNER_H

#include "base/basics.h"
#include "sync/atomic.h"
#include "sync/grace.h"
#include "sync/in_hand.h"

#ifndef RUNNER_FENCE
#define RUNNER_FENCE() fence_seq()
#endif
#ifndef ORDER_RUNNER_BECOME
#define ORDER_RUNNER_BECOME memory_order_acq_rel
#endif
#ifndef ORDER_ROUNDS
#define ORDER_ROUNDS memory_order_seq_cst
#endif
#ifndef RUNNER_HANDS
#define RUNNER_HANDS 4u
#endif

/* In the thread's half: threads have smaller numbers. */
#define OWNER_STARTING 0x80000000u
/* Of no process: a thread that looks for an owner finds it gone. */
#define OWNER_LEFT 1ull

#define HAND_BUSY (1ull << 32)

/* Of threads that wait: the steps that they saw, since when, and when they looked last, in ms. */
struct looks {
	_Atomic uint32_t steps, first, last;
};

struct hand {
	_Atomic uint64_t owner;
	_Atomic uint64_t round;
	_Atomic(struct stele_grace_link *) calls, heads;
	_Atomic uint32_t steps; /* of the owner */
	_Atomic bool away;	/* the owner is in a callback, or inside of liburcu */
	struct looks seen;
	/* The owner's. */
	bool readers_left; /* of what is in hand */
	uint32_t filled;   /* so often entries were added */
	struct name name;  /* the owner's, in `busy` */
};

/* Beside each of stele_graces[]. */
struct runner {
	_Atomic uint64_t owner;	  /* the thread that serves */
	_Atomic uint32_t serving; /* its token */
	struct hand hand[RUNNER_HANDS];
	struct names busy;    /* threads in a round, and not just letting a fork in */
	struct names syncing; /* threads inside of liburcu */
	/* Any thread's. */
	_Atomic uint32_t overlaps; /* rounds that began while another one had begun */
	_Atomic uint32_t steps;	   /* of all rounds; stands still when none gets on */
	_Atomic uint32_t ended;	   /* rounds */
	_Atomic uint32_t adopt;	   /* the next round takes what the other hands have */
	struct looks seen;
	bool broken;	       /* a child without grace periods; set in the child's first steps */
	_Atomic uint32_t said; /* that it is broken, or has no flavour */
	_Atomic uint32_t gave_up; /* ended + 1, when a caller's patience was at its end */
};

static inline bool owner_change(_Atomic uint64_t *owner, uint64_t seen, uint64_t me)
{
	/* ORDER(RUNNER) acquire: the entries that the last owner left; release: the flavour was set
	 * before. */
	return atomic_compare_exchange_strong_explicit(owner, &seen, me, ORDER_RUNNER_BECOME,
						       memory_order_relaxed);
}

/* @seen: a word whose thread is gone, or 0. */
static inline bool runner_become(struct runner *r, uint64_t seen, uint64_t me)
{
	return owner_change(&r->owner, seen, me);
}

/* False: it was not the owner any more. A child of fork() has another one by now. */
static inline bool runner_stop(struct runner *r, uint64_t me)
{
	return cas_release(&r->owner, &me, 0); /* ORDER(RUNNER) release */
}

/* ---- whether a thread serves ---- */

/* The caller then looks at the owner, and takes this back if there is none. */
static inline void runner_say_served(struct stele_grace *g)
{
	/* ORDER(RUNNER) release: the flavour. */
	store_release(&g->served, 1);
	/* ORDER(RUNNER) sequentially consistent: said, then looks at the owner. */
	RUNNER_FENCE();
}

/* After the owner's word says so. */
static inline void runner_say_gone(struct stele_grace *g)
{
	/* ORDER(RUNNER) sequentially consistent: ended, then said; a thread that says otherwise looks. */
	RUNNER_FENCE();
	/* ORDER(RUNNER) release: as giving up the right to run rounds. */
	store_release(&g->served, 0);
}

/* ---- hands ---- */

static inline bool hand_has(const struct hand *h)
{
	return load_relaxed(&h->calls) || load_relaxed(&h->heads);
}

/* Lets go of the hand. @next: OWNER_LEFT, or 0. */
static inline void hand_let_go(struct hand *h, uint64_t me, uint64_t next)
{
	cas_release(&h->owner, &me, next); /* ORDER(RUNNER) release */
}

static inline bool round_is_older(uint64_t a, uint64_t b)
{
	return (int32_t)((uint32_t)a - (uint32_t)b) < 0;
}

/* Whether another round is under way beside the one of @h. */
static inline bool runner_overlaps(struct runner *r, const struct hand *h)
{
	for (unsigned i = 0; i < RUNNER_HANDS; i++)
		/* ORDER(ROUNDS) sequentially consistent */
		if (&r->hand[i] != h && atomic_load_explicit(&r->hand[i].round, ORDER_ROUNDS))
			return true;
	return false;
}

/* The owner begins a round, unless the hand still has entries of an earlier one. */
static inline void hand_begin(struct runner *r, struct hand *h, struct stele_grace *g)
{
	if (hand_has(h))
		return;
	/* ORDER(ROUNDS) sequentially consistent: said, then the number is raised. */
	atomic_store_explicit(&h->round, HAND_BUSY | (load_relaxed(&g->begun) + 1), ORDER_ROUNDS);
	STELE_POINT("runner:begins");
	store_relaxed(&h->round, HAND_BUSY | grace_begin(g));
	if (runner_overlaps(r, h))
		/* ORDER(ROUNDS) sequentially consistent: counted, then the lists are taken. */
		atomic_fetch_add_explicit(&r->overlaps, 1, ORDER_ROUNDS);
	h->readers_left = false;
	h->filled++;
	store_release(&h->calls, grace_take(&g->calls)); /* ORDER(ROUNDS) release: the entries */
	store_release(&h->heads, grace_take(&g->heads)); /* ORDER(ROUNDS) release: the entries */
	STELE_POINT("runner:taken");
}

/* The owner takes out one entry, and shows the rest again. NULL: there is none any more. */
static inline struct stele_grace_link *hand_next(_Atomic(struct stele_grace_link *) *list)
{
	/* ORDER(ROUNDS) acquire: the entries, and the round of a thread that took them. */
	struct stele_grace_link *link = exchange_acq_rel(list, NULL);

	if (link)
		/* ORDER(ROUNDS) release: the entries. */
		store_release(list, load_relaxed(&link->next));
	return link;
}

static inline void hand_add(_Atomic(struct stele_grace_link *) *list, struct stele_grace_link *more)
{
	struct stele_grace_link *last = more;

	if (!more)
		return;
	while (load_relaxed(&last->next))
		last = load_relaxed(&last->next);
	/* ORDER(ROUNDS) acquire: the entries of the list. */
	store_relaxed(&last->next, exchange_acq_rel(list, NULL));
	store_release(list, more); /* ORDER(ROUNDS) release: the entries. */
}

/* The owner of @h takes what @from has and has not called. Readers of it are waited for anew. */
static inline void hand_adopt(struct hand *h, struct hand *from)
{
	/* ORDER(ROUNDS) sequentially consistent: the round of @from, then its entries. */
	uint64_t theirs = atomic_load_explicit(&from->round, ORDER_ROUNDS);
	uint64_t mine = load_relaxed(&h->round);

	if (!theirs)
		return;
	if (!mine || round_is_older(theirs, mine))
		/* ORDER(ROUNDS) sequentially consistent: the round of @h, then the entries. */
		atomic_store_explicit(&h->round, theirs, ORDER_ROUNDS);
	STELE_POINT("runner:adopts");
	/* Before: should this thread die here, the next owner waits for readers of what it finds. */
	h->readers_left = false;
	h->filled++;
	/* ORDER(ROUNDS) acquire: the entries; release: the round. */
	hand_add(&h->calls, exchange_acq_rel(&from->calls, NULL));
	hand_add(&h->heads, exchange_acq_rel(&from->heads, NULL));
}

/* The last round before which every one is done. */
static inline uint32_t runner_done(struct runner *r, struct stele_grace *g)
{
	/* ORDER(ROUNDS) sequentially consistent: the number, then the hands. */
	uint32_t done = (uint32_t)load_seq(&g->begun);

	for (unsigned i = 0; i < RUNNER_HANDS; i++) {
		/* ORDER(ROUNDS) sequentially consistent: the number, then this hand. */
		uint64_t round = atomic_load_explicit(&r->hand[i].round, ORDER_ROUNDS);

		if (round && round_is_older((uint32_t)round - 1, done))
			done = (uint32_t)round - 1;
	}
	return done;
}

/* The owner has called all. */
static inline void hand_end(struct runner *r, struct hand *h, struct stele_grace *g)
{
	/* ORDER(ROUNDS) sequentially consistent: over, then looks whether others are. */
	atomic_store_explicit(&h->round, 0, ORDER_ROUNDS);
	STELE_POINT("runner:ends");
	add_relaxed(&r->ended, 1);
	grace_end(g, runner_done(r, g));
}

/*
 * A grace period has ended that began when the hand had been filled @filled times. The owner had
 * let go of the hand meanwhile. Whether the entries that are in the hand now may be called.
 */
static inline bool hand_saw_period(struct hand *h, uint32_t filled)
{
	if (h->filled == filled)
		h->readers_left = true;
	return h->readers_left;
}

/* Its owner stands still: no barrier waits for its round any more. */
static inline void hand_give_up(struct hand *h, uint64_t round)
{
	cas_relaxed(&h->round, &round, 0);
}

/* ---- waiting for all that was put before ---- */

struct awaited {
	uint32_t ticket, overlaps;
};

static inline void runner_await(struct runner *r, struct stele_grace *g, struct awaited *a)
{
	/* ORDER(ROUNDS) sequentially consistent: looked at before the number. */
	a->overlaps = load_seq(&r->overlaps);
	a->ticket = grace_ticket(g);
}

/*
 * The round of the ticket has taken the entries, if no earlier one has. If another round was under
 * way beside it, that one may have them. Then all rounds that have begun have to be done.
 */
static inline bool runner_is_over(struct runner *r, struct stele_grace *g, struct awaited *a)
{
	uint32_t overlaps;

	if (!grace_is_done(g, a->ticket))
		return false;
	/* ORDER(ROUNDS) sequentially consistent: done, then looks whether others began beside it. */
	overlaps = load_seq(&r->overlaps);
	if (overlaps == a->overlaps)
		return true;
	a->overlaps = overlaps;
	/* ORDER(ROUNDS) sequentially consistent: the overlaps, then the number. */
	a->ticket = load_seq(&g->begun);
	return grace_is_done(g, a->ticket);
}

/* ---- forks ---- */

/* False: a fork is under way, or no memory for its name. @me: the thread's name. */
static inline bool runner_try_busy(struct runner *r, struct names *forks, uint32_t me,
				   struct name *name)
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

/* Returns when no fork is under way, and keeps forks out until the caller leaves r->busy, or pauses.
 * @nap is called while it waits; @most: how often for one fork. */
static inline void runner_get_busy(struct runner *r, struct names *forks, uint32_t me,
				   struct name *name, in_hand_nap nap, int most)
{
	while (!runner_try_busy(r, forks, me, name)) {
		in_hand_wait(forks, me, nap, most);
		nap(me);
	}
}

/* Between two steps of a round: lets a fork in. */
static inline void runner_pause(struct runner *r, struct names *forks, uint32_t me,
				struct name *name, in_hand_nap nap, int most)
{
	/* ORDER(RUNNER) a look: runner_try_busy() decides. */
	if (stele_likely(!in_hand_is_busy(forks, me)))
		return;
	in_hand_leave(name);
	STELE_POINT("runner:pauses");
	runner_get_busy(r, forks, me, name, nap, most);
}

/* Before a fork; the caller then waits for `busy`. */
static inline void runner_announce_fork(struct names *forks, uint32_t me, struct name *name)
{
	in_hand_enter(forks, me, name);
	STELE_POINT("runner:forks");
	/* ORDER(RUNNER) sequentially consistent, as in runner_try_busy(). */
	RUNNER_FENCE();
}

/* Waits until each thread that was busy at the announcement has left. A thread that comes later sees
 * the fork. */
static inline void runner_wait_outside(struct runner *r, uint32_t me, in_hand_nap nap, int most)
{
	in_hand_wait(&r->busy, me, nap, most);
}

#endif
