/* SPDX-License-Identifier: MIT */
/*
 * mempool/queue.h - the steps by which a waiter enters its wish, is told, and leaves
 *
 * Idea      mempool/wait.h has the theory. These are the steps, so that a model can include them.
 * Order     WAITING.
 * Context   any.
 * Failure   A thread that stops between two steps leaves a place in use, or a waiter untold. The
 *           waiters look by themselves (wait.c).
 * Tests     tests/model/waiting.c, tests/model/served.c
 */
#ifndef STELE_MEMPOOL_QUEUE_H
#define STELE_MEMPOOL_QUEUE_H

#include "base/basics.h"
#include "mempool/wait.h"
#include "os/os.h"
#include <stddef.h>

#ifndef FENCE_WAITING_ENTER
#define FENCE_WAITING_ENTER() fence_seq()
#endif
#ifndef FENCE_WAITING_TELL
#define FENCE_WAITING_TELL() fence_seq()
#endif

/* ---- how many wait ---- */

static inline uint32_t queue_waiting(const struct wait_queue *q)
{
	uint64_t waiting = load_relaxed(&q->waiting);

	return waiting && waiting >> 32 == stele_os_process() ? (uint32_t)waiting : 0;
}

/* @more: 1 or -1. @process: in which the waiter entered its wish. */
static inline void queue_count(struct wait_queue *q, uint32_t process, int more)
{
	uint64_t seen = load_relaxed(&q->waiting), none = (uint64_t)process << 32, next;

	do {
		bool is_mine = seen >> 32 == process;

		if (more < 0 && !(is_mine && (uint32_t)seen))
			return;
		next = (is_mine ? seen : none) + (uint64_t)(int64_t)more;
		/* ORDER(WAITING) sequentially consistent: counted, then looks at the reserve. */
	} while (!atomic_compare_exchange_weak(&q->waiting, &seen, next));
}

/* ---- places ---- */

static inline uint32_t holder_thread(uint64_t holder)
{
	return (uint32_t)holder & HOLDER_THREAD;
}

static inline uint32_t holder_process(uint64_t holder)
{
	return (uint32_t)(holder >> 32);
}

static inline void place_use(struct wait_table *t, uint32_t number)
{
	uint32_t used = load_relaxed(&t->used);

	/* The fence before the look orders it. */
	while (used < number && !cas_relaxed(&t->used, &used, number))
		;
}

/* True: the place, whose holder was @seen, is @thread's. Its turn is raised, so that of two threads
 * that saw a holder gone one has the place. */
static inline bool place_take(struct wait_place *p, uint64_t seen, uint32_t process,
			      uint32_t thread)
{
	uint32_t turn = ((uint32_t)seen & ~HOLDER_THREAD) + HOLDER_TURN;

	/* ORDER(WAITING) acquire: this thread overwrites the last holder's words. */
	return cas_acquire(&p->holder, &seen, (uint64_t)process << 32 | turn | thread);
}

/* A place, or NULL. A place that a thread of another process had is free. */
static inline struct wait_place *place_claim(struct wait_table *t, uint32_t process,
					     uint32_t thread)
{
	for (uint32_t i = 0; i < WAIT_PLACES; i++) {
		struct wait_place *p = &t->place[i];
		uint64_t seen = load_relaxed(&p->holder);

		if ((holder_thread(seen) && holder_process(seen) == process) ||
		    !place_take(p, seen, process, thread))
			continue;
		store_relaxed(&p->queue, NULL);
		place_use(t, i + 1);
		return p;
	}
	return NULL;
}

static inline void place_enter(struct wait_queue *q, struct wait_place *p, uint64_t key,
			       unsigned need)
{
	store_relaxed(&p->key, key);
	store_relaxed(&p->need, need);
	store_relaxed(&p->told, 0);
	queue_count(q, holder_process(load_relaxed(&p->holder)), 1);
	STELE_POINT("mempool:comes");
	/* ORDER(WAITING) release: the wish. */
	store_release(&p->queue, q);
	STELE_POINT("mempool:waits");
}

/* By its holder. */
static inline void place_leave(struct wait_queue *q, struct wait_place *p)
{
	uint64_t holder = load_relaxed(&p->holder);

	store_relaxed(&p->queue, NULL);
	STELE_POINT("mempool:leaves");
	queue_count(q, holder_process(holder), -1);
	/* ORDER(WAITING) release: the next holder's wish comes after this one's end. */
	store_release(&p->holder, holder & ~(uint64_t)HOLDER_THREAD);
}

/* ---- telling ---- */

/* Whether the waiter was told long ago, which may be more than half of what the clock's 32 bits tell, and
 * did not come. A thread that was slow has read the clock before that. */
static inline bool place_is_passed(struct wait_place *p, uint32_t now)
{
	uint32_t told = load_relaxed(&p->told);

	if (!told || told == WAIT_PASSED)
		return told;
	return now - told + WAIT_SLOW > WAIT_PATIENCE + WAIT_SLOW &&
	       cas_relaxed(&p->told, &told, WAIT_PASSED);
}

/* Tells the waiter. It is woken even if it was told before: that thread may have left in between. */
static inline void place_tell(struct wait_place *p, uint32_t now)
{
	uint32_t none = 0;

	STELE_POINT("mempool:serves");
	cas_relaxed(&p->told, &none, now);
	STELE_POINT("mempool:tells");
	stele_os_futex_wake(&p->told, 1);
}

/* The knowledge of one round of telling. */
struct telling {
	struct wait_table *table;
	const struct wait_queue *queue;
	const struct wait_place *me; /* a waiter that looks by itself, or NULL */
	unsigned elements, limit;    /* not yet spoken for; in the reserve at most */
	uint32_t now;
	uint64_t last;	/* the key of the waiter that was found last */
	unsigned wants; /* the elements that this waiter takes in one step */
};

/* The key of the wish at @p, if it comes after the last one and the elements are enough for it; else
 * 0. A waiter takes all that it needs in one step, or all that a reserve of this size can have. */
static inline uint64_t telling_suits(const struct telling *t, struct wait_place *p, unsigned *wants)
{
	uint64_t key;

	/* ORDER(WAITING) acquire: the wish. */
	if (load_acquire(&p->queue) != t->queue)
		return 0;
	key = load_relaxed(&p->key);
	*wants = STELE_MIN(load_relaxed(&p->need), t->limit);
	if (key <= t->last || !*wants || *wants > t->elements ||
	    holder_process(load_relaxed(&p->holder)) != stele_os_process())
		return 0;
	return p == t->me || !place_is_passed(p, t->now) ? key : 0;
}

static inline struct wait_place *telling_next(struct telling *t)
{
	/* The fence before it orders it. */
	uint32_t used = load_relaxed(&t->table->used);
	struct wait_place *first = NULL;
	uint64_t least = UINT64_MAX;

	for (uint32_t i = 0; i < used; i++) {
		unsigned wants;
		uint64_t key = telling_suits(t, &t->table->place[i], &wants);

		if (!key || key >= least)
			continue;
		least = key;
		first = &t->table->place[i];
		t->wants = wants;
	}
	t->last = least;
	return first;
}

/*
 * Tells each waiter of @q for whom there are elements, an earlier one first. True: @me is one of
 * these. After the element, or @me's own wish, was made known, and a fence.
 */
static inline bool queue_tell(struct wait_table *table, const struct wait_queue *q,
			      struct reserve *r, const struct wait_place *me, uint32_t now)
{
	/* ORDER(WAITING) sequentially consistent: behind the caller's fence. */
	uint64_t counts = load_seq(&r->counts);
	struct telling t = { .table = table,
			     .queue = q,
			     .me = me,
			     .elements = counts_elements(counts),
			     .limit = counts_limit(counts),
			     .now = now };
	struct wait_place *p;
	bool mine = false;

	while (t.elements && (p = telling_next(&t))) {
		t.elements -= t.wants;
		if (p == me)
			mine = true;
		else
			place_tell(p, now);
	}
	return mine;
}

/* An element was counted. */
static inline void queue_kick(struct wait_table *table, const struct wait_queue *q,
			      struct reserve *r, uint32_t now)
{
	STELE_POINT("mempool:kicked");
	/* ORDER(WAITING) sequentially consistent: counted, then looks for wishes. */
	FENCE_WAITING_TELL();
	queue_tell(table, q, r, NULL, now);
	STELE_POINT("mempool:served");
}

/* The waiter looks. True: it may take. */
static inline bool place_look(struct wait_table *table, const struct wait_queue *q,
			      struct reserve *r, struct wait_place *me, uint32_t now)
{
	/* It may be told again from here on. */
	store_relaxed(&me->told, 0);
	/* ORDER(WAITING) sequentially consistent: its wish, and that it is to be told, then looks at
	 * the reserve. */
	FENCE_WAITING_ENTER();
	return queue_tell(table, q, r, me, now);
}

#endif
