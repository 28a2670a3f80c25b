/* SPDX-License-Identifier: MIT */
/*
 * sync/holder.h - the word of a lock: its holder, and its fate when the holder is gone
 *
 * Idea      {process:32, futex:32}. A lock of another process, or of none, is free but abandoned:
 *           the thread that enters is told. If the holder of a lock is gone, one thread takes the
 *           lock over, or abandons it, by a compare-and-swap of the whole word. If two threads find
 *           the holder gone, one of them gets the lock. One thread is told that the lock was
 *           abandoned, once.
 * Order     MUTEX: entering and taking over acquire; leaving and abandoning release.
 * Tests     tests/model/holder.c
 */
#ifndef STELE_SYNC_HOLDER_H
#define STELE_SYNC_HOLDER_H

#include "sync/atomic.h"
#include <linux/futex.h>

/* Each may be weakened by a model that must fail then. */
#ifndef ORDER_MUTEX_ENTER
#define ORDER_MUTEX_ENTER memory_order_acquire
#endif
#ifndef ORDER_MUTEX_LEAVE
#define ORDER_MUTEX_LEAVE memory_order_release
#endif

static inline bool holder_is_of(uint64_t word, uint32_t process)
{
	return (uint32_t)word && word >> 32 == process;
}

static inline bool holder_swap_in(_Atomic uint64_t *word, uint64_t *seen, uint64_t me)
{
	/* ORDER(MUTEX) acquire */
	return atomic_compare_exchange_strong_explicit(word, seen, me, ORDER_MUTEX_ENTER,
						       memory_order_relaxed);
}

/* Enters unless a thread is inside. The word then holds @me. */
static inline bool holder_enter(_Atomic uint64_t *word, uint32_t process, uint64_t me,
				bool *abandoned)
{
	uint64_t seen = load_relaxed(word);

	while (!holder_is_of(seen, process)) {
		if (holder_swap_in(word, &seen, me)) {
			*abandoned = (uint32_t)seen != 0;
			return true;
		}
	}
	return false;
}

/* The thread that @seen names is gone. */
static inline bool holder_take_over(_Atomic uint64_t *word, uint64_t seen, uint64_t me,
				    bool *abandoned)
{
	if (!holder_swap_in(word, &seen, me | (seen & FUTEX_WAITERS)))
		return false;
	*abandoned = true;
	return true;
}

/* The same: the next one that enters is told. True: it was @thread's. */
static inline bool holder_abandon(_Atomic uint64_t *word, uint32_t process, uint32_t thread)
{
	uint64_t seen = load_relaxed(word);

	while (holder_is_of(seen, process) && ((uint32_t)seen & FUTEX_TID_MASK) == thread) {
		/* ORDER(MUTEX) release: all that the thread did is in this thread's past. */
		if (atomic_compare_exchange_strong_explicit(
			    word, &seen, (uint32_t)seen, ORDER_MUTEX_LEAVE, memory_order_relaxed))
			return true;
	}
	return false;
}

/* False: a thread waits. */
static inline bool holder_leave(_Atomic uint64_t *word, uint64_t seen)
{
	/* ORDER(MUTEX) release */
	return !(seen & FUTEX_WAITERS) &&
	       atomic_compare_exchange_strong_explicit(word, &seen, seen & ~(uint64_t)UINT32_MAX,
						       ORDER_MUTEX_LEAVE, memory_order_relaxed);
}

#endif
