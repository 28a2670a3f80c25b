/* SPDX-License-Identifier: MIT */
/*
 * mempool/wait.h - who waits for elements of a reserve, and who gives them out
 *
 * Idea      A waiter puts itself on a stack of newcomers and sleeps. A thread that brings an element
 *           looks for waiters, moves newcomers into the queue, and hands the elements
 *           out: nobody is woken in vain, and nobody runs ahead. The queue has a lock, for which
 *           only a waiter that gives up ever waits: the others only try it. If it is held, they
 *           leave word (`kicked`), and the holder looks again after it has let go.
 * Objects   waiter: on the stack of the thread that waits. WAITING until it is served, under the
 *           lock; then the memory is its thread's again. process: whose queue this is: the
 *           child of fork() finds another's number, and starts with an empty one. torn: counts
 *           the holders that died under the lock.
 * Order     WAITING: a newcomer is counted and on the stack before it looks at the reserve, an
 *           element is counted before its bringer looks for waiters, each sequentially consistent:
 *           one of the two sees the other, and hands over.
 *           KICK: word is left before the lock is tried, the lock is let go before word is looked
 *           for, with a fence of sequential consistency between: one of the two sees the other. Word
 *           is left and taken back by exchanges, so that it brings the state that it was left for.
 *           SERVED: the elements are written before the state. MEMPOOL: a fence of release
 *           follows, since another thread lowered the counts.
 * Leaving   Between counting an element and serving the queue a thread may leave its call, stall
 *           or die. While others wait, signals are held back from before the count until word was
 *           looked for, so that no handler leaves in between. The waiters repair the rest (a thread
 *           that stalls or dies; a waiter that came after that look): each looks by itself after 10
 *           ms, then after twice as long each time, up to a second.
 * Context   stele_wait_kick(): any. The others: threads that may sleep.
 * Failure   A thread that stalls under the lock keeps the others in the queue. A waiter must not
 *           leave its wait: the queue would point to a frame that is gone. A handler that forks
 *           between the last look and the sleep itself: the child learns by its next look where
 *           it is.
 * Tests     tests/model/ (waiting.c, kick.c, served.c, mempool.pml), tests/contract/test_mempool.c,
 *           tests/contract/test_mempool_left.c, tests/stress/mempool.c
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
	uint32_t torn;	     /* the queue's, when the waiter last knew itself to be in it */
	_Atomic uint32_t state;
};

struct wait_queue {
	struct stele_mutex lock;
	_Atomic uint32_t waiting;
	_Atomic uint32_t kicked;
	_Atomic uint32_t process;
	_Atomic uint32_t torn;		    /* raised under the lock; a racy look */
	_Atomic(struct waiter *) newcomers; /* the last one first */
	struct waiter *first;		    /* under the lock */
};

/* For tests: waiters do not look by themselves, so that a wake-up that is lost stays lost. */
extern bool stele_inject_no_looks __attribute__((visibility("hidden")));

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
