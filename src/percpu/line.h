/* SPDX-License-Identifier: MIT */
/*
 * percpu/line.h - a cache's line of words: given out, filled at first use, locked in the fallback
 *
 * Given     One bit for each line. A line is given back when nothing rests in it in any slot; the
 *           next cache that gets it must see the words as the last one left them.
 * First use A slot that is begun needs the words of every line, and a line that is given out needs
 *           words in every slot that was begun. Each side stores first and then looks at the
 *           other's word, so at least one of them fills. Filling is a compare-and-swap from 0, so
 *           both may.
 * Lock      Fallback only: {given up:1, thread:32}, 0 when free. The thread is the kernel's number
 *           of the thread inside. A thread that finds the lock taken takes the slow way, without a
 *           slot (percpu/fallback.c). A thread that got the lock looks again whether the slot is
 *           shown: a thread that closes a slot takes every line's lock once after closing it.
 * Gone      A handler may leave a holder's step by siglongjmp(), and a holder may die: the lock then
 *           stays. Each step commits by one store, so the words are sound. A taker that waited in
 *           vain adds the mark "given up", and later takers do not wait. The holder's unlocking
 *           removes the mark. A taker frees the lock when the system says that the holder is gone.
 * Order     LINE: given back with release, given out with acquire.
 *           SLOT_HIGH: sequentially consistent, store then load on both sides.
 *           SLOT: the lock is taken with acquire and freed with release. The system says that a
 *           holder is gone after all that the holder did.
 * Context   any; nothing waits here.
 * Tests     tests/model/line.c  tests/model/slots.c
 */
#ifndef STELE_PERCPU_LINE_H
#define STELE_PERCPU_LINE_H

#include "sync/atomic.h"

/* Each may be weakened by a model that must fail then. */
#ifndef ORDER_LINE_TAKE
#define ORDER_LINE_TAKE memory_order_acquire
#endif
#ifndef ORDER_LINE_GIVE
#define ORDER_LINE_GIVE memory_order_release
#endif
#ifndef ORDER_SLOT_HIGH
#define ORDER_SLOT_HIGH memory_order_seq_cst
#endif
#ifndef ORDER_SLOT_RAISED
#define ORDER_SLOT_RAISED memory_order_seq_cst
#endif
#ifndef ORDER_LINE_LOCK
#define ORDER_LINE_LOCK memory_order_acquire
#endif
#ifndef ORDER_LINE_UNLOCK
#define ORDER_LINE_UNLOCK memory_order_release
#endif

/* ---- given out and given back ---- */

/* A line of the 64 in @taken: its number, or -1. */
static inline int line_take(_Atomic uint64_t *taken)
{
	uint64_t seen = load_relaxed(taken);

	while (~seen) {
		int bit = __builtin_ctzll(~seen);

		/* ORDER(LINE) acquire: the words as the line's last cache left them. */
		if (atomic_compare_exchange_strong_explicit(taken, &seen, seen | 1ull << bit,
							    ORDER_LINE_TAKE, memory_order_relaxed))
			return bit;
	}
	return -1;
}

static inline void line_give(_Atomic uint64_t *taken, unsigned bit)
{
	/* ORDER(LINE) release: after everything that was done to the words. */
	atomic_fetch_and_explicit(taken, ~(1ull << bit), ORDER_LINE_GIVE);
}

/* ---- first use ---- */

/* A slot is begun: the words below the result are to be filled before it is shown. */
static inline uint32_t first_use_of_slot(_Atomic uint8_t *begun, const _Atomic uint32_t *high)
{
	/* ORDER(SLOT_HIGH) sequentially consistent: begun, then high. A thread that raises `high`
	 * after this look finds the slot begun. */
	atomic_store_explicit(begun, 1, ORDER_SLOT_HIGH);
	STELE_POINT("slot:begun");
	return atomic_load_explicit(high, ORDER_SLOT_HIGH);
}

/* Lines up to @end are given out; slots that are begun are to be filled after this. */
static inline void first_use_of_line(_Atomic uint32_t *high, uint32_t end)
{
	/* ORDER(SLOT_HIGH) sequentially consistent: high, then begun; also where another thread, which
	 * gives out a line further on, has raised it already. */
	uint32_t old = atomic_load_explicit(high, ORDER_SLOT_RAISED);

	/* ORDER(SLOT_HIGH) sequentially consistent: high, then begun. */
	while (end > old && !atomic_compare_exchange_weak_explicit(high, &old, end, ORDER_SLOT_HIGH,
								   ORDER_SLOT_RAISED))
		;
	STELE_POINT("slot:high");
}

static inline bool slot_is_begun(const _Atomic uint8_t *begun)
{
	/* ORDER(SLOT_HIGH) sequentially consistent */
	return atomic_load_explicit(begun, ORDER_SLOT_HIGH);
}

static inline void word_fill(_Atomic uint64_t *word, uint64_t value)
{
	uint64_t zero = 0;

	cas_relaxed(word, &zero, value);
}

/* ---- the fallback's lock ---- */

#define LINE_GIVEN_UP (1ull << 32)
#define LINE_LOCK_BITS (LINE_GIVEN_UP | UINT32_MAX)

static inline bool line_trylock(_Atomic uint64_t *lock, uint32_t thread)
{
	uint64_t free = 0;

	/* ORDER(SLOT) acquire: the line as its last holder left it. */
	return atomic_compare_exchange_strong_explicit(lock, &free, thread, ORDER_LINE_LOCK,
						       memory_order_relaxed);
}

static inline void line_unlock(_Atomic uint64_t *lock)
{
	/* ORDER(SLOT) release */
	atomic_store_explicit(lock, 0, ORDER_LINE_UNLOCK);
}

static inline uint32_t line_holder(uint64_t lock)
{
	return (uint32_t)lock;
}

/* A taker has waited in vain for the holder that it saw. */
static inline void line_give_up(_Atomic uint64_t *lock, uint64_t seen)
{
	STELE_POINT("line:give-up");
	cas_relaxed(lock, &seen, seen | LINE_GIVEN_UP);
}

/* The holder in @seen is gone. False: another thread was faster. */
static inline bool line_free_gone(_Atomic uint64_t *lock, uint64_t seen)
{
	STELE_POINT("line:gone");
	/* ORDER(SLOT) release: as the thread that is gone would have unlocked it. */
	return cas_release(lock, &seen, 0);
}

/* After the lock of a line in the memory @base: whether the slot still shows it. */
static inline bool line_is_shown(const _Atomic uint64_t *entry, uint64_t base)
{
	/* ORDER(SLOT) by the acquire of the lock: the thread that emptied the line had closed the
	 * slot before it took the lock, and freed it with release. */
	return load_relaxed(entry) == base;
}

#endif
