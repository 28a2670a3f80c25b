/* SPDX-License-Identifier: MIT */
/*
 * trace/entry.h - one place in the table: calls against removal
 *
 * Idea      A call counts itself in and looks again whether it is wanted; a removal says that
 *           it is not, and waits until the count is 0. Each stores one word and then loads the
 *           other: one of them sees the other.
 * States    wanted: 0 nobody is called; else the events. running: calls under way, and some that
 *           came too late and leave at once.
 * Order     TRACE: fn and arg are complete before wanted names an event, and are read by who
 *           counted himself in and saw it. Entering and removing are sequentially consistent;
 *           leaving releases what the callback did to who waits for 0.
 * Context   enter, leave: any. Removal: under the table's lock.
 * Tests     tests/model/trace.c
 */
#ifndef STELE_TRACE_ENTRY_H
#define STELE_TRACE_ENTRY_H

#include "sync/atomic.h"
#include "sync/inject.h"
#include <stele/trace.h>

#ifndef ORDER_TRACE_SHOW
#define ORDER_TRACE_SHOW memory_order_release
#endif
#ifndef ORDER_TRACE_LEAVE
#define ORDER_TRACE_LEAVE memory_order_seq_cst
#endif

struct trace_entry {
	_Atomic uint32_t wanted;
	_Atomic uint32_t running;
	/* Fixed while wanted or running is not 0; under the table's lock else. */
	stele_trace_fn fn;
	void *arg;
};

/* True: call fn, then leave. False: leave at once. */
static inline bool trace_enter(struct trace_entry *entry, uint32_t event)
{
	atomic_fetch_add(&entry->running, 1);
	STELE_POINT("trace:counted");
	/* ORDER(TRACE) sequentially consistent: counted, then looked. */
	return load_seq(&entry->wanted) & event;
}

/* True: somebody may wait for this. */
static inline bool trace_leave(struct trace_entry *entry)
{
	/* ORDER(TRACE) release: what the callback did, for who sees 0. */
	atomic_fetch_sub_explicit(&entry->running, 1, ORDER_TRACE_LEAVE);
	return !load_seq(&entry->wanted);
}

/* Nobody is in the place: fills it, then shows it. */
static inline void trace_show(struct trace_entry *entry, uint32_t events)
{
	/* ORDER(TRACE) release: fn and arg. */
	atomic_store_explicit(&entry->wanted, events, ORDER_TRACE_SHOW);
}

static inline void trace_hide(struct trace_entry *entry)
{
	/* ORDER(TRACE) sequentially consistent: hidden, then looked. */
	store_seq(&entry->wanted, 0);
	STELE_POINT("trace:hidden");
}

/* Calls under way; 0 after trace_hide(): none is, nor will be. */
static inline uint32_t trace_running(struct trace_entry *entry)
{
	return load_seq(&entry->running);
}

#endif
