/* SPDX-License-Identifier: MIT */
/*
 * trace/entry.h - one place in the table, and the threads that call it: calls against removal
 *
 * Idea      A call announces itself in a record of its thread, and then asks the place again which
 *           events it wants. A removal first sets the place to want none, and then looks at all
 *           records. Each side stores one word and then loads the other side's, so one of them sees
 *           the other. A removal calls off a call that is only announced, and waits for calls that
 *           are inside. The record names its thread. If that thread died, the removal that waits for
 *           it clears the record.
 * States    wanted: the events that the callback wants; 0: it is not called. A record is 0 (free),
 *           or {thread:32, depth:3, announced:4, inside:24}. `announced` is the number of the place
 *           that the thread asks for, plus 1. `inside` has three bits for each place: how often the
 *           thread is inside of it.
 * Order     TRACE: fn and arg are complete before wanted names an event, and are read by a caller
 *           that announced itself and saw it. Announcing and removing are sequentially
 *           consistent; leaving releases the callback's work to the removal that waits for it.
 * Context   enter, leave: any, with signals held back. Removal: ordinary threads.
 * Failure   A thread that stalls inside is waited for: nothing tells it from a long callback.
 * Tests     tests/model/trace.c, tests/contract/test_trace_left.c
 */
#ifndef STELE_TRACE_ENTRY_H
#define STELE_TRACE_ENTRY_H

#include "sync/atomic.h"
#include <stele/trace.h>

#ifndef ORDER_TRACE_SHOW
#define ORDER_TRACE_SHOW memory_order_release
#endif
#ifndef ORDER_TRACE_ANNOUNCE
#define ORDER_TRACE_ANNOUNCE memory_order_seq_cst
#endif
#ifndef ORDER_TRACE_LEAVE
#define ORDER_TRACE_LEAVE memory_order_seq_cst
#endif

struct trace_entry {
	_Atomic uint32_t wanted;
	/* Fixed while wanted is not 0 or a record names the place; else under the table's lock. */
	stele_trace_fn fn;
	void *arg;
};

/* Changed by its thread; a removal only calls off, and clears the record of a dead thread. */
typedef _Atomic uint64_t trace_record_t;

#define TRACE_INSIDE_BITS 3
#define TRACE_ANNOUNCED_SHIFT 24
#define TRACE_ANNOUNCED (15ull << TRACE_ANNOUNCED_SHIFT)
#define TRACE_DEPTH_SHIFT 28
_Static_assert(STELE_TRACE_MAX *TRACE_INSIDE_BITS <= TRACE_ANNOUNCED_SHIFT, "bits for each place");
_Static_assert(STELE_TRACE_MAX < 15, "a number for each place, and one for none");
_Static_assert(STELE_TRACE_DEPTH < 1 << TRACE_INSIDE_BITS, "a count holds the deepest");

static inline uint64_t trace_new_record(uint32_t thread)
{
	return (uint64_t)thread << 32;
}

static inline uint32_t trace_thread(uint64_t word)
{
	return (uint32_t)(word >> 32);
}

static inline unsigned trace_depth(uint64_t word)
{
	return (unsigned)(word >> TRACE_DEPTH_SHIFT) & ((1u << TRACE_INSIDE_BITS) - 1);
}

static inline uint64_t trace_announcement(unsigned place)
{
	return (uint64_t)(place + 1) << TRACE_ANNOUNCED_SHIFT;
}

/* Added to a record by a thread that goes inside. */
static inline uint64_t trace_one_inside(unsigned place)
{
	return 1ull << TRACE_DEPTH_SHIFT | 1ull << place * TRACE_INSIDE_BITS;
}

static inline bool trace_is_inside(uint64_t word, unsigned place)
{
	return word >> place * TRACE_INSIDE_BITS & ((1u << TRACE_INSIDE_BITS) - 1);
}

/* ---- a call ---- */

/* True: call fn, then leave. False: it is not wanted, or was called off. */
static inline bool trace_enter(trace_record_t *record, struct trace_entry *entry, unsigned place,
			       uint32_t needed)
{
	uint64_t word;

	/* ORDER(TRACE) sequentially consistent: announced, then looked. */
	atomic_fetch_or_explicit(record, trace_announcement(place), ORDER_TRACE_ANNOUNCE);
	STELE_POINT("trace:announced");
	if ((load_seq(&entry->wanted) & needed) != needed) {
		and_relaxed(record, ~TRACE_ANNOUNCED);
		return false;
	}
	word = load_relaxed(record);
	while (word & TRACE_ANNOUNCED) {
		/* ORDER(TRACE) acquire, release: inside before the callback does anything. */
		if (cas_acq_rel(record, &word, (word & ~TRACE_ANNOUNCED) + trace_one_inside(place)))
			return true;
	}
	return false;
}

/* True: a removal may wait for this. */
static inline bool trace_leave(trace_record_t *record, struct trace_entry *entry, unsigned place)
{
	STELE_POINT("trace:leaves");
	/* ORDER(TRACE) release: the callback's work, for the removal that sees it gone. */
	atomic_fetch_sub_explicit(record, trace_one_inside(place), ORDER_TRACE_LEAVE);
	return !load_seq(&entry->wanted);
}

/* ---- registering and removing ---- */

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

/*
 * After trace_hide(). Returns the record as it is afterwards: if its thread is inside, that call is
 * under way, and the thread will begin no other.
 */
static inline uint64_t trace_call_off(trace_record_t *record, unsigned place)
{
	/* ORDER(TRACE) sequentially consistent: hidden, then looked. */
	uint64_t word = load_seq(record);

	while ((word & TRACE_ANNOUNCED) == trace_announcement(place)) {
		/* ORDER(TRACE) acquire: the callback's work, if it is over. */
		if (cas_acq_rel(record, &word, word & ~TRACE_ANNOUNCED))
			return word & ~TRACE_ANNOUNCED;
	}
	return word;
}

#endif
