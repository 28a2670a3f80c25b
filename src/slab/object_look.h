/* SPDX-License-Identifier: MIT */
/*
 * slab/object_look.h - the object that a validation looks at stays with its owner
 *
 * Idea      A thread that validates looks at objects of others. While it looks, the object may be
 *           freed, but no thread may get it: the next owner could take the access to its pages
 *           away (mprotect(2)). So the thread notes the object first. Each thread that has taken an
 *           object from its slab looks at the note. If it finds the object there, it leaves the object
 *           to the thread that validates, which gives it back, and takes another one.
 * States    the note: 0; an object; an object and LOOK_LEFT: it is free, and its bit is clear.
 * Order     OBJECT_LOOK: the note is stored before the object's bit and state are looked at. A thread
 *           clears the bit before it looks at the note. A full fence between the two steps of each
 *           makes sure that of the two threads one sees the other.
 * Context   any. No thread waits. One that stalls in a look keeps that object from others.
 * Failure   The note of a thread that is gone is ended by another one (slab/watch.c).
 * Tests     tests/model/object_look.c, tests/model/slab_look.c,
 *           tests/contract/test_debug_protected.c
 */
#ifndef STELE_SLAB_OBJECT_LOOK_H
#define STELE_SLAB_OBJECT_LOOK_H

#include "sync/atomic.h"

/* A model shows what happens without. */
#ifndef FENCE_OBJECT_NOTE
#define FENCE_OBJECT_NOTE() fence_seq()
#endif
#ifndef FENCE_OBJECT_LEAVE
#define FENCE_OBJECT_LEAVE() fence_seq()
#endif
#ifndef ORDER_OBJECT_SEEN
#define ORDER_OBJECT_SEEN memory_order_acquire
#endif
#ifndef ORDER_OBJECT_LEFT
#define ORDER_OBJECT_LEFT memory_order_acq_rel
#endif
#ifndef ORDER_OBJECT_END
#define ORDER_OBJECT_END memory_order_acq_rel
#endif

#define LOOK_LEFT 1ull

/* The one thread that validates begins to look at @object. */
static inline void look_note(_Atomic uint64_t *note, uint64_t object)
{
	store_relaxed(note, object);
	/* ORDER(OBJECT_LOOK) sequentially consistent: noted, then looks at its bit and state. */
	FENCE_OBJECT_NOTE();
	STELE_POINT("look:noted");
}

/* The caller has cleared the bit of @object. True: it leaves the object to the thread that looks at it. */
static inline bool look_leave(_Atomic uint64_t *note, uint64_t object)
{
	uint64_t seen = object;

	/* ORDER(OBJECT_LOOK) sequentially consistent: taken, then looks at the note. */
	FENCE_OBJECT_LEAVE();
	/* ORDER(OBJECT_LOOK) acquire: a look that is over read the object before. */
	if (atomic_load_explicit(note, ORDER_OBJECT_SEEN) != object)
		return false;
	STELE_POINT("look:leave");
	/* ORDER(OBJECT_LOOK) release: the bit is clear; acquire: a look that has ended just now read the
	 * object before. */
	return atomic_compare_exchange_strong_explicit(note, &seen, object | LOOK_LEFT,
						       ORDER_OBJECT_LEFT, ORDER_OBJECT_SEEN);
}

/* The look is over. True: the object was left to the caller, which sets its bit again. */
static inline bool look_end(_Atomic uint64_t *note)
{
	/* ORDER(OBJECT_LOOK) release: the reads of the object; acquire: of the thread that left it. */
	return atomic_exchange_explicit(note, 0, ORDER_OBJECT_END) & LOOK_LEFT;
}

/* Ends the look of a thread that is gone, in its place. Returns the object if it was left to that thread;
 * else 0. */
static inline uint64_t look_end_left(_Atomic uint64_t *note)
{
	uint64_t object = load_relaxed(note) & ~LOOK_LEFT;

	return object && look_end(note) ? object : 0;
}

#endif
