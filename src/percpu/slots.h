/* SPDX-License-Identifier: MIT */
/*
 * percpu/slots.h - what the files of this floor know about slots; nobody else sees it
 *
 * Objects   memory, count: fixed after start. high: words below it exist in every slot that was
 *           begun. begun: by slot. The entries of slots[] are those of percpu/show.h.
 *           The block of unused slots has sentinels only; closed and paused slots show the same
 *           block one and two lines further on.
 * Context   any.
 */
#ifndef STELE_PERCPU_SLOTS_H
#define STELE_PERCPU_SLOTS_H

#include "arch/contract.h"
#include "percpu/line.h"
#include "percpu/percpu.h"
#include "percpu/show.h"
#include "percpu/system.h"

#define FIRST_WORDS STELE_WORDS_SIZE /* line 0 belongs to caches without sheaves: always EMPTY */

typedef _Atomic uint64_t word_t;

struct stele_slots {
	char *memory;
	unsigned count;
	_Atomic uint32_t high;
	_Atomic uint8_t begun[STELE_SLOTS_MAX + 1];
};
extern struct stele_slots stele_slots __attribute__((visibility("hidden")));

static inline word_t *slot_entry(unsigned slot)
{
	return (word_t *)(stele_hot.base + STELE_SLOTS_OFFSET) + slot;
}

static inline uint64_t slot_unused(void)
{
	return (uint64_t)(uintptr_t)(stele_hot.base + STELE_DUMMY_OFFSET);
}

static inline uint64_t slot_closed(void)
{
	return slot_unused() + STELE_WORDS_SIZE;
}

static inline uint64_t slot_paused(void)
{
	return slot_unused() + 2 * STELE_WORDS_SIZE;
}

/* Neither of the three. */
static inline bool slot_has_sheaves(uint64_t entry)
{
	return entry - slot_unused() > 2 * STELE_WORDS_SIZE;
}

static inline word_t *word_at(uint64_t slot_base, uint64_t offset)
{
	return (word_t *)(uintptr_t)(slot_base + offset);
}

/*
 * One slot more, beyond those that have a number: its lines are locked, as in the fallback. It is for
 * threads whose sequences are interrupted all the time: a debugger steps through them.
 */
static inline unsigned slot_of_stepped(void)
{
	return stele_slots.count;
}

static inline uint64_t slot_memory(unsigned slot)
{
	if (stele_unlikely(slot == slot_of_stepped()))
		return (uint64_t)(uintptr_t)(stele_hot.base + STELE_STEPPED_OFFSET);
	return (uint64_t)(uintptr_t)(stele_slots.memory + (size_t)slot * STELE_SLOT_SIZE);
}

/* The memory of a slot that may have something in it, else 0. */
static inline uint64_t slot_memory_begun(unsigned slot)
{
	return slot_is_begun(&stele_slots.begun[slot]) ? slot_memory(slot) : 0;
}

/* The value of a word that has no sheaf. */
static inline uint64_t nothing_in(enum stele_word which)
{
	return which == WORD_SPARE ? 0 : SHEAF_EMPTY;
}

static inline bool slot_is_shown(unsigned slot)
{
	/* ORDER(SLOT_READY) acquire: its words are filled in. */
	return load_acquire(slot_entry(slot)) == slot_memory(slot);
}

static inline bool slot_is_closed(unsigned slot)
{
	/* ORDER(SLOT_READY) acquire: the thread that closed it is done with the entry. */
	return load_acquire(slot_entry(slot)) == slot_closed();
}

static inline bool slots_by_sequence(void)
{
	return stele_system_facts.mode != STELE_MODE_FALLBACK;
}

/* Whether this thread's next step is done under its line's lock (fallback.c), not by sequence. */
static inline bool slot_by_lock(void)
{
	return !slots_by_sequence() || stele_thread_is_stepped();
}
/* By sequence: whether this thread has a slot with words. Sets it up at its first use. */
bool stele_slot_ready(void);
/* This slot, the thread's own, is not shown. True: now it is, or the thread has another one. */
bool stele_slot_come_up(unsigned slot);
/* The slot of this thread whose lines are locked. */
static inline unsigned stele_slot_locked(void)
{
	return slots_by_sequence() ? slot_of_stepped() : stele_thread_slot();
}

/* ---- fallback.c: steps under the lock of this thread's line ---- */

uint64_t stele_fallback_read(uint64_t words, enum stele_word which);
void *stele_fallback_pop(uint64_t words);
bool stele_fallback_push(uint64_t words, enum stele_word which, void *p);
bool stele_fallback_cas(uint64_t words, enum stele_word which, uint64_t old, uint64_t new);
bool stele_fallback_on_top(uint64_t words, enum stele_word which, const void *p);

/* ---- take.c: taking what other slots have ---- */

struct stele_words;

/* This thread becomes the one taker. False: another thread is, and @effort is less than
 * EFFORT_WAITING; or this thread is the taker already. */
bool stele_begin_taking(enum effort effort);
void stele_end_taking(void);
/* In the fallback: takes one line's sheaves under its lock. */
void stele_take_locked(uint64_t line, const struct stele_words *which, enum effort effort,
		       uint64_t *found);

/* slots.c: frees the lock of a line, seen as @seen, if its thread is gone. Returns whether it did. */
bool stele_line_holder_is_gone(_Atomic uint64_t *lock, uint64_t seen);

#endif
