/* SPDX-License-Identifier: MIT */
/*
 * slab/large_look.h - who may read and repair a checked large block
 *
 * Idea      A thread that validates looks at blocks of others. It takes the block first, so nobody
 *           else gets its pages meanwhile. A thread that frees the block then does not wait: it says
 *           so, and the thread that validates goes on with the free.
 * States    LARGE_NONE -> LARGE_USED -> LARGE_KEPT -> LARGE_NONE. A look takes the block out of one of
 *           the middle two, to LARGE_LOOKED, and puts it back. LARGE_GIVEN: it was freed meanwhile.
 * Order     OBJECT_STATE: a thread acquires the block when it takes it, and releases the block when it
 *           puts it back or gives it up.
 * Bound     a thread that takes a block out tries again only when a look has begun or ended meanwhile.
 * Context   any. A thread that stalls in a look keeps the block, and nobody waits for it.
 * Tests     tests/model/look.c, tests/contract/test_debug_large.c
 */
#ifndef STELE_SLAB_LARGE_LOOK_H
#define STELE_SLAB_LARGE_LOOK_H

#include "sync/atomic.h"

/* A model shows what happens without. */
#ifndef ORDER_LARGE_TAKE
#define ORDER_LARGE_TAKE memory_order_acquire
#endif
#ifndef ORDER_LARGE_GIVE
#define ORDER_LARGE_GIVE memory_order_release
#endif
#ifndef ORDER_LARGE_LOOK
#define ORDER_LARGE_LOOK memory_order_acquire
#endif
#ifndef ORDER_LARGE_BACK
#define ORDER_LARGE_BACK memory_order_acq_rel
#endif
#ifndef ORDER_LARGE_GIVEN
#define ORDER_LARGE_GIVEN memory_order_acquire
#endif

/* NONE: it has no record, or the record is in the hands of the thread that owns the block. */
enum large_state { LARGE_NONE, LARGE_USED, LARGE_KEPT, LARGE_LOOKED, LARGE_GIVEN };

/* Leaves the block to the thread that looks at it. False: no thread looks at it any more. */
static inline bool large_leave(_Atomic uint64_t *state)
{
	uint64_t looked = LARGE_LOOKED;

	/* ORDER(OBJECT_STATE) release: the record and the bytes of the block. */
	return atomic_compare_exchange_strong_explicit(state, &looked, LARGE_GIVEN,
						       ORDER_LARGE_GIVE, memory_order_relaxed);
}

/* Takes the block out of @from for good. False: a thread looks at it, and does the rest. */
static inline bool large_take_out(_Atomic uint64_t *state, uint64_t from)
{
	uint64_t seen;

	do {
		seen = from;
		/* ORDER(OBJECT_STATE) acquire: of a thread that looked. */
		if (atomic_compare_exchange_strong_explicit(state, &seen, LARGE_NONE,
							    ORDER_LARGE_TAKE, memory_order_relaxed))
			return true;
		STELE_POINT("large:looked");
	} while (seen == LARGE_LOOKED && !large_leave(state));
	return false;
}

/* For a thread that validates: *from is USED or KEPT, as it was before the look. */
static inline bool large_begin_look(_Atomic uint64_t *state, uint64_t *from)
{
	*from = load_relaxed(state);
	if (*from != LARGE_USED && *from != LARGE_KEPT)
		return false;
	STELE_POINT("large:look");
	/* ORDER(OBJECT_STATE) acquire: the record and the zone. */
	return atomic_compare_exchange_strong_explicit(state, &(uint64_t){ *from }, LARGE_LOOKED,
						       ORDER_LARGE_LOOK, memory_order_relaxed);
}

/* False: another thread gave the block up meanwhile, and it is the caller's. */
static inline bool large_end_look(_Atomic uint64_t *state, uint64_t from)
{
	uint64_t looked = LARGE_LOOKED;

	/* ORDER(OBJECT_STATE) release: the repairs; acquire: of the thread that gave it up. */
	if (atomic_compare_exchange_strong_explicit(state, &looked, from, ORDER_LARGE_BACK,
						    ORDER_LARGE_GIVEN))
		return true;
	store_relaxed(state, LARGE_NONE);
	return false;
}

#endif
