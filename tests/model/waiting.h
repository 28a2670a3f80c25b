/* SPDX-License-Identifier: MIT */
/*
 * tests/model/waiting.h - mempool/queue.h without a system below it
 *
 * Idea      The queue's steps are the library's. Stand-ins serve for the floors below: one
 *           process, a clock that stands still, and no sleeping. A waiter that would sleep ends its
 *           thread; when all threads have ended, it goes on as often as it was told, and must then
 *           have its elements: else its wake-up was lost.
 * Restated  bring(), begin_to_wait(), look() and end_wait() follow mempool/mempool.c and mempool/wait.c, a
 *           few lines each around the calls of queue.h and reserve.h, which are shipped: the files
 *           themselves need a clock, sleep, callbacks and cancellation.
 */
#ifndef STELE_TESTS_MODEL_WAITING_H
#define STELE_TESTS_MODEL_WAITING_H

#define RESERVE_SPARE 0u
#ifndef WAIT_PLACES
#define WAIT_PLACES 2u
#endif
#define STELE_OS_OS_H
#include "model.h"

static inline uint32_t stele_os_process(void)
{
	return 1;
}

static inline void stele_os_futex_wake(_Atomic uint32_t *word, int count)
{
	(void)word, (void)count;
}

#include "mempool/queue.h"

#define NOW 1u

static reserve_place_t places[RESERVE_FIRST];
static struct reserve reserve;
static struct wait_queue queue;
static struct wait_table table;
static uint64_t keys;

/* An empty reserve for @limit elements, and nobody waits. */
static inline void queue_setup(unsigned limit)
{
	store_relaxed(&reserve.part[0], places);
	store_relaxed(&reserve.places, limit);
	store_relaxed(&reserve.counts, limit);
	for (unsigned i = 0; i < limit; i++)
		store_relaxed(&places[i], NULL);
	store_relaxed(&queue.waiting, 0);
	store_relaxed(&table.used, 0);
	for (unsigned i = 0; i < WAIT_PLACES; i++) {
		store_relaxed(&table.place[i].holder, 0);
		store_relaxed(&table.place[i].queue, NULL);
	}
	keys = 0;
}

/* As stele_wait_kick(). */
static inline void kick(void)
{
#ifdef BROKEN_WAITING_ONE
	struct reserve one = { .counts = RESERVE_ELEMENT | 1 };

	queue_kick(&table, &queue, &one, NOW);
#else
	if (load_seq(&queue.waiting))
		queue_kick(&table, &queue, &reserve, NOW);
#endif
}

/* As free_to_reserve(). */
static inline void bring(void *element)
{
#ifdef BROKEN_WAITING_EARLY
	bool others = load_seq(&queue.waiting);

	STELE_POINT("model:looked");
	model_assert(reserve_put(&reserve, element));
	if (others)
		kick();
#else
	model_assert(reserve_put(&reserve, element));
	kick();
#endif
}

struct waiting {
	struct waiter w;
	void *got[2];
	bool over;
};

/* As stele_wait_begin(). @key: its turn. */
static inline void begin_to_wait(struct waiting *one, int me, uint64_t key, unsigned n)
{
	one->w.end = one->got + n;
	one->w.need = n;
	one->over = false;
	one->w.place = place_claim(&table, 1, (uint32_t)me);
	model_assert(one->w.place);
	place_enter(&queue, one->w.place, key, n);
}

/* As stele_wait_end(). */
static inline void end_wait(struct waiting *one)
{
	one->over = true;
	place_leave(&queue, one->w.place);
	kick();
}

static inline void take_some(struct waiting *one)
{
	unsigned n = STELE_MIN(one->w.need, counts_limit(load_relaxed(&reserve.counts)));

	if (n && reserve_take(&reserve, one->w.end - one->w.need, n))
		one->w.need -= n;
	store_relaxed(&one->w.place->need, one->w.need);
}

/* As stele_wait_for() between two sleeps. */
static inline void look(struct waiting *one)
{
#ifdef BROKEN_TOLD_LATE
	bool may = queue_tell(&table, &queue, &reserve, one->w.place, NOW);

	STELE_POINT("model:late");
	store_relaxed(&one->w.place->told, 0);
	if (may)
		take_some(one);
#else
	while (one->w.need && place_look(&table, &queue, &reserve, one->w.place, NOW))
		take_some(one);
#endif
	if (!one->w.need)
		end_wait(one);
}

/* All threads have ended: true if the waiter was told since, and looks again. */
static inline bool goes_on(struct waiting *one)
{
	if (one->over || !load_relaxed(&one->w.place->told))
		return false;
	look(one);
	return true;
}

static inline void queue_check(void)
{
	model_assert(!load_relaxed(&queue.waiting) || !(uint32_t)load_relaxed(&queue.waiting));
	for (unsigned i = 0; i < WAIT_PLACES; i++)
		model_assert(!holder_thread(load_relaxed(&table.place[i].holder)));
}

#endif
