/* SPDX-License-Identifier: MIT */
/*
 * sync/grace.h - "call this after a grace period": a queue, and nothing that knows what one is
 *
 * Idea      A thread puts memory that readers may still look at here and goes on. A runner
 *           (rcu/runner.c, two floors up) takes all of it, waits until every reader that was there
 *           has left, and then calls each entry. One structure per flavour of readers.
 * Objects   calls: entries with a function of their own: whole sheaves, slabs, large blocks.
 *           heads: single objects, linked through a word of their own.
 *           waiting: bytes in both, from before they are put there until they are done.
 *           begun, done: rounds of the runner, counted.
 * States    asleep: GRACE_ASLEEP: the runner sleeps, or is about to; GRACE_GATHERING: it lets things
 *           gather, and is to be woken only past a limit; GRACE_AWAKE: it will look, or there is
 *           none. Only the runner says AWAKE, since only it knows. A thread that has to wake it
 *           first says GRACE_CALLED, so that the runner does not fall asleep any more, then wakes
 *           it. A thread that leaves in between leaves CALLED behind: "called, perhaps not woken
 *           yet", and each later put, and each thread that waits for a round, wakes it again.
 * Order     GRACE: put releases, take acquires: all that an updater did before it gave something
 *           away is done before the grace period starts.
 *           GRACE_SLEEP: put, then look at asleep; asleep, then look at the lists: both
 *           sequentially consistent, so one of the two sees the other. `urgent` and the bytes that
 *           wait are in the place of the lists while the runner gathers.
 *           GRACE_ROUND: begun is raised before the lists are taken (sequentially consistent). A
 *           thread that reads it after it has put something there waits for the round after that
 *           one.
 *           done is raised with release when all of the round was called.
 * Context   putting: any. A put that loses a race tries again; each loss means that another thread
 *           made progress. Lists are taken whole, so a head that came back does no harm.
 * Tests     tests/model/grace.c  tests/model/handover.pml  tests/stress/rcu.c
 */
#ifndef STELE_SYNC_GRACE_H
#define STELE_SYNC_GRACE_H

#include "sync/atomic.h"
#include "sync/stack.h"
#include <stddef.h>

#ifndef ORDER_GRACE_PUT
#define ORDER_GRACE_PUT memory_order_acq_rel
#endif
#ifndef ORDER_GRACE_TAKE
#define ORDER_GRACE_TAKE memory_order_acq_rel
#endif

#ifndef GRACE_SLEEP_FENCE
#define GRACE_SLEEP_FENCE() fence_seq()
#endif
#ifndef GRACE_GATHER_FENCE
#define GRACE_GATHER_FENCE() fence_seq()
#endif

struct stele_grace_list {
	_Atomic(struct stele_grace_link *) first;
};

enum grace_asleep { GRACE_AWAKE, GRACE_ASLEEP, GRACE_GATHERING, GRACE_CALLED };

struct stele_grace {
	const void *flavor; /* fixed when the first one asks for it; NULL: nobody did */
	struct stele_grace_list calls, heads;
	_Atomic uint64_t waiting __attribute__((aligned(64))); /* bytes */
	_Atomic uint64_t most;				       /* and the most there ever were */
	_Atomic uint32_t asleep;			       /* futex: enum grace_asleep */
	_Atomic uint32_t urgent; /* a thread waits for a round: nothing shall gather */
	_Atomic uint32_t served; /* a thread of its own runs the rounds */
	_Atomic uint32_t begun, done __attribute__((aligned(64))); /* done: futex */
};

/* One more at the front. */
static inline void grace_put(struct stele_grace_list *list, struct stele_grace_link *link)
{
	struct stele_grace_link *first = load_relaxed(&list->first);

	do {
		store_relaxed(&link->next, first);
		STELE_POINT("grace:put");
		/* ORDER(GRACE) release: with it goes what was done before. */
	} while (!atomic_compare_exchange_weak_explicit(&list->first, &first, link, ORDER_GRACE_PUT,
							memory_order_relaxed));
}

/* All of it, last one first. */
static inline struct stele_grace_link *grace_take(struct stele_grace_list *list)
{
	STELE_POINT("grace:take");
	/* ORDER(GRACE) acquire */
	return atomic_exchange_explicit(&list->first, NULL, ORDER_GRACE_TAKE);
}

/* ORDER(GRACE_SLEEP) sequentially consistent: asleep, then look. */
static inline bool grace_is_empty(struct stele_grace *g)
{
	return !load_seq(&g->calls.first) && !load_seq(&g->heads.first);
}

/* After a put: true when the caller has to wake the runner. @hurry: gathering shall end. */
static inline bool grace_must_wake(struct stele_grace *g, bool hurry)
{
	uint32_t seen;

	/* ORDER(GRACE_SLEEP) sequentially consistent: put, then look. */
	GRACE_SLEEP_FENCE();
	seen = load_relaxed(&g->asleep);
	do {
		if (seen == GRACE_AWAKE || (seen == GRACE_GATHERING && !hurry))
			return false;
		STELE_POINT("grace:wake");
	} while (seen != GRACE_CALLED && !cas_relaxed(&g->asleep, &seen, GRACE_CALLED));
	STELE_POINT("grace:called");
	return true;
}

/* The runner wants to sleep. True: it may, while asleep is GRACE_ASLEEP; then it comes again. */
static inline bool grace_fall_asleep(struct stele_grace *g)
{
	/* ORDER(GRACE_SLEEP) sequentially consistent: asleep, then look. */
	store_seq(&g->asleep, GRACE_ASLEEP);
	STELE_POINT("grace:asleep");
	GRACE_SLEEP_FENCE();
	if (grace_is_empty(g) && !load_seq(&g->urgent))
		return true;
	store_seq(&g->asleep, GRACE_AWAKE);
	return false;
}

/* The runner wants to let things gather until @most bytes wait. True: it may sleep for a while, as long
 * as asleep is GRACE_GATHERING. It says grace_gathered() in any case. */
static inline bool grace_gather(struct stele_grace *g, uint64_t most)
{
	/* ORDER(GRACE_SLEEP) sequentially consistent: gathering, then look whether it is urgent. */
	store_seq(&g->asleep, GRACE_GATHERING);
	STELE_POINT("grace:gathering");
	GRACE_GATHER_FENCE();
	return !load_seq(&g->urgent) && load_relaxed(&g->waiting) < most;
}

/* Before the round begins: it serves all that was urgent until here. */
static inline void grace_gathered(struct stele_grace *g)
{
	/* ORDER(GRACE_SLEEP) sequentially consistent: before the round looks at the lists. */
	store_seq(&g->asleep, GRACE_AWAKE);
	store_seq(&g->urgent, 0);
}

/* By a thread that has its ticket: asks for a round without gathering. True: as grace_must_wake(). */
static inline bool grace_ask(struct stele_grace *g)
{
	/* ORDER(GRACE_SLEEP) sequentially consistent: like a put. */
	store_seq(&g->urgent, 1);
	STELE_POINT("grace:urgent");
	return grace_must_wake(g, true);
}

/* The round that a caller has to see done, for all that was put here before this. */
static inline uint32_t grace_ticket(struct stele_grace *g)
{
	/* ORDER(GRACE_ROUND) sequentially consistent: put, then look. */
	fence_seq();
	return load_seq(&g->begun) + 1;
}

static inline bool grace_is_done(struct stele_grace *g, uint32_t ticket)
{
	/* ORDER(GRACE_ROUND) acquire: all calls of the round are over. */
	return (int32_t)(load_acquire(&g->done) - ticket) >= 0;
}

/* A round begins: its number. It has every entry that was put before a thread read a smaller
 * one. */
static inline uint32_t grace_begin(struct stele_grace *g)
{
	/* ORDER(GRACE_ROUND) sequentially consistent: begun, then the lists. */
	uint32_t round = atomic_fetch_add(&g->begun, 1) + 1;

	/* ORDER(GRACE_ROUND) sequentially consistent: the number, then the lists. */
	fence_seq();
	STELE_POINT("grace:begun");
	return round;
}

/* Everything of @round, and of those before it, was called. */
static inline void grace_end(struct stele_grace *g, uint32_t round)
{
	uint32_t seen = load_relaxed(&g->done);

	/* ORDER(GRACE_ROUND) release */
	while ((int32_t)(seen - round) < 0 && !cas_release(&g->done, &seen, round))
		;
}

/* ---- grace.c: the flavours of this process ---- */

#define STELE_GRACES 8

/* Number 0 is for calls that name no flavour. */
extern struct stele_grace stele_graces[STELE_GRACES] __attribute__((visibility("hidden")));

struct kmem_cache;

/* Registered by the floor that knows of grace periods; NULL: there is none, nor any grace
 * period. */
struct stele_grace_runner {
	/* The one for @flavor, NULL for the process's own, ready to run. *grace, or -errno. */
	int (*start)(const void *flavor, struct stele_grace **grace);
	/* Returns 0 when all that was put there before is done, or all of the cache @own, if not NULL.
	 * -errno: there can be no grace period. */
	int (*barrier)(struct stele_grace *g, const struct kmem_cache *own);
	/* Sees to it that a thread runs the rounds of @g. 0 or -errno: none can be had. Ordinary
	 * threads. */
	int (*serve)(struct stele_grace *g);
};
extern const struct stele_grace_runner *stele_grace_runner __attribute__((visibility("hidden")));

/* Whether this process ever used grace periods, and noting that it does. Any context. */
bool stele_grace_used(void);
void stele_grace_use(void);

/* @done(@call) after a grace period; it counts as @bytes until then. Any context. */
void stele_grace_call(struct stele_grace *g, struct stele_grace_call *call, stele_grace_done *done,
		      uint64_t bytes);
/* The same for a single object; the runner knows what to do. */
void stele_grace_head(struct stele_grace *g, struct stele_grace_link *link, uint64_t bytes);

#endif
