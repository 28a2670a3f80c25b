/* SPDX-License-Identifier: MIT */
/*
 * sync/ready.h - a thing that is filled in once, and then said to be there
 *
 * Idea      A thread fills the thing in by plain stores, and then stores a word that says so. A thread
 *           that reads the word and finds it said reads the thing plainly.
 *           One thread fills it in: others use it already when the first has said so, and a late one
 *           would write below them. A lock picks that thread, which looks for the word again inside.
 * Order     READY: said with release, read with acquire.
 * Context   any.
 * Tests     tests/model/boot.c
 */
#ifndef STELE_SYNC_READY_H
#define STELE_SYNC_READY_H

#include "sync/atomic.h"

#ifndef ORDER_READY_SAY
#define ORDER_READY_SAY memory_order_release
#endif
#ifndef ORDER_READY_LOOK
#define ORDER_READY_LOOK memory_order_acquire
#endif

static inline void ready_say(_Atomic uint32_t *word, uint32_t what)
{
	/* ORDER(READY) release: all that was filled in. */
	atomic_store_explicit(word, what, ORDER_READY_SAY);
}

static inline uint32_t ready_look(const _Atomic uint32_t *word)
{
	/* ORDER(READY) acquire: if it is said, the thing is filled in. */
	return atomic_load_explicit(word, ORDER_READY_LOOK);
}

#endif
