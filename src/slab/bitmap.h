/* SPDX-License-Identifier: MIT */
/*
 * slab/bitmap.h - the free state of one slab: a bitmap, a count and one bit of listing
 *
 * Idea      A freer sets the object's bit, then raises the count; a taker claims from the
 *           count, then finds as many bits. So bits set >= count + claims not yet found,
 *           and a claim always succeeds. A thread that makes the count reach the number of objects
 *           knows that nothing is claimed and may take the slab away.
 * Objects   state = {generation:32, ..., IDLE:1, DEAD:1, LISTED:1, free:16}
 *           LISTED  may be set while the slab has no free object (a taker finds out). It must not
 *                   be clear while the slab has a free object and no thread owns the slab: the
 *                   slab would be lost.
 *           DEAD    the frames are gone; the descriptor waits on the stack to be popped.
 *           IDLE    every object is free, the slab is listed all the same, and no thread owns it: a
 *                   freer that must not retire it left it so.
 *           generation grows with each new slab in this descriptor, so that a claim made on
 *           an old look at it fails.
 * States    unlisted, free 0  --free-->  LISTED (the freer pushes it)
 *           LISTED, free n    --claim--> LISTED, free n-k
 *           LISTED, free 0    --pop-->   unlisted
 *           any, free = all   --give-->  free 0, and the giver owns the frames
 *                             --bury-->  LISTED: DEAD, else the descriptor is the giver's too
 *                             --keep-->  LISTED, IDLE, free all
 *                             --refill-> LISTED, free all (slab/kept.c)
 *           IDLE              --claim--> as any listed slab; not IDLE
 *                             --take-->  free 0, and the taker owns the frames
 * Order     SLABBITS: a bit is set with release and taken with acquire: the last owner of
 *           an object is done before the next one starts. SLABSTATE: the count is raised
 *           with release after the bits and claimed with acquire before them.
 * Context   any; each lost race means that another thread made progress.
 * Tests     tests/model/bitmap.c, tests/model/deferred.c, tests/unit/slab/test_bitmap.c
 */
#ifndef STELE_SLAB_BITMAP_H
#define STELE_SLAB_BITMAP_H

#include "sync/atomic.h"

#ifndef ORDER_BITS_GIVE
#define ORDER_BITS_GIVE memory_order_release
#endif
#ifndef ORDER_BITS_TAKE
#define ORDER_BITS_TAKE memory_order_acquire
#endif
#ifndef ORDER_STATE_GIVE
#define ORDER_STATE_GIVE memory_order_acq_rel
#endif
#ifndef ORDER_STATE_REFILL
#define ORDER_STATE_REFILL memory_order_acq_rel
#endif
#ifndef ORDER_STATE_CLAIM
#define ORDER_STATE_CLAIM memory_order_acquire
#endif
#ifndef ORDER_STATE_IDLE
#define ORDER_STATE_IDLE memory_order_acquire
#endif

#ifndef CLAIM_FENCE
#define CLAIM_FENCE() fence_release() /* a model shows what happens without */
#endif

#define STATE_FREE 0xffffull
#define STATE_LISTED (1ull << 16)
#define STATE_DEAD (1ull << 17)
#define STATE_IDLE (1ull << 18)
#define STATE_GENERATION (1ull << 32)

/* Objects that the state counts as free: a look, which may change at once. */
static inline unsigned state_free(_Atomic uint64_t *state)
{
	return (unsigned)(load_relaxed(state) & STATE_FREE);
}

enum give_result {
	GIVE_DONE,
	GIVE_LIST,  /* the caller pushes the slab on the partial stack */
	GIVE_EMPTY, /* the caller owns the empty slab: it returns the frames, then buries it */
};

/* Sets @mask in a word of the bitmap; returns those of them that were free already. */
static inline uint64_t bits_give(_Atomic uint64_t *word, uint64_t mask)
{
	/* ORDER(SLABBITS) release */
	return atomic_fetch_or_explicit(word, mask, ORDER_BITS_GIVE) & mask;
}

/* Tells the state that @n bits were set. @objects is all the slab has. */
static inline enum give_result state_give(_Atomic uint64_t *state, unsigned n, unsigned objects)
{
	uint64_t old = load_relaxed(state), new;
	enum give_result result;

	do {
		bool empty = (old & STATE_FREE) + n == objects, listed = old & STATE_LISTED;

		new = empty ? old & ~STATE_FREE : (old + n) | STATE_LISTED;
		result = empty ? GIVE_EMPTY : listed ? GIVE_DONE : GIVE_LIST;
		STELE_POINT("state:give");
		/* ORDER(SLABSTATE) release: after the bits; acquire: the owner of an empty slab
		 * must see every other freer done. */
	} while (!atomic_compare_exchange_weak_explicit(state, &old, new, ORDER_STATE_GIVE,
							memory_order_relaxed));
	return result;
}

/*
 * The same for a thread that must not retire a slab: GIVE_DONE or GIVE_LIST, never GIVE_EMPTY.
 * *idle says that nothing of the slab is in use now: a thread for which state_take_idle() is true
 * may retire it.
 */
static inline enum give_result state_give_keep(_Atomic uint64_t *state, unsigned n,
					       unsigned objects, bool *idle)
{
	uint64_t old = load_relaxed(state), new;

	do {
		*idle = (old & STATE_FREE) + n == objects;
		new = (old + n) | STATE_LISTED | (*idle ? STATE_IDLE : 0);
		STELE_POINT("state:give_keep");
		/* ORDER(SLABSTATE) as in state_give(). */
	} while (!atomic_compare_exchange_weak_explicit(state, &old, new, ORDER_STATE_GIVE,
							memory_order_relaxed));
	return old & STATE_LISTED ? GIVE_DONE : GIVE_LIST;
}

/*
 * Takes a slab that is IDLE. True: the caller owns it as after GIVE_EMPTY. @off_stack: the caller
 * has taken it off the stack, so that burying it gives the caller the descriptor as well.
 */
static inline bool state_take_idle(_Atomic uint64_t *state, bool off_stack)
{
	uint64_t old = load_relaxed(state), gone = STATE_FREE | STATE_IDLE;

	if (off_stack)
		gone |= STATE_LISTED;
	while (old & STATE_IDLE) {
		STELE_POINT("state:take_idle");
		/* ORDER(SLABSTATE) acquire: every freer is done. */
		if (atomic_compare_exchange_weak_explicit(state, &old, old & ~gone,
							  ORDER_STATE_IDLE, memory_order_relaxed))
			return true;
	}
	return false;
}

/*
 * All of an empty slab is free again: its owner keeps it and lets go of it. @idle: its pages were
 * not given back. True: the caller pushes the slab on the partial stack.
 */
static inline bool state_refill(_Atomic uint64_t *state, unsigned objects, bool idle)
{
	uint64_t old = load_relaxed(state), new;

	do {
		new = old | objects | STATE_LISTED | (idle ? STATE_IDLE : 0);
		STELE_POINT("state:refill");
		/* ORDER(SLABSTATE) release: a claim comes after what the owner did; acquire: before a
		 * push, the thread that popped the slab is done. */
	} while (!atomic_compare_exchange_weak_explicit(state, &old, new, ORDER_STATE_REFILL,
							memory_order_relaxed));
	return !(old & STATE_LISTED);
}

/* Claims up to @want objects of a slab seen in state @seen. How many, 0 if it changed. */
static inline unsigned state_claim(_Atomic uint64_t *state, uint64_t seen, unsigned want)
{
	unsigned free = (unsigned)(seen & STATE_FREE), n = free < want ? free : want;
	uint64_t left = (seen - n) & ~STATE_IDLE;

	STELE_POINT("state:claim");
	/* ORDER(SLABSTATE) acquire: the bits behind the count are set. */
	if (!atomic_compare_exchange_strong_explicit(state, &seen, left, ORDER_STATE_CLAIM,
						     memory_order_relaxed))
		return 0;
	/* ORDER(PAGEMAP) release: the slab's maker, whom the claim has seen, before whatever tells
	 * of the objects. */
	CLAIM_FENCE();
	return n;
}

/* The lowest @n set bits of @bits; all when there are fewer. */
static inline uint64_t bits_lowest(uint64_t bits, unsigned n)
{
	uint64_t rest = bits;

	if (n >= 64)
		return bits;
	while (rest && n--)
		rest &= rest - 1;
	return bits ^ rest;
}

/* Takes up to @n bits of one word. */
static inline uint64_t bits_take(_Atomic uint64_t *word, unsigned n)
{
	uint64_t bits = load_relaxed(word), mask = bits_lowest(bits, n);

	if (!bits)
		return 0;
	STELE_POINT("bits:take");
	/* ORDER(SLABBITS) acquire; others may have taken some of them meanwhile. */
	return atomic_fetch_and_explicit(word, ~mask, ORDER_BITS_TAKE) & mask;
}

/*
 * The frames of an empty slab are gone. True: its descriptor is the caller's; false: it is
 * still on the stack, and the thread that pops it returns it.
 */
static inline bool state_bury(_Atomic uint64_t *state)
{
	/* ORDER(SLABSTATE) acquire: if it was popped, the popper is done with it. */
	uint64_t old = load_acquire(state);

	while (old & STATE_LISTED) {
		STELE_POINT("state:bury");
		/* ORDER(SLABSTATE) release: the popper reuses the descriptor after we are done. */
		if (cas_acq_rel(state, &old, old | STATE_DEAD))
			return false;
	}
	return true;
}

enum unlist_result {
	UNLIST_DONE,   /* off the stack, and marked so */
	UNLIST_RELIST, /* something was freed: push it again */
	UNLIST_DEAD,   /* the descriptor is the caller's */
	UNLIST_LOST,   /* another thread popped it (slab/partial.h) */
};

/* The slab was popped because it had nothing. */
static inline enum unlist_result state_unlist(_Atomic uint64_t *state)
{
	/* ORDER(SLABSTATE) acquire: of a dead slab, the retirer is done with it. */
	uint64_t old = load_acquire(state);

	do {
		if (old & STATE_DEAD)
			return UNLIST_DEAD;
		if (old & STATE_FREE)
			return UNLIST_RELIST;
		STELE_POINT("state:unlist");
		/* ORDER(SLABSTATE) release: the retirer gets the descriptor after we are done. */
	} while (!cas_acq_rel(state, &old, old & ~STATE_LISTED));
	return UNLIST_DONE;
}

/* A new slab in this descriptor: @free objects left for others. Not yet shared. */
static inline void state_start(_Atomic uint64_t *state, unsigned free)
{
	uint64_t generation = (load_relaxed(state) & ~(STATE_GENERATION - 1)) + STATE_GENERATION;

	/* ORDER(SLABSTATE) release: the bits, before a claim finds the count. */
	store_release(state, generation | free | (free ? STATE_LISTED : 0));
}

#endif
