/* SPDX-License-Identifier: MIT */
/*
 * mempool/queue.h - the steps by which waiters join a queue, are served, and are told
 *
 * Idea      mempool/wait.h has the theory. These are the steps, so that a model can include them.
 * Order     WAITING, KICK, SERVED, MEMPOOL.
 * Context   queue_join(), queue_kick_once(): any. The others: under the queue's lock.
 * Failure   The waiters repair a thread that leaves between two steps (wait.c). All signals are
 *           held back under the lock, so a thread can only stall or die there.
 * Tests     tests/model/waiting.c, tests/model/kick.c, tests/model/served.c
 */
#ifndef STELE_MEMPOOL_QUEUE_H
#define STELE_MEMPOOL_QUEUE_H

#include "base/bits.h"
#include "mempool/wait.h"
#include "os/os.h"
#include <stddef.h>

#ifndef ORDER_WAITING_JOIN
#define ORDER_WAITING_JOIN memory_order_seq_cst
#endif
#ifndef ORDER_KICK_WORD
#define ORDER_KICK_WORD memory_order_acq_rel
#endif
#ifndef FENCE_KICK
#define FENCE_KICK() fence_seq()
#endif
#ifndef FENCE_TOLD
#define FENCE_TOLD() fence_release()
#endif

enum { WAITING, SERVED };

/* ---- under the lock ---- */

/* In the child of a fork the waiters are threads of another process. */
static inline void queue_own(struct wait_queue *q)
{
	if (load_relaxed(&q->process) == stele_os_process())
		return;
	store_relaxed(&q->waiting, 0);
	store_relaxed(&q->newcomers, NULL);
	q->first = NULL;
	/* ORDER(WAITING) release: the queue is empty before it is this process's. */
	store_release(&q->process, stele_os_process());
}

/* The lock was just taken. Its last holder may have died in the middle of something. */
static inline void queue_entered(struct wait_queue *q)
{
	if (q->lock.abandoned)
		add_relaxed(&q->torn, 1);
	queue_own(q);
}

static inline void queue_insert(struct wait_queue *q, struct waiter *w)
{
	struct waiter **at = &q->first;

	while (*at && (*at)->priority >= w->priority)
		at = &(*at)->next;
	w->next = *at;
	*at = w;
}

/* Newcomers join the queue, the first one first. */
static inline void queue_let_in(struct wait_queue *q)
{
	/* ORDER(WAITING) acquire: the newcomers' wishes. */
	struct waiter *w = exchange_acq_rel(&q->newcomers, NULL), *before = NULL, *next;

	STELE_POINT("mempool:lets-in");
	for (; w; w = next) {
		next = w->next;
		w->next = before;
		before = w;
	}
	for (w = before; w; w = next) {
		next = w->next;
		queue_insert(q, w);
	}
}

static inline bool queue_unlink(struct wait_queue *q, const struct waiter *w)
{
	struct waiter **at = &q->first;

	while (*at && *at != w)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = w->next;
	return true;
}

static inline void queue_take_out(struct wait_queue *q, const struct waiter *w)
{
	if (queue_unlink(q, w))
		sub_relaxed(&q->waiting, 1);
}

/* Serves @w: with all that it wants, or with all that a reserve of this size can ever have. */
static inline bool queue_serve_one(struct reserve *r, struct waiter *w)
{
	unsigned n = STELE_MIN(w->need, counts_limit(load_relaxed(&r->counts)));

	if (!n || !reserve_take(r, w->end - w->need, n))
		return false;
	/* One step, in which the waiter's memory may be copied by a fork. */
	w->need -= n;
	return true;
}

/* Tells the waiter, whose memory may be gone after this. */
static inline void queue_tell(struct waiter *w)
{
	/* ORDER(SERVED) release: the elements. */
	store_release(&w->state, SERVED);
	STELE_POINT("mempool:tells");
	stele_os_futex_wake(&w->state, 1);
}

/* Where one could not be served, elements that come meanwhile are not for others that need as
 * much. */
static inline void queue_serve(struct wait_queue *q, struct reserve *r)
{
	struct waiter *w, *next;
	unsigned below = RESERVE_LIMIT;

	queue_let_in(q);
	for (w = q->first; w; w = next) {
		next = w->next;
		while (w->need && w->need < below && queue_serve_one(r, w))
			;
		if (w->need) {
			below = STELE_MIN(below, w->need);
			continue;
		}
		STELE_POINT("mempool:serves");
		queue_take_out(q, w);
		queue_tell(w);
	}
}

/* ---- any context ---- */

static inline void queue_join(struct wait_queue *q, struct waiter *w)
{
	/* ORDER(WAITING) sequentially consistent: counted, then looks at the reserve. */
	atomic_fetch_add_explicit(&q->waiting, 1, ORDER_WAITING_JOIN);
	STELE_POINT("mempool:comes");
	w->next = load_relaxed(&q->newcomers);
	while (!atomic_compare_exchange_weak(&q->newcomers, &w->next, w))
		;
	STELE_POINT("mempool:waits");
}

/* An element was counted: serves the queue, or leaves word. True: word was left meanwhile. */
static inline bool queue_kick_once(struct wait_queue *q, struct reserve *r)
{
	/* ORDER(KICK) release: for the thread that takes the word back. */
	atomic_exchange_explicit(&q->kicked, 1, ORDER_KICK_WORD);
	STELE_POINT("mempool:kicked");
	/* ORDER(KICK) sequentially consistent: word is left, then the lock is tried. */
	FENCE_KICK();
	if (!stele_trylock(&q->lock))
		return false;
	queue_entered(q);
	/* ORDER(KICK) acquire: the elements and the newcomers of all threads that left it. */
	atomic_exchange_explicit(&q->kicked, 0, ORDER_KICK_WORD);
	/* ORDER(KICK) what is kicked after this is seen after the lock is let go. */
	FENCE_KICK();
	queue_serve(q, r);
	stele_unlock(&q->lock);
	STELE_POINT("mempool:served");
	/* ORDER(KICK) sequentially consistent: the lock is let go, then looks for word. */
	FENCE_KICK();
	return load_relaxed(&q->kicked);
}

/* By the thread of @w. True: it has its elements, and may tell others of them. */
static inline bool waiter_is_served(const struct waiter *w)
{
	/* ORDER(SERVED) acquire: the elements. */
	if (load_acquire(&w->state) != SERVED)
		return false;
	/* ORDER(MEMPOOL) release: the counts, which another thread lowered, before any telling. */
	FENCE_TOLD();
	return true;
}

#endif
