/* SPDX-License-Identifier: MIT */
/*
 * base/valid.h - two grades of assertion
 *
 * Idea      STELE_MUST() stays in every build. It belongs on a slow path where one compare stops a
 *           broken structure before it spreads: a descriptor that is given back twice would be handed
 *           out twice.
 *           STELE_SOUND() is for debug builds. It takes what an x_valid() function answers: NULL, or
 *           the invariant that does not hold, in words. Such a function may walk lists. It reads a
 *           structure that the caller owns, or any when no call is under way: tests ask after a storm,
 *           and a debugger may ask at any stop:
 *                   (gdb) print stele_caches_valid()
 * Main      stele_slot_valid() percpu/percpu.h
 *           stele_run_valid(), stele_area_valid(), stele_heap_valid() page/valid.h
 *           stele_geometry_valid(), stele_slab_valid(), stele_partial_valid() slab/valid.h
 *           stele_sheaf_frame_valid(), stele_sheaf_valid() cache/sheaves.h
 *           stele_cache_valid(), stele_barn_valid(), stele_caches_valid() cache/valid.h
 *           stele_pool_valid() mempool/pool.h
 * Context   any. A failure is one line and abort().
 * Tests     tests/unit/base/test_valid.c
 */
#ifndef STELE_BASE_VALID_H
#define STELE_BASE_VALID_H

#include "base/basics.h"

/* Says "stele: broken: WHAT (FILE:LINE)" and ends the process. */
__attribute__((noreturn, cold, noinline)) void stele_broken(const char *what, const char *file,
							    int line);

#define STELE_MUST(what)                                                                           \
	(stele_likely(what) ? (void)0 : stele_broken("not so: " #what, __FILE__, __LINE__))

static inline void stele_sound(const char *fault, const char *file, int line)
{
	if (stele_unlikely(fault != NULL))
		stele_broken(fault, file, line);
}

#if STELE_DEBUG
#define STELE_SOUND(fault) stele_sound(fault, __FILE__, __LINE__)
#else
#define STELE_SOUND(fault) ((void)sizeof(fault))
#endif

/* The body of an x_valid() function: one invariant a line. */
#define STELE_HOLDS(what, fault)                                                                   \
	do {                                                                                       \
		if (!(what))                                                                       \
			return fault;                                                              \
	} while (0)

#endif
