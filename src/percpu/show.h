/* SPDX-License-Identifier: MIT */
/*
 * percpu/show.h - one entry of slots[]: the memory that a step which starts now uses
 *
 * States    unused   no thread has used the slot yet, or it is to be shown again at its next use
 *           shown    the slot's own memory: steps reach its words
 *           closed   the slot's CPU was taken away
 *           paused   a taker empties the slot for a moment
 *           unused -> shown            the thread that uses the slot first
 *           unused, shown -> closed    the writer of the CPU set, which is a taker meanwhile
 *           closed -> unused           the writer of the CPU set
 *           shown <-> paused           a taker
 *           A taker is a thread inside the lock `taking` (percpu/take.c).
 * Rule      A thread that empties a slot by plain exchanges first makes the entry say so, and only
 *           that thread may make it say otherwise. So closed and paused are two states: the writer
 *           that opens a slot cannot end a taker's pause, and a thread that was about to show the
 *           slot for the first time can end neither.
 * Order     SLOT_READY: an entry is shown with release, after the slot's words are filled.
 *           SLOT: after closing or pausing a slot that was shown, a barrier ends the steps
 *           that had found its memory. Only then are its words taken.
 * Failure   The barrier is refused: the entry gets its old value back.
 * Tests     tests/model/show.c  tests/unit/percpu/test_hotplug.c
 */
#ifndef STELE_PERCPU_SHOW_H
#define STELE_PERCPU_SHOW_H

#include "sync/atomic.h"

/* May be weakened by a model that must fail then. */
#ifndef ORDER_SLOT_READY
#define ORDER_SLOT_READY memory_order_release
#endif

static inline bool show_swap(_Atomic uint64_t *entry, uint64_t old, uint64_t new)
{
	/* ORDER(SLOT_READY) release: after everything that was done to the slot's words. */
	return atomic_compare_exchange_strong_explicit(entry, &old, new, ORDER_SLOT_READY,
						       memory_order_relaxed);
}

/* At the first use. A slot that was closed or paused meanwhile stays so. */
static inline void show_first(_Atomic uint64_t *entry, uint64_t unused, uint64_t memory)
{
	show_swap(entry, unused, memory);
}

/* By a taker. Returns the entry as it was: a barrier must follow if the slot was shown. */
static inline uint64_t show_close(_Atomic uint64_t *entry, uint64_t closed)
{
	/* ORDER(SLOT) the barrier follows. */
	return exchange_acq_rel(entry, closed);
}

/* The barrier was refused. */
static inline void show_unclose(_Atomic uint64_t *entry, uint64_t closed, uint64_t was)
{
	show_swap(entry, closed, was);
}

static inline void show_open(_Atomic uint64_t *entry, uint64_t closed, uint64_t unused)
{
	show_swap(entry, closed, unused);
}

/* By a taker, as is show_again(). False: the slot is not shown. */
static inline bool show_pause(_Atomic uint64_t *entry, uint64_t memory, uint64_t paused)
{
	/* ORDER(SLOT) the barrier follows. */
	return cas_acq_rel(entry, &memory, paused);
}

static inline void show_again(_Atomic uint64_t *entry, uint64_t paused, uint64_t memory)
{
	show_swap(entry, paused, memory);
}

#endif
