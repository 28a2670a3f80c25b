/* SPDX-License-Identifier: MIT */
/*
 * cache/turn.h - the turn of the one thread that looks at cold slots
 *
 * Idea      A word has the name of the thread that looks, or 0. It is taken from 0, or from a thread
 *           that is gone, by a comparison with what was seen. No thread waits for it.
 * Order     COLD_LOOK: the turn is taken with acquire and given back with release, so that a look sees
 *           the notes of the last one. If a child of vfork() is gone, its parent gives the turn back
 *           likewise.
 * Context   any.
 * Tests     tests/model/turn.c
 */
#ifndef STELE_CACHE_TURN_H
#define STELE_CACHE_TURN_H

#include "sync/atomic.h"

/* Each may be weakened by a model that must fail then. */
#ifndef ORDER_TURN_TAKE
#define ORDER_TURN_TAKE memory_order_acquire
#endif
#ifndef ORDER_TURN_GIVE
#define ORDER_TURN_GIVE memory_order_release
#endif
#ifndef ORDER_TURN_GONE
#define ORDER_TURN_GONE memory_order_release
#endif

/* @seen: as the word was, 0 or a thread that is gone. False: another thread was faster. */
static inline bool turn_take(_Atomic uint32_t *turn, uint32_t seen, uint32_t me)
{
	/* ORDER(COLD_LOOK) acquire: the notes of the last look. */
	return atomic_compare_exchange_strong_explicit(turn, &seen, me, ORDER_TURN_TAKE,
						       memory_order_relaxed);
}

static inline void turn_give(_Atomic uint32_t *turn)
{
	/* ORDER(COLD_LOOK) release: the notes of this look. */
	atomic_store_explicit(turn, 0, ORDER_TURN_GIVE);
}

/* That thread is gone, as the caller knows. */
static inline void turn_of_gone(_Atomic uint32_t *turn, uint32_t thread)
{
	STELE_POINT("turn:gone");
	/* ORDER(COLD_LOOK) release: the notes of the thread that is gone. */
	atomic_compare_exchange_strong_explicit(turn, &thread, 0, ORDER_TURN_GONE,
						memory_order_relaxed);
}

#endif
