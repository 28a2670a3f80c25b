/* SPDX-License-Identifier: MIT */
/*
 * percpu/keep.h - threads that keep the set of CPUs as it is, against one that changes it
 *
 * Idea      A reader enters its name (sync/names.h), then looks for a writer. The writer announces
 *           itself, then looks at the names. Each stores one word and loads the other, so one of
 *           them sees the other: the reader steps back, or the writer waits.
 *           There are as many places as there are readers. The writer frees the place of a reader
 *           that is gone, and so does a reader that finds all places taken.
 * Order     CPUS: a fence of sequential consistency is between the store and the load on both sides.
 *           Leaving releases, and the writer acquires. Letting in releases, and a reader acquires.
 * Failure   no memory for more places: the reader did not enter.
 * Tests     tests/model/hotplug.c  tests/unit/percpu/test_hotplug.c
 */
#ifndef STELE_PERCPU_KEEP_H
#define STELE_PERCPU_KEEP_H

#include "sync/names.h"

/* May be weakened by a model that must fail then. */
#ifndef CPUS_FENCE
#define CPUS_FENCE() fence_seq()
#endif

struct keep {
	struct names readers;
	_Atomic uint32_t writing;
	_Atomic uint32_t left; /* raised by readers that leave while a writer waits */
};

/* @me: the thread's name, not 0. False: there is a writer, or no place; the reader has to leave. */
static inline bool keep_enter(struct keep *keep, uint32_t me)
{
	struct name name; /* found again by the thread's */

	if (!names_enter(&keep->readers, me, &name))
		return false;
	/* ORDER(CPUS) sequentially consistent: named, then looked. */
	CPUS_FENCE();
	STELE_POINT("cpus:counted");
	/* ORDER(CPUS) acquire: the set as the last writer left it. */
	return !load_acquire(&keep->writing);
}

/* True: a writer may wait for this. */
static inline bool keep_leave(struct keep *keep, uint32_t me)
{
	STELE_POINT("cpus:leaves");
	names_leave_all(&keep->readers, me);
	/* ORDER(CPUS) sequentially consistent: left, then looked. */
	fence_seq();
	if (!load_relaxed(&keep->writing))
		return false;
	add_relaxed(&keep->left, 1);
	return true;
}

static inline void keep_out(struct keep *keep)
{
	store_relaxed(&keep->writing, 1);
	/* ORDER(CPUS) sequentially consistent: said, then the names. */
	CPUS_FENCE();
	STELE_POINT("cpus:writing");
}

/* How many readers the writer has to wait for. ORDER(CPUS) acquire: those that left. */
static inline uint32_t keep_count(struct keep *keep)
{
	return names_count(&keep->readers);
}

static inline void keep_let_in(struct keep *keep)
{
	/* ORDER(CPUS) release: the set as it was changed. */
	store_release(&keep->writing, 0);
}

/* In the child of a fork, which has one thread. */
static inline void keep_nobody(struct keep *keep)
{
	names_after_fork(&keep->readers);
}

#endif
