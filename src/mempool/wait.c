/* SPDX-License-Identifier: MIT */
#include "mempool/wait.h"
#include "mempool/queue.h"
#include "sync/held.h"
#include <pthread.h>
#include <time.h>

bool stele_inject_no_looks;

/* ---- the lock ---- */

static void queue_enter(struct wait_queue *q)
{
	/* Never -EDEADLK: signals are held back inside, and nothing is called from there. */
	if (stele_lock(&q->lock) != 0)
		__builtin_trap();
	queue_entered(q);
	queue_let_in(q);
}

static void queue_leave(struct wait_queue *q, struct reserve *r)
{
	stele_unlock(&q->lock);
	/* ORDER(KICK) sequentially consistent: let go, then looks for word. */
	fence_seq();
	if (load_relaxed(&q->kicked))
		stele_wait_kick(q, r);
}

/* So many rounds for others' elements, before a handler that was held back has its turn. */
#define KICK_ROUNDS 64

STELE_NEVER_WAITS void stele_wait_kick(struct wait_queue *q, struct reserve *r)
{
	bool again = true;

	/* ORDER(WAITING) sequentially consistent: the element is counted. */
	while (again && load_seq(&q->waiting)) {
		/* A handler that leaves the call must not take along the word that others left. */
		uint64_t signals = stele_os_signals_hold();

		for (int i = 0; again && i < KICK_ROUNDS; i++)
			/* ORDER(WAITING) the same, once more. */
			again = load_seq(&q->waiting) && queue_kick_once(q, r);
		stele_os_signals_release(signals);
	}
}

/* ---- waiting ---- */

/* ORDER(WAITING) acquire: if the queue is this process's, the count is too. */
unsigned stele_wait_count(struct wait_queue *q)
{
	return load_acquire(&q->process) == stele_os_process() ? load_relaxed(&q->waiting) : 0;
}

/* ORDER(WAITING) acquire: the queue is this process's, and empty of others; sequentially consistent:
 * in the queue, then looks at the reserve. */
void stele_wait_begin(struct wait_queue *q, struct reserve *r, struct waiter *w)
{
	store_relaxed(&w->state, WAITING);
	w->priority = stele_os_priority();
	w->torn = load_relaxed(&q->torn);
	/* Before all else: the child of a handler that forks here finds itself in no queue. */
	w->process = stele_os_process();
	if (load_acquire(&q->process) != w->process) {
		queue_enter(q);
		queue_leave(q, r);
	}
	queue_join(q, w);
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
		queue_unlink(q, w);
		/* ORDER(WAITING) sequentially consistent: counted, then served from the reserve. */
		atomic_fetch_add(&q->waiting, 1);
		queue_insert(q, w);
		queue_serve(q, r);
	}
	queue_leave(q, r);
}

/* ---- what others may have left undone ---- */

static bool queue_has(const struct wait_queue *q, const struct waiter *w)
{
	const struct waiter *at = q->first;

	while (at && at != w)
		at = at->next;
	return at;
}

/* A thread died under the lock. Its changes to the queue may have passed over this waiter. */
static void join_again(struct wait_queue *q, struct waiter *w)
{
	if (!stele_trylock(&q->lock))
		return;
	queue_entered(q);
	queue_let_in(q);
	w->torn = load_relaxed(&q->torn);
	if (load_relaxed(&w->state) == WAITING && !queue_has(q, w)) {
		if (w->need)
			queue_insert(q, w);
		else
			queue_tell(w);
	}
	stele_unlock(&q->lock);
}

/* ORDER(WAITING) sequentially consistent, as at the beginning. */
static void look_again(struct wait_queue *q, struct reserve *r, struct waiter *w)
{
	if (load_relaxed(&q->torn) != w->torn)
		join_again(q, w);
	if (counts_elements(load_seq(&r->counts)) || load_relaxed(&q->kicked))
		stele_wait_kick(q, r);
}

/* ---- sleeping ---- */

#define LOOK_FIRST 10  /* milliseconds until a waiter looks by itself; then twice as long */
#define LOOK_MOST 1000 /* each time, up to this */

static bool is_before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec < b->tv_sec || (a->tv_sec == b->tv_sec && a->tv_nsec < b->tv_nsec);
}

/* The earlier of @until and of @ms milliseconds from now. */
static const struct timespec *time_to_look(const struct timespec *until, unsigned ms,
					   struct timespec *at)
{
	if (stele_inject_no_looks) {
		*at = (struct timespec){ .tv_sec = INT32_MAX };
		return until ? until : at;
	}
	*at = stele_os_now();
	at->tv_sec += ms / 1000;
	at->tv_nsec += ms % 1000 * 1000000l;
	if (at->tv_nsec >= 1000000000) {
		at->tv_nsec -= 1000000000;
		at->tv_sec++;
	}
	return until && is_before(until, at) ? until : at;
}

/*
 * False: it is late. A cancellation may act within, and nowhere else here. There is always an end:
 * a sleep without one would be taken up again by the kernel after a handler, if that asked for
 * it, and the child of a fork in the handler would not see where it is.
 */
static bool sleep_until(struct waiter *w, const struct timespec *until, bool cancellable)
{
	int old = PTHREAD_CANCEL_DEFERRED;
	bool in_time;

	if (cancellable)
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	in_time = stele_os_futex_wait_until(&w->state, WAITING, until);
	if (cancellable)
		pthread_setcanceltype(old, NULL);
	return in_time;
}

bool stele_wait_for(struct wait_queue *q, struct reserve *r, struct waiter *w,
		    const struct timespec *until, bool cancellable)
{
	unsigned ms = LOOK_FIRST;

	/* ORDER(SERVED) acquire: the elements are there. */
	while (load_acquire(&w->state) == WAITING) {
		const struct timespec *next;
		struct timespec at;

		if (stele_os_process() != w->process) {
			begin_again_in_child(q, r, w);
			continue;
		}
		next = time_to_look(until, ms, &at);
		if (sleep_until(w, next, cancellable))
			continue;
		if (next == until)
			break;
		look_again(q, r, w);
		ms = STELE_MIN(2 * ms, (unsigned)LOOK_MOST);
	}
	return waiter_is_served(w);
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
	served = waiter_is_served(w);
	if (!served)
		queue_take_out(q, w);
	queue_leave(q, r);
	return served;
}
