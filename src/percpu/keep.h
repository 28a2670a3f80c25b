/* SPDX-License-Identifier: MIT */
/*
 * percpu/keep.h - threads that keep the set of CPUs as it is, against one that changes it
 *
 * Idea      A reader counts itself, then looks for a writer. The writer announces itself, then
 *           looks at the count. Each stores one word and loads the other, so one of them sees the
 *           other: the reader steps back, or the writer waits.
 * Order     CPUS: all four are sequentially consistent. Leaving and letting in are too.
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

struct keep {
	_Atomic uint32_t readers; /* threads */
	_Atomic uint32_t writing;
};

/* False: there is a writer; the reader has to leave. */
static inline bool keep_enter(struct keep *keep)
{
	/* ORDER(CPUS) sequentially consistent: counted, then looked. */
	atomic_fetch_add_explicit(&keep->readers, 1, ORDER_CPUS);
	STELE_POINT("cpus:counted");
	return !atomic_load_explicit(&keep->writing, ORDER_CPUS);
}

/* True: this was the last one, and the writer may wait for it. */
static inline bool keep_leave(struct keep *keep)
{
	/* ORDER(CPUS) sequentially consistent: the set has stayed as it was until here. */
	return atomic_fetch_sub(&keep->readers, 1) == 1 && load_seq(&keep->writing);
}

static inline void keep_out(struct keep *keep)
{
	/* ORDER(CPUS) sequentially consistent: said, then the count. */
	atomic_store_explicit(&keep->writing, 1, ORDER_CPUS);
	STELE_POINT("cpus:writing");
}

/* How many readers the writer has to wait for. */
static inline uint32_t keep_count(struct keep *keep)
{
	/* ORDER(CPUS) sequentially consistent */
	return atomic_load_explicit(&keep->readers, ORDER_CPUS);
}

static inline void keep_let_in(struct keep *keep)
{
	/* ORDER(CPUS) release: the set as it was changed. */
	store_seq(&keep->writing, 0);
}

#endif
