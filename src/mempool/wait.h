/* SPDX-License-Identifier: MIT */
/*
 * mempool/wait.h - who waits for elements of a reserve, and who gives them out
 *
 * Idea      A waiter puts himself on a stack of newcomers and sleeps. Whoever brings an element
 *           looks who waits, puts newcomers into the queue, and hands the elements out: no one is
 *           woken in vain, and no one runs ahead. The queue has a lock, which nobody but a waiter
 *           who gives up ever waits for: the others only try it. If it is held, they leave word
 *           (`kicked`), and the holder looks again after it has let go.
 * Objects   waiter: on the stack of the thread that waits. WAITING until it is served, under the
 *           lock; then the memory is its thread's again. process: whose queue this is: the
 *           child of fork() finds another's number, and starts with an empty one.
 * Order     WAITING: a newcomer is counted and on the stack before he looks at the reserve, an
 *           element is counted before its bringer looks who waits, each sequentially consistent:
 *           one of the two sees the other, and hands over.
 *           KICK: word is left before the lock is tried, the lock let go before word is looked
 *           for, with a fence of sequential consistency between: one of the two sees the other.
 *           SERVED: the elements are written before the state.
 * Context   stele_wait_kick(): any. The others: threads that may sleep.
 * Failure   signals change nothing. In a handler that forks between the last look and the sleep
 *           itself, the child learns by the timer alone where it is. The timer is else for callbacks that recover by themselves; the
 *           wake-ups need none.
 * Tests     tests/model/mempool.pml, tests/contract/test_mempool.c, tests/stress/mempool.c
 */
#ifndef STELE_MEMPOOL_WAIT_H
#define STELE_MEMPOOL_WAIT_H

#include "mempool/reserve.h"
#include "sync/mutex.h"

struct timespec;

struct waiter {
	struct waiter *next; /* among newcomers the one before, in the queue the one behind */
	void **end;	     /* of where its elements go */
	unsigned need;	     /* so many before the end are missing; 0: served */
	int priority;	     /* 0, or a real-time one */
	uint32_t process;    /* in whose queue it is */
	_Atomic uint32_t state;
};

struct wait_queue {
	struct stele_mutex lock;
	_Atomic uint32_t waiting;
	_Atomic uint32_t kicked;
	_Atomic uint32_t process;
	_Atomic(struct waiter *) newcomers; /* the last one first */
	struct waiter *first;		    /* under the lock */
};

/* How many threads of this process wait; a racy look. */
unsigned stele_wait_count(struct wait_queue *q);

/* An element came into @r. */
void stele_wait_kick(struct wait_queue *q, struct reserve *r);

/* It waits from here on; it may be served at once. */
void stele_wait_begin(struct wait_queue *q, struct reserve *r, struct waiter *w);

/* Sleeps till served or @until (CLOCK_MONOTONIC; NULL: for ever). True: served, and out of it. */
bool stele_wait_for(struct wait_queue *q, struct reserve *r, struct waiter *w,
		    const struct timespec *until, bool cancellable);

/* The waiter got @p elsewhere. False: @p is not needed any more. */
bool stele_wait_add(struct wait_queue *q, struct reserve *r, struct waiter *w, void *p);

/* Out of the queue. True: it was served meanwhile. */
bool stele_wait_end(struct wait_queue *q, struct reserve *r, struct waiter *w);

#endif
