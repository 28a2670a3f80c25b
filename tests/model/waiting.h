/* SPDX-License-Identifier: MIT */
/*
 * tests/model/waiting.h - mempool/queue.h with a lock of one word and without a system below it
 *
 * Idea      The queue's steps are the library's. What they ask of other floors is stood in for: a
 *           lock that is only tried, one process, and no sleeping: a waiter that is not told when
 *           all threads have ended was forgotten.
 */
#ifndef STELE_TESTS_MODEL_WAITING_H
#define STELE_TESTS_MODEL_WAITING_H

#define RESERVE_SPARE 0u
#define STELE_OS_OS_H
#define STELE_SYNC_MUTEX_H
#include "model.h"

struct stele_mutex {
	_Atomic uint32_t held;
	bool abandoned;
};

static inline bool stele_trylock(struct stele_mutex *mutex)
{
	uint32_t none = 0;

	return cas_acquire(&mutex->held, &none, 1);
}

static inline void stele_unlock(struct stele_mutex *mutex)
{
	store_release(&mutex->held, 0);
}

static inline uint32_t stele_os_process(void)
{
	return 1;
}

static inline void stele_os_futex_wake(_Atomic uint32_t *word, int count)
{
	(void)word, (void)count;
}

#include "mempool/queue.h"

static reserve_place_t places[RESERVE_FIRST];
static struct reserve reserve;
static struct wait_queue queue;

static inline void queue_setup(unsigned limit)
{
	store_relaxed(&reserve.part[0], places);
	store_relaxed(&reserve.places, limit);
	store_relaxed(&reserve.counts, limit);
	for (unsigned i = 0; i < limit; i++)
		store_relaxed(&places[i], NULL);
	store_relaxed(&queue.process, 1);
	store_relaxed(&queue.kicked, 0);
	queue.first = NULL;
}

/* As stele_wait_kick(). */
static inline void kick(void)
{
#ifdef BROKEN_KICK_WORD
	if (load_seq(&queue.waiting) && stele_trylock(&queue.lock)) {
		queue_serve(&queue, &reserve);
		STELE_POINT("model:served");
		stele_unlock(&queue.lock);
	}
#else
	while (load_seq(&queue.waiting) && queue_kick_once(&queue, &reserve))
		;
#endif
}

/* As free_to_reserve(). */
static inline void bring(void *element)
{
#ifdef BROKEN_WAITING_LOOK
	bool others = load_seq(&queue.waiting);

	model_assert(reserve_put(&reserve, element));
	if (others)
		kick();
#else
	model_assert(reserve_put(&reserve, element));
	if (load_seq(&queue.waiting))
		kick();
#endif
}

/* As stele_wait_begin(). */
static inline void begin_to_wait(struct waiter *w, void **out, unsigned n)
{
	w->end = out + n;
	w->need = n;
	w->priority = 0;
	store_relaxed(&w->state, WAITING);
	queue_join(&queue, w);
	if (counts_elements(load_seq(&reserve.counts)))
		kick();
}

/* At the end: @w has @n different elements, and nobody is left in the queue. */
static inline void check_served(const struct waiter *w, void *const *got, int n)
{
	model_assert(waiter_is_served(w));
	for (int i = 0; i < n; i++)
		payload_take(got[i], 1);
	for (int i = 0; i < n; i++)
		payload_leave(got[i], 1);
	model_assert(!load_relaxed(&queue.waiting) && !queue.first);
}

#endif
