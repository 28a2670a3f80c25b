/* SPDX-License-Identifier: MIT */
/*
 * percpu/steps.c - the slow forms of the steps, in every mode
 *
 * Idea      The fast steps are inline (percpu/percpu.h) and give up for any reason. The slow forms
 *           set up a slot that is not set up yet, and retry a sequence that was interrupted. Where
 *           there are no sequences they take the fallback's way.
 * Stepped   A debugger that steps through a thread, or looks at a variable after each instruction,
 *           interrupts every sequence. After some failures in a row the thread takes the
 *           fallback's way for a while, in a slot that only such threads use (percpu/system.c).
 * Context   any.
 * Failure   NULL or false: empty, full, busy, or interrupted too often. The caller goes the slow
 *           way, which needs no slot.
 * Tests     tests/unit/percpu/test_steps.c
 */
#include "percpu/slots.h"
#include "arch/rseq.h"
#include "sync/atomic.h"

/* How often a step is tried again after an interruption before the slow way is taken. */
#define STEP_TRIES 3

/* The entry next to a top that was read from a word. The sheaf may be another's by now, or gone. */
static uint64_t racy_entry(uint64_t top, int entry)
{
	volatile uint64_t *at = (volatile uint64_t *)(uintptr_t)top + entry;

	STELE_POINT("slot:entry");
	racy_target((const void *)at);
	return *at;
}

/* Whether this slot's word has @bound (0 below, END above) next to its top: no use to try again. */
static bool at_bound(uint64_t words, enum stele_word which, int entry, uint64_t bound)
{
	return racy_entry(stele_pcpu_read(words, which), entry) == bound;
}

/* Not inlined: the fallback's way saves no registers. */
static __attribute__((noinline)) void *pop_by_sequence(uint64_t words)
{
	if (!stele_slot_ready())
		return NULL;
	for (int i = 0; i < STEP_TRIES; i++) {
		void *p = step_pop_any(stele_hot.base, stele_rseq.area, stele_rseq.id, words);

		if (p)
			stele_thread_step_done();
		if (p || at_bound(words, WORD_MAIN, -1, 0))
			return p;
	}
	stele_thread_step_failed();
	return NULL;
}

void *stele_pcpu_pop(uint64_t words)
{
	return slot_by_lock() ? stele_fallback_pop(words) : pop_by_sequence(words);
}

/* The steps address their word by its offset: a line's MAIN is at the line's own. */
static __attribute__((noinline)) bool push_by_sequence(uint64_t words, enum stele_word which,
						       void *p)
{
	if (!stele_slot_ready())
		return false;
	for (int i = 0; i < STEP_TRIES; i++) {
		if (step_push_any(stele_hot.base, stele_rseq.area, stele_rseq.id, words + which,
				  p)) {
			stele_thread_step_done();
			return true;
		}
		if (at_bound(words, which, 0, STELE_SHEAF_END))
			return false;
	}
	stele_thread_step_failed();
	return false;
}

static inline bool push_to(uint64_t words, enum stele_word which, void *p)
{
	return slot_by_lock() ? stele_fallback_push(words, which, p)
			      : push_by_sequence(words, which, p);
}

bool stele_pcpu_push(uint64_t words, void *p)
{
	return push_to(words, WORD_MAIN, p);
}

bool stele_pcpu_push_rcu(uint64_t words, void *p)
{
	return push_to(words, WORD_RCU, p);
}

/*
 * By sequence a look is enough: an entry below a top is free, so it cannot be the pointer of a
 * caller that owns it; and where others have moved the top meanwhile, they cannot have put it
 * there.
 */
static bool on_top_of(uint64_t words, enum stele_word which, const void *p)
{
	uint64_t top;

	if (slot_by_lock())
		return stele_fallback_on_top(words, which, p);
	if (!stele_slot_ready())
		return false;
	top = stele_pcpu_read(words, which);
	return racy_entry(top, -1) == (uint64_t)(uintptr_t)p &&
	       stele_pcpu_read(words, which) == top; /* still that sheaf, not memory in use again */
}

bool stele_pcpu_on_top(uint64_t words, const void *p)
{
	return on_top_of(words, WORD_MAIN, p);
}

bool stele_pcpu_on_top_rcu(uint64_t words, const void *p)
{
	return on_top_of(words, WORD_RCU, p);
}

uint64_t stele_pcpu_read(uint64_t words, enum stele_word which)
{
	if (slot_by_lock())
		return stele_fallback_read(words, which);
	if (!stele_slot_ready())
		return SHEAF_UNINIT;
	/* ORDER(SLOT_READY) acquire: its words. */
	return load_relaxed(word_at(load_acquire(slot_entry(stele_slot_now())), words + which));
}

bool stele_pcpu_cas(uint64_t words, enum stele_word which, uint64_t old, uint64_t new)
{
	enum step_result result = STEP_ABORTED;

	if (slot_by_lock())
		return stele_fallback_cas(words, which, old, new);
	if (!stele_slot_ready())
		return false;
	STELE_POINT("slot:cas");
	for (int i = 0; i < STEP_TRIES && result == STEP_ABORTED; i++)
		result = step_cas(stele_hot.base, stele_rseq.area, stele_rseq.id, words + which,
				  old, new);
	if (result == STEP_ABORTED)
		stele_thread_step_failed();
	return result == STEP_DONE;
}
