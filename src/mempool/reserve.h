/* SPDX-License-Identifier: MIT */
/*
 * mempool/reserve.h - the elements that a pool keeps, taken and put back in any context
 *
 * Idea      One word says how many elements there are, how many places are spoken for, and how
 *           many there may be. A taker lowers the first two in one atomic step. It is then owed an
 *           element, and fetches one from any place that has one. A thread that puts an element back
 *           first speaks for a place, then stores the element there, then counts it. So there are
 *           never fewer elements than are counted, and no thread waits for another.
 * Objects   counts {unused:1, elements:21, places:21, limit:21}: elements <= places, and places <=
 *           limit, except after the limit fell: a thread that sees the surplus drops it.
 *           place: NULL or an element. There are RESERVE_SPARE places more than the limit, because
 *           a thread that is owed an element may not have fetched it yet.
 * Order     RESERVE: putting into a place releases, fetching acquires: so the next user sees all
 *           that the last one did to the element. MEMPOOL: a freeing thread sees the counts as they
 *           were after the allocation of its element, even if it was told of it by a relaxed store:
 *           a fence of release after taking, one of acquire before putting. WAITING: counting an
 *           element and looking for waiters are sequentially consistent (mempool/wait.h).
 * Context   any, a few steps; each lost race means that another thread made progress.
 * Failure   a thread that leaves between two steps loses the pool an element, or a place.
 * Limits    2^21 - 1 places, so RESERVE_SPARE elements fewer. If more than RESERVE_SPARE threads are
 *           stopped while they are owed an element, there may be no free place. The reserve then
 *           refuses an element as if it were full, although more elements than the limit exist.
 * Tests     tests/model/reserve.c, tests/model/mempool.pml
 */
#ifndef STELE_MEMPOOL_RESERVE_H
#define STELE_MEMPOOL_RESERVE_H

#include "sync/atomic.h"
#include <stddef.h>

#ifndef ORDER_RESERVE_PUT
#define ORDER_RESERVE_PUT memory_order_release
#endif
#ifndef ORDER_RESERVE_TELL
#define ORDER_RESERVE_TELL memory_order_seq_cst
#endif
#ifndef ORDER_RESERVE_FETCH
#define ORDER_RESERVE_FETCH memory_order_acquire
#endif
#ifndef ORDER_RESERVE_COUNT
#define ORDER_RESERVE_COUNT memory_order_seq_cst
#endif

#ifndef FENCE_TAKEN
#define FENCE_TAKEN() fence_release()
#endif

#ifndef RESERVE_SPARE
#define RESERVE_SPARE 64u
#endif
#define RESERVE_LIMIT ((1u << 21) - 1)
#define RESERVE_PARTS 15 /* of 128, 128, 256, 512 ... places */
#define RESERVE_FIRST 128u

#define RESERVE_PLACE (1ull << 21)
#define RESERVE_ELEMENT (1ull << 42)

typedef _Atomic(void *) reserve_place_t;

struct reserve {
	_Atomic uint64_t counts;
	_Atomic uint32_t places; /* that exist; never falls */
	reserve_place_t *_Atomic part[RESERVE_PARTS];
};

static inline unsigned counts_limit(uint64_t counts)
{
	return (unsigned)counts & RESERVE_LIMIT;
}

static inline unsigned counts_places(uint64_t counts)
{
	return (unsigned)(counts >> 21) & RESERVE_LIMIT;
}

static inline unsigned counts_elements(uint64_t counts)
{
	return (unsigned)(counts >> 42) & RESERVE_LIMIT;
}

/* The part that place @i is in, and the first place of a part. */
static inline unsigned reserve_part(unsigned i)
{
	return i < RESERVE_FIRST ? 0 : 25u - (unsigned)__builtin_clz(i);
}

static inline unsigned reserve_part_start(unsigned part)
{
	return part ? RESERVE_FIRST << (part - 1) : 0;
}

static inline unsigned reserve_part_size(unsigned part)
{
	return part ? RESERVE_FIRST << (part - 1) : RESERVE_FIRST;
}

static inline reserve_place_t *reserve_place(struct reserve *r, unsigned i)
{
	unsigned part = reserve_part(i);

	/* ORDER(RESERVE) acquire: the part is empty, but for what was stored since. */
	return &load_acquire(&r->part[part])[i - reserve_part_start(part)];
}

/* An element that is owed to the caller: last in, first out, when no other thread takes or puts. */
static inline void *reserve_fetch(struct reserve *r, unsigned from)
{
	STELE_POINT("reserve:fetches");
	/* Round the end: places may have come, and the owed element may lie in one of those.
	 * ORDER(RESERVE) acquire: the places that are counted are there. */
	for (unsigned i = from;; i = (i ? i : load_acquire(&r->places)) - 1) {
		reserve_place_t *place = reserve_place(r, i);
		void *p;

		if (!load_relaxed(place))
			continue;
		/* ORDER(RESERVE) acquire: all that the last user did to it. */
		p = atomic_exchange_explicit(place, NULL, ORDER_RESERVE_FETCH);
		if (p)
			return p;
	}
}

/* All of @n, or none. */
static inline bool reserve_take(struct reserve *r, void **out, unsigned n)
{
	/* ORDER(WAITING) sequentially consistent: a newcomer is in the queue, then looks. */
	uint64_t old = load_seq(&r->counts), new;

	do {
		if (counts_elements(old) < n)
			return false;
		new = old - n *(RESERVE_ELEMENT + RESERVE_PLACE);
		/* ORDER(RESERVE) acquire: as many elements are stored as were counted. */
	} while (!atomic_compare_exchange_weak(&r->counts, &old, new));
	STELE_POINT("reserve:owed");
	for (unsigned i = 0; i < n; i++)
		out[i] = reserve_fetch(r, counts_elements(old) - 1 - i);
	/* ORDER(MEMPOOL) release: the counts come before any news of the elements. */
	FENCE_TAKEN();
	return true;
}

/* Puts @p into a place that is free, of those that were spoken for. False: there is none. */
static inline bool reserve_store(struct reserve *r, void *p, unsigned from)
{
	/* ORDER(RESERVE) acquire: the places that are counted are there. */
	unsigned places = load_acquire(&r->places);

	for (unsigned tries = 0, i = from % places; tries < 2 * places; tries++) {
		reserve_place_t *place = reserve_place(r, i);
		void *none = NULL;

		/* ORDER(RESERVE) release: all that this thread did to it. */
		if (!load_relaxed(place) &&
		    atomic_compare_exchange_strong_explicit(place, &none, p, ORDER_RESERVE_PUT,
							    memory_order_relaxed))
			return true;
		i = i + 1 == places ? 0 : i + 1;
	}
	return false;
}

/* True when all places are spoken for: an element that is freed now does not go into the
 * reserve. */
static inline bool reserve_is_full(uint64_t counts)
{
	return counts_places(counts) >= counts_limit(counts);
}

/* False: it is full, and @p the caller's still. */
static inline bool reserve_put(struct reserve *r, void *p)
{
	uint64_t old = load_relaxed(&r->counts);

	do {
		if (reserve_is_full(old))
			return false;
		/* ORDER(RESERVE) acquire: the places for this limit. */
	} while (!atomic_compare_exchange_weak_explicit(
		&r->counts, &old, old + RESERVE_PLACE, memory_order_acquire, memory_order_relaxed));
	STELE_POINT("reserve:spoken-for");
	if (!reserve_store(r, p, counts_places(old))) {
		sub_relaxed(&r->counts, RESERVE_PLACE);
		return false;
	}
	STELE_POINT("reserve:stored");
	/* ORDER(WAITING) sequentially consistent: counted, then looks for waiters. */
	atomic_fetch_add_explicit(&r->counts, RESERVE_ELEMENT, ORDER_RESERVE_COUNT);
	return true;
}

/* One that is above the limit, or NULL: the limit fell while others were putting. */
static inline void *reserve_drop(struct reserve *r)
{
	uint64_t old = load_relaxed(&r->counts);

	do {
		if (counts_places(old) <= counts_limit(old) || !counts_elements(old))
			return NULL;
		/* ORDER(RESERVE) acquire: as many elements are stored as were counted. */
	} while (!atomic_compare_exchange_weak(&r->counts, &old,
					       old - RESERVE_ELEMENT - RESERVE_PLACE));
	return reserve_fetch(r, counts_elements(old) - 1);
}

/* The places for it exist. ORDER(RESERVE) release: a thread that sees the limit sees
 * them. */
static inline void reserve_set_limit(struct reserve *r, unsigned limit)
{
	uint64_t old = load_relaxed(&r->counts);

	while (!atomic_compare_exchange_weak(&r->counts, &old,
					     (old & ~(uint64_t)RESERVE_LIMIT) | limit))
		;
}

/* After a change of the limit. Another thread may change it as well: the last one that sees it says
 * so. */
static inline void reserve_tell_limit(struct reserve *r, int *told)
{
	unsigned limit;

	do {
		/* ORDER(RESERVE) sequentially consistent, as below. */
		limit = counts_limit(atomic_load_explicit(&r->counts, ORDER_RESERVE_TELL));
		STELE_POINT("mempool:limit");
		/* ORDER(RESERVE) sequentially consistent: told, then looks whether it is true. */
		__atomic_store_n(told, (int)limit, ORDER_RESERVE_TELL);
	} while (counts_limit(atomic_load_explicit(&r->counts, ORDER_RESERVE_TELL)) != limit);
}

#endif
