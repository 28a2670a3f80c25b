/* SPDX-License-Identifier: MIT */
/*
 * mempool/wait.h - the threads that wait for elements of a reserve, and how they are told
 *
 * Idea      A waiter writes its wish into a place of a table that all pools share, and sleeps. A
 *           thread that brings an element reads the wishes of this pool in their order and tells
 *           each waiter for whom elements are there. A waiter that was told takes its elements from
 *           the reserve itself. There is no lock, and no thread holds an element for another: so
 *           a thread that stalls or dies at any step takes along only what is its own.
 * Objects   place: static memory, so a thread may read it after its holder has gone. holder:
 *           {process:32, turn:10, thread:22}; thread 0: free. queue: where its holder waits; NULL:
 *           nowhere. key: the order of service, {lowest for the most urgent:8, arrival:56}. need:
 *           elements that are still missing; its holder alone writes it. told: the futex that the
 *           waiter sleeps on.
 *           waiting: {process:32, waiters:32}: how many threads wait. The child of fork() finds
 *           another process's number there, and in the places, and takes both for empty.
 * States    told: 0: the waiter may be told. An odd number: the time at which the waiter was told; it
 *           has not come yet. WAIT_PASSED: the waiter did not come for WAIT_PATIENCE milliseconds, so
 *           the others pass it over until it comes.
 * Order     WAITING: a waiter enters its wish, then looks at the reserve; an element is counted, then
 *           its bringer looks for wishes, each with a fence of sequential consistency between: one
 *           of the two sees the other. A waiter that was told says that it may be told again, and then
 *           looks, with the same fence between.
 * Leaving   A thread may leave, stall or die between counting an element and telling: while others
 *           wait, signals are held back over both steps. Each waiter looks by itself after 10 ms,
 *           then after twice as long each time, up to a second. A waiter that leaves its wait by a
 *           handler's jump keeps its place until its thread ends; it is passed over. Once its pool
 *           has ended too, a thread that finds no place free takes such a place.
 * Context   stele_wait_kick(): any. The others: threads that may sleep.
 * Failure   WAIT_PLACES threads wait already: a thread without a place looks every 10 ms, and has no
 *           order.
 *           A handler that forks between the last look and the sleep itself: the child learns by its
 *           next look where it is.
 * Tests     tests/model/ (waiting.c, served.c, mempool.pml), tests/contract/test_mempool.c,
 *           tests/contract/test_mempool_left.c, tests/contract/test_mempool_places.c,
 *           tests/stress/mempool.c
 */
#ifndef STELE_MEMPOOL_WAIT_H
#define STELE_MEMPOOL_WAIT_H

#include "mempool/reserve.h"
#include <time.h>

struct wait_queue;

#ifndef WAIT_PLACES
#define WAIT_PLACES 1024u
#endif
#define WAIT_PATIENCE 50u /* milliseconds */
#define WAIT_SLOW 60000u  /* the same */
#define WAIT_PASSED 2u

#define HOLDER_THREAD ((1u << 22) - 1) /* Linux gives no larger number */
#define HOLDER_TURN (1u << 22)

struct wait_place {
	_Atomic uint64_t holder;
	_Atomic(struct wait_queue *) queue;
	_Atomic uint64_t key;
	_Atomic uint32_t need;
	_Atomic uint32_t told;
} __attribute__((aligned(64)));

struct wait_table {
	_Atomic uint64_t arrivals;
	_Atomic uint32_t used; /* places below this one were used; never falls */
	struct wait_place place[WAIT_PLACES];
};

/* On the stack of the thread that waits, and read by no other. */
struct waiter {
	struct wait_place *place; /* NULL: there was none */
	void **end;		  /* of where its elements go */
	unsigned need;		  /* so many before the end are missing */
	uint32_t process;	  /* in which it entered its wish */
};

/* One for each pool. */
struct wait_queue {
	_Atomic uint64_t waiting;
};

/* For tests: waiters do not look by themselves, so that a wake-up that is lost stays lost. */
extern bool stele_inject_no_looks __attribute__((visibility("hidden")));

/* For tests: the wish of the @n-th thread that waits in @q; NULL: there are fewer. */
struct wait_place *stele_wait_place(const struct wait_queue *q, unsigned n);

/* The pool of @q ends. Removes @q from the places of threads that ended while they waited, so that a
 * later pool at the same address does not find them. */
void stele_wait_forget(const struct wait_queue *q);

/* How many threads of this process wait; a racy look. */
unsigned stele_wait_count(struct wait_queue *q);

/* An element came into @r. */
void stele_wait_kick(struct wait_queue *q, struct reserve *r);

/* It waits from here on. */
void stele_wait_begin(struct wait_queue *q, struct waiter *w);

/* The earlier of @until (NULL: never) and of @ms milliseconds from now, which *at then has. */
const struct timespec *stele_wait_earlier(const struct timespec *until, int64_t ms,
					  struct timespec *at);

static inline bool wait_is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* Sleeps until it has all, or till @until (CLOCK_MONOTONIC; NULL: for ever). True: it has. */
bool stele_wait_for(struct wait_queue *q, struct reserve *r, struct waiter *w,
		    const struct timespec *until, bool cancellable);

/* It waits no more. The others may have what it leaves. */
void stele_wait_end(struct wait_queue *q, struct reserve *r, struct waiter *w);

#endif
