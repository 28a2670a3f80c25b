/* SPDX-License-Identifier: MIT */
/*
 * percpu/keep.h - threads that keep the set of CPUs as it is, against one that changes it
 *
 * Idea      A reader enters its name, then looks for a writer. The writer announces itself, then
 *           looks at the names. Each stores one word and loads the other, so one of them sees the
 *           other: the reader steps back, or the writer waits.
 * Names     A count that a reader which died left too high would stop all changes for good. So a
 *           reader has a place with its name, and the writer frees the place of a thread that is
 *           gone. A place has a turn, which each entering raises: the writer does not free the
 *           place of a later thread that the system gave the same number. Where all places are taken, a reader
 *           is counted.
 * Limits    A reader that is counted and dies stays in the count, and no later change of the set ends.
 * Order     CPUS: all are sequentially consistent. Leaving and letting in are too.
 * Tests     tests/model/hotplug.c
 */
#ifndef STELE_PERCPU_KEEP_H
#define STELE_PERCPU_KEEP_H

#include "sync/atomic.h"
#include "sync/inject.h"

/* May be weakened by a model that must fail then. */
#ifndef ORDER_CPUS
#define ORDER_CPUS memory_order_seq_cst
#endif
#ifndef KEEP_PLACES
#define KEEP_PLACES 64u
#endif

#define KEEP_TURN (1ull << 32)

struct keep {
	_Atomic uint64_t place[KEEP_PLACES]; /* {turn:32, name:32}; name 0: free */
	_Atomic uint32_t crowd;		     /* readers without a place */
	_Atomic uint32_t writing;
	_Atomic uint32_t left; /* raised by readers that leave while a writer waits */
};

static inline uint64_t keep_free_place(uint64_t place)
{
	return place & ~(KEEP_TURN - 1);
}

/* A place of this name was left by a thread that is gone. */
static inline bool keep_take_place(struct keep *keep, uint32_t me)
{
	for (unsigned i = 0; i < KEEP_PLACES; i++) {
		_Atomic uint64_t *place = &keep->place[(me + i) % KEEP_PLACES];
		uint64_t seen = load_relaxed(place);

		if ((uint32_t)seen && (uint32_t)seen != me)
			continue;
		/* ORDER(CPUS) sequentially consistent: named, then looked. */
		if (atomic_compare_exchange_strong_explicit(place, &seen,
							    keep_free_place(seen) + KEEP_TURN + me,
							    ORDER_CPUS, memory_order_relaxed))
			return true;
	}
	return false;
}

/* @me: the thread's name, not 0. False: there is a writer; the reader has to leave. */
static inline bool keep_enter(struct keep *keep, uint32_t me)
{
	/* ORDER(CPUS) sequentially consistent: counted, then looked. */
	if (!keep_take_place(keep, me))
		atomic_fetch_add_explicit(&keep->crowd, 1, ORDER_CPUS);
	STELE_POINT("cpus:counted");
	return !atomic_load_explicit(&keep->writing, ORDER_CPUS);
}

static inline bool keep_leave_place(struct keep *keep, uint32_t me)
{
	bool left = false;

	for (unsigned i = 0; i < KEEP_PLACES; i++) {
		uint64_t seen = load_relaxed(&keep->place[i]);

		/* ORDER(CPUS) sequentially consistent: the set has stayed as it was until here. */
		if ((uint32_t)seen == me)
			left |= atomic_compare_exchange_strong(&keep->place[i], &seen,
							       keep_free_place(seen));
	}
	return left;
}

/* True: a writer may wait for this. */
static inline bool keep_leave(struct keep *keep, uint32_t me)
{
	/* ORDER(CPUS) sequentially consistent: the set has stayed as it was until here. */
	if (!keep_leave_place(keep, me))
		atomic_fetch_sub(&keep->crowd, 1);
	if (!load_seq(&keep->writing))
		return false;
	add_relaxed(&keep->left, 1);
	return true;
}

static inline void keep_out(struct keep *keep)
{
	/* ORDER(CPUS) sequentially consistent: said, then the names. */
	atomic_store_explicit(&keep->writing, 1, ORDER_CPUS);
	STELE_POINT("cpus:writing");
}

/* How many readers the writer has to wait for. Those of which @is_gone is true leave. */
static inline uint32_t keep_count(struct keep *keep, bool (*is_gone)(uint32_t name))
{
	/* ORDER(CPUS) sequentially consistent */
	uint32_t n = atomic_load_explicit(&keep->crowd, ORDER_CPUS);

	for (unsigned i = 0; i < KEEP_PLACES; i++) {
		/* ORDER(CPUS) sequentially consistent */
		uint64_t seen = atomic_load_explicit(&keep->place[i], ORDER_CPUS);

		if ((uint32_t)seen && !(is_gone((uint32_t)seen) &&
					cas_relaxed(&keep->place[i], &seen, keep_free_place(seen))))
			n++;
	}
	return n;
}

static inline void keep_let_in(struct keep *keep)
{
	/* ORDER(CPUS) release: the set as it was changed. */
	store_seq(&keep->writing, 0);
}

/* In the child of a fork, which has one thread. */
static inline void keep_nobody(struct keep *keep)
{
	for (unsigned i = 0; i < KEEP_PLACES; i++)
		store_relaxed(&keep->place[i], keep_free_place(load_relaxed(&keep->place[i])));
	store_relaxed(&keep->crowd, 0);
}

#endif
