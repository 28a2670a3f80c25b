/* SPDX-License-Identifier: MIT */
/*
 * slab/slab_look.h - a slab that a validation looks at does not end
 *
 * Idea      A thread that validates a cache enters its name in a word of the cache, and then looks for
 *           slabs. A slab that is shown names its cache. The name is in a word of the slab's
 *           descriptor, and the thread reads nothing else before it finds its cache there: the
 *           descriptor may be another cache's by now. A thread that ends an empty slab hides it first,
 *           and then looks at the word of the cache. If it finds a name there, it shows the slab again
 *           and keeps it.
 * States    the cache's word: 0, or the name of the one thread that validates. A thread that is gone
 *           leaves its name there. Another thread takes its place, and then ends the look at an object
 *           that was left (slab/object_look.h).
 *           the descriptor's word: the cache, while a slab is shown. 0: none is there, or a hidden one.
 *           A large block has its state there (slab/large_look.h), which is no address.
 * Order     SLAB_LOOK: the name is entered before slabs are looked for. A slab is hidden before the
 *           word is looked at. Both sides are sequentially consistent, so of the two threads one sees
 *           the other. A slab is shown when it is filled, and a look ends when its reads are over.
 * Context   any. No thread waits.
 * Failure   A validation misses a slab that is new, or that is hidden just then.
 * Tests     tests/model/slab_look.c, tests/contract/test_debug.c
 */
#ifndef STELE_SLAB_SLAB_LOOK_H
#define STELE_SLAB_SLAB_LOOK_H

#include "sync/atomic.h"

/* A model shows what happens without. */
#ifndef FENCE_SLAB_BEGIN
#define FENCE_SLAB_BEGIN() fence_seq()
#endif
#ifndef ORDER_SLAB_END
#define ORDER_SLAB_END memory_order_release
#endif
#ifndef ORDER_SLAB_HIDE
#define ORDER_SLAB_HIDE memory_order_seq_cst
#endif
#ifndef ORDER_SLAB_LOOK
#define ORDER_SLAB_LOOK memory_order_seq_cst
#endif
#ifndef ORDER_SLAB_SHOW
#define ORDER_SLAB_SHOW memory_order_release
#endif
#ifndef ORDER_SLAB_SEEN
#define ORDER_SLAB_SEEN memory_order_acquire
#endif

/* ---- the thread that validates ---- */

/* Begins to look at the slabs of a cache. @seen: 0, or the name of a thread that looks no more. False:
 * another thread was first. */
static inline bool slab_look_begin(_Atomic uint32_t *looked_at, uint32_t seen, uint32_t me)
{
	/* ORDER(SLAB_LOOK) acquire: of a thread that looked before. */
	if (!cas_acquire(looked_at, &seen, me))
		return false;
	/* ORDER(SLAB_LOOK) sequentially consistent: entered, then looks for slabs. */
	FENCE_SLAB_BEGIN();
	return true;
}

static inline void slab_look_end(_Atomic uint32_t *looked_at, uint32_t me)
{
	/* ORDER(SLAB_LOOK) release: done with its slabs. */
	atomic_compare_exchange_strong_explicit(looked_at, &me, 0, ORDER_SLAB_END,
						memory_order_relaxed);
}

/* Whether a slab of @cache is shown there. */
static inline bool slab_is_shown(_Atomic uint64_t *shown, const void *cache)
{
	/* ORDER(SLAB_LOOK) acquire: the slab and its objects are filled in. */
	return atomic_load_explicit(shown, ORDER_SLAB_SEEN) == (uintptr_t)cache;
}

/* ---- the thread that has a slab alone ---- */

/* A thread that validates @cache may look at it from now on. */
static inline void slab_show(_Atomic uint64_t *shown, const void *cache)
{
	/* ORDER(SLAB_LOOK) release: the slab and its objects are filled in. */
	atomic_store_explicit(shown, (uintptr_t)cache, ORDER_SLAB_SHOW);
}

/* Hides an empty slab. False: a thread validates @cache, and the slab is shown again and stays. */
static inline bool slab_hide(_Atomic uint64_t *shown, const void *cache,
			     _Atomic uint32_t *looked_at)
{
	/* ORDER(SLAB_LOOK) sequentially consistent: hidden, then looks at the word. */
	atomic_store_explicit(shown, 0, ORDER_SLAB_HIDE);
	/* ORDER(SLAB_LOOK) sequentially consistent: the slab is hidden before this look. */
	if (!atomic_load_explicit(looked_at, ORDER_SLAB_LOOK))
		return true;
	slab_show(shown, cache);
	return false;
}

#endif
