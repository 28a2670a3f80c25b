/* SPDX-License-Identifier: MIT */
#include "mempool/wait.h"
#include "base/basics.h"
#include "mempool/queue.h"
#include <pthread.h>
#include <time.h>

static struct wait_table table;
bool stele_inject_no_looks;

/* In milliseconds, odd. */
static uint32_t now_odd(void)
{
	return (uint32_t)stele_os_ms() | 1;
}

unsigned stele_wait_count(struct wait_queue *q)
{
	return queue_waiting(q);
}

struct wait_place *stele_wait_place(const struct wait_queue *q, unsigned n)
{
	for (uint32_t i = 0; i < load_relaxed(&table.used); i++)
		if (load_relaxed(&table.place[i].queue) == q && n-- == 0)
			return &table.place[i];
	return NULL;
}

STELE_NEVER_WAITS void stele_wait_kick(struct wait_queue *q, struct reserve *r)
{
	uint64_t signals;

	/* ORDER(WAITING) sequentially consistent: the element is counted. */
	if (!load_seq(&q->waiting) || !queue_waiting(q))
		return;
	/* A handler that leaves the call must not take along the news of the element. */
	signals = stele_os_signals_hold();
	queue_kick(&table, q, r, now_odd());
	stele_os_signals_release(signals);
}

/* ---- places ---- */

/* The holder ended while it waited: its place is free again. */
static void bury(struct wait_queue *q, struct wait_place *p)
{
	uint64_t holder = load_relaxed(&p->holder);

	if (load_relaxed(&p->queue) != q || load_relaxed(&p->told) != WAIT_PASSED ||
	    holder_process(holder) != stele_os_process() || !holder_thread(holder) ||
	    stele_os_thread_lives(holder_thread(holder)))
		return;
	if (place_take(p, holder, holder_process(holder), stele_os_thread()))
		place_leave(q, p);
}

static void bury_the_dead(struct wait_queue *q)
{
	for (uint32_t i = 0; i < load_relaxed(&table.used); i++)
		bury(q, &table.place[i]);
}

void stele_wait_forget(const struct wait_queue *q)
{
	for (uint32_t i = 0; i < load_relaxed(&table.used); i++) {
		struct wait_queue *seen = load_relaxed(&table.place[i].queue);

		if (seen == q)
			cas_relaxed(&table.place[i].queue, &seen, NULL);
	}
}

/* Its holder left its wait half way, or its pool ended since: it waits nowhere. A place of this thread's
 * own is such a one, as this thread is not in the middle of a wait. */
static bool is_left(struct wait_place *p, uint64_t holder, uint32_t me)
{
	return holder_process(holder) == stele_os_process() && holder_thread(holder) &&
	       !load_relaxed(&p->queue) &&
	       (holder_thread(holder) == me || !stele_os_thread_lives(holder_thread(holder)));
}

/* True: a place that was left is free again. */
static bool free_what_was_left(uint32_t me)
{
	bool any = false;

	for (uint32_t i = 0; i < load_relaxed(&table.used); i++) {
		struct wait_place *p = &table.place[i];
		uint64_t holder = load_relaxed(&p->holder);

		/* ORDER(WAITING) release: as its holder would have left it. */
		if (is_left(p, holder, me) &&
		    cas_release(&p->holder, &holder, holder & ~(uint64_t)HOLDER_THREAD))
			any = true;
	}
	return any;
}

static struct wait_place *claim(uint32_t process)
{
	uint32_t me = stele_os_thread();
	struct wait_place *p = place_claim(&table, process, me);

	return !p && free_what_was_left(me) ? place_claim(&table, process, me) : p;
}

#define ARRIVALS 56

/* The most urgent has the lowest key, and no key is 0. */
static uint64_t next_key(void)
{
	uint64_t urgent = 255u - (unsigned)stele_os_priority();

	return urgent << ARRIVALS | (add_relaxed(&table.arrivals, 1) + 1);
}

void stele_wait_begin(struct wait_queue *q, struct waiter *w)
{
	w->process = stele_os_process();
	w->place = claim(w->process);
	if (w->place)
		place_enter(q, w->place, next_key(), w->need);
}

/* ---- taking ---- */

static bool take_needed(struct reserve *r, struct waiter *w)
{
	unsigned n = STELE_MIN(w->need, counts_limit(load_relaxed(&r->counts)));

	if (!n || !reserve_take(r, w->end - w->need, n))
		return false;
	w->need -= n;
	if (w->place)
		store_relaxed(&w->place->need, w->need);
	return true;
}

/* Takes what it may take, in its turn. */
static void look_in_turn(struct wait_queue *q, struct reserve *r, struct waiter *w)
{
	if (stele_os_process() != w->process)
		stele_wait_begin(q, w); /* the child of a handler that forked: in no queue */
	if (!w->place) {
		while (w->need && take_needed(r, w))
			;
		return;
	}
	while (w->need && place_look(&table, q, r, w->place, now_odd()))
		take_needed(r, w);
}

/* ---- sleeping ---- */

#define LOOK_FIRST 10  /* milliseconds until a waiter looks by itself; then twice as long */
#define LOOK_MOST 1000 /* each time, up to this */

const struct timespec *stele_wait_earlier(const struct timespec *until, int64_t ms,
					  struct timespec *at)
{
	*at = stele_os_now();
	at->tv_sec += ms / 1000;
	at->tv_nsec += ms % 1000 * 1000000;
	if (at->tv_nsec >= 1000000000) {
		at->tv_nsec -= 1000000000;
		at->tv_sec++;
	}
	return until && wait_is_before(until, at) ? until : at;
}

static const struct timespec *time_to_look(const struct timespec *until, unsigned ms,
					   struct timespec *at)
{
	if (!stele_inject_no_looks)
		return stele_wait_earlier(until, ms, at);
	*at = (struct timespec){ .tv_sec = INT32_MAX };
	return until ? until : at;
}

/*
 * False: the time is over. A cancellation may act in this sleep, and nowhere else in this file. The
 * sleep always has an end. The kernel would resume an endless sleep after a handler with SA_RESTART.
 * If that handler had forked, the child would never learn that it is in another process.
 */
static bool sleep_until(struct waiter *w, const struct timespec *until, bool cancellable)
{
	_Atomic uint32_t alone = 0;
	int old = PTHREAD_CANCEL_DEFERRED;
	bool in_time;

	if (cancellable)
		pthread_setcanceltype(PTHREAD_CANCEL_ASYNCHRONOUS, &old);
	in_time = stele_os_futex_wait_until(w->place ? &w->place->told : &alone, 0, until);
	if (cancellable)
		pthread_setcanceltype(old, NULL);
	return in_time;
}

/* There are elements that other waiters may have: these must come soon. */
static unsigned next_ms(struct wait_queue *q, const struct reserve *r, const struct waiter *w,
			unsigned ms)
{
	if (!w->place)
		return LOOK_FIRST;
	if (!counts_elements(load_relaxed(&r->counts)))
		return STELE_MIN(2 * ms, (unsigned)LOOK_MOST);
	bury_the_dead(q);
	return LOOK_FIRST;
}

bool stele_wait_for(struct wait_queue *q, struct reserve *r, struct waiter *w,
		    const struct timespec *until, bool cancellable)
{
	unsigned ms = LOOK_FIRST;

	for (;;) {
		const struct timespec *next;
		struct timespec at;

		look_in_turn(q, r, w);
		if (!w->need)
			return true;
		next = time_to_look(until, ms, &at);
		if (sleep_until(w, next, cancellable))
			continue;
		if (next == until)
			return false;
		ms = next_ms(q, r, w, ms);
	}
}

void stele_wait_end(struct wait_queue *q, struct reserve *r, struct waiter *w)
{
	if (w->place && stele_os_process() == w->process)
		place_leave(q, w->place);
	w->place = NULL;
	stele_wait_kick(q, r);
}
