/* SPDX-License-Identifier: MIT */
#include "mempool/wait.h"
#include "base/bits.h"
#include "os/os.h"
#include "sync/held.h"
#include <pthread.h>
#include <stddef.h>
#include <time.h>

enum { WAITING, SERVED };

/* ---- under the lock ---- */

/* In the child of a fork the waiters are threads of another process. */
static void queue_own(struct wait_queue *q)
{
	if (load_relaxed(&q->process) == stele_os_process())
		return;
	store_relaxed(&q->waiting, 0);
	store_relaxed(&q->newcomers, NULL);
	q->first = NULL;
	store_release(&q->process, stele_os_process());
}

static void queue_insert(struct wait_queue *q, struct waiter *w)
{
	struct waiter **at = &q->first;

	while (*at && (*at)->priority >= w->priority)
		at = &(*at)->next;
	w->next = *at;
	*at = w;
}

/* Newcomers join the queue, the first one first. */
static void let_in(struct wait_queue *q)
{
	/* ORDER(WAITING) acquire: what they want. */
	struct waiter *w = exchange_acq_rel(&q->newcomers, NULL), *before = NULL, *next;

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

static bool unlink_one(struct wait_queue *q, const struct waiter *w)
{
	struct waiter **at = &q->first;

	while (*at && *at != w)
		at = &(*at)->next;
	if (!*at)
		return false;
	*at = w->next;
	return true;
}

static void queue_take_out(struct wait_queue *q, const struct waiter *w)
{
	if (unlink_one(q, w))
		sub_relaxed(&q->waiting, 1);
}

/* What can be had for @w: all, or all that a reserve of this size can ever have. */
static bool serve_one(struct reserve *r, struct waiter *w)
{
	unsigned n = STELE_MIN(w->need, counts_limit(load_relaxed(&r->counts)));

	if (!n || !reserve_take(r, w->end - w->need, n))
		return false;
	/* One step, in which the waiter's memory may be copied by a fork. */
	w->need -= n;
	return true;
}

/* Where one could not be served, what comes meanwhile is not for others who need as much. */
static void queue_serve(struct wait_queue *q, struct reserve *r)
{
	struct waiter *w, *next;
	unsigned below = RESERVE_LIMIT;

	let_in(q);
	for (w = q->first; w; w = next) {
		next = w->next;
		while (w->need && w->need < below && serve_one(r, w))
			;
		if (w->need) {
			below = STELE_MIN(below, w->need);
			continue;
		}
		STELE_POINT("mempool:serves");
		queue_take_out(q, w);
		/* ORDER(SERVED) release: the elements. The waiter may be gone after this. */
		store_release(&w->state, SERVED);
		stele_os_futex_wake(&w->state, 1);
	}
}

/* ---- the lock ---- */

static void queue_enter(struct wait_queue *q)
{
	/* Never -EDEADLK: signals are held back inside, and nothing is called from there. */
	if (stele_lock(&q->lock) != 0)
		__builtin_trap();
	queue_own(q);
	let_in(q);
}

static void queue_leave(struct wait_queue *q, struct reserve *r)
{
	stele_unlock(&q->lock);
	/* ORDER(KICK) sequentially consistent: let go, then looks for word. */
	fence_seq();
	if (load_relaxed(&q->kicked))
		stele_wait_kick(q, r);
}

STELE_NEVER_WAITS void stele_wait_kick(struct wait_queue *q, struct reserve *r)
{
	do {
		/* ORDER(WAITING) sequentially consistent: the element is counted. */
		if (!load_seq(&q->waiting))
			return;
		store_relaxed(&q->kicked, 1);
		STELE_POINT("mempool:kicked");
		/* ORDER(KICK) sequentially consistent: word is left, then the lock is tried. */
		fence_seq();
		if (!stele_trylock(&q->lock))
			return;
		queue_own(q);
		store_relaxed(&q->kicked, 0);
		/* ORDER(KICK) what is kicked after this is seen after the lock is let go. */
		fence_seq();
		queue_serve(q, r);
		stele_unlock(&q->lock);
		STELE_POINT("mempool:served");
		fence_seq();
	} while (load_relaxed(&q->kicked));
}

/* ---- waiting ---- */

unsigned stele_wait_count(struct wait_queue *q)
{
	return load_acquire(&q->process) == stele_os_process() ? load_relaxed(&q->waiting) : 0;
}

void stele_wait_begin(struct wait_queue *q, struct reserve *r, struct waiter *w)
{
	store_relaxed(&w->state, WAITING);
	w->priority = stele_os_priority();
	/* Before all else: the child of a handler that forks here finds itself in no queue. */
	w->process = stele_os_process();
	if (load_acquire(&q->process) != w->process) {
		queue_enter(q);
		queue_leave(q, r);
	}
	/* ORDER(WAITING) sequentially consistent: counted, then looks at the reserve. */
	atomic_fetch_add(&q->waiting, 1);
	STELE_POINT("mempool:comes");
	w->next = load_relaxed(&q->newcomers);
	while (!atomic_compare_exchange_weak(&q->newcomers, &w->next, w))
		;
	STELE_POINT("mempool:waits");
	if (counts_elements(load_seq(&r->counts)))
		stele_wait_kick(q, r);
}

/* A handler that interrupted the wait has forked, and this is the child: it is in no queue. */
static void begin_again_in_child(struct wait_queue *q, struct reserve *r, struct waiter *w)
{
	queue_enter(q);
	w->process = stele_os_process();
	if (load_relaxed(&w->state) == WAITING) {
		/* It may have been counted before the queue was emptied, and come after. */
		unlink_one(q, w);
		atomic_fetch_add(&q->waiting, 1);
		queue_insert(q, w);
		queue_serve(q, r);
	}
	queue_leave(q, r);
}

/*
 * False: it is late. A cancellation may act within, and nowhere else here. A sleep without an end
 * would be taken up again by the kernel after a handler, if that asked for it, and the child of a
 * fork in the handler would not see where it is.
 */
static bool sleep_until(struct waiter *w, const struct timespec *until, bool cancellable)
{
	static const struct timespec never = { .tv_sec = INT32_MAX };
	int old = PTHREAD_CANCEL_DEFERRED;
	bool in_time;

	if (cancellable)
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	in_time = stele_os_futex_wait_until(&w->state, WAITING, until ? until : &never);
	if (cancellable)
		pthread_setcanceltype(old, NULL);
	return in_time;
}

bool stele_wait_for(struct wait_queue *q, struct reserve *r, struct waiter *w,
		    const struct timespec *until, bool cancellable)
{
	/* ORDER(SERVED) acquire: the elements. */
	while (load_acquire(&w->state) == WAITING) {
		if (stele_os_process() != w->process)
			begin_again_in_child(q, r, w);
		else if (!sleep_until(w, until, cancellable))
			break;
	}
	return load_acquire(&w->state) == SERVED;
}

bool stele_wait_add(struct wait_queue *q, struct reserve *r, struct waiter *w, void *p)
{
	bool needed, last = false;

	queue_enter(q);
	needed = w->need > 0;
	if (needed) {
		*(w->end - w->need) = p;
		last = --w->need == 0;
	}
	if (last) {
		queue_take_out(q, w);
		store_relaxed(&w->state, SERVED);
	}
	queue_leave(q, r);
	return needed;
}

bool stele_wait_end(struct wait_queue *q, struct reserve *r, struct waiter *w)
{
	bool served;

	queue_enter(q);
	served = load_relaxed(&w->state) == SERVED;
	if (!served)
		queue_take_out(q, w);
	queue_leave(q, r);
	return served;
}
