/* SPDX-License-Identifier: MIT */
/*
 * percpu/slots.c - slots, their memory, and the lines of words in it
 *
 * Idea      A slot's memory is set up when the slot is first used, by the thread that runs there.
 *           Its words go from 0 to EMPTY by compare-and-swap, so two threads may fill a slot at the
 *           same time. A cache that is created meanwhile gets its words from its creator or from
 *           the thread that begins the slot (percpu/line.h). So a slot that is shown has every word
 *           that any thread can know of.
 *           Code that looks at slots from outside looks at all that were begun, shown or not.
 * States    of an entry of slots[]: percpu/show.h
 * Order     SLOT_READY, SLOT_HIGH, LINE: percpu/show.h, percpu/line.h
 * Context   any; stele_pcpu_init(): the thread that starts the heap.
 * Failure   memory for a slot cannot be mapped: the slot stays on the shared block and
 *           its threads work without sheaves.
 * Tests     tests/unit/percpu/  tests/model/slots.c  tests/model/line.c
 */
#include "percpu/slots.h"
#include "arch/rseq.h"
#include "base/valid.h"
#include "percpu/percpu.h"
#include "sync/atomic.h"
#include "sync/stretch.h"

struct stele_slots stele_slots = { .high = FIRST_WORDS };

#define LINES (STELE_SLOT_SIZE / STELE_WORDS_SIZE)
static _Atomic uint64_t lines_taken[LINES / 64];
static _Atomic uint64_t
	lines_left[LINES / 64]; /* taken by no cache, but something was left there */

/* ---- setting up ---- */

/* Words from @from to @to that are still 0. */
static void fill(uint64_t slot_base, uint32_t from, uint32_t to)
{
	for (uint32_t at = from; at < to; at += STELE_WORDS_SIZE) {
		word_fill(word_at(slot_base, at + WORD_MAIN), SHEAF_EMPTY);
		word_fill(word_at(slot_base, at + WORD_RCU), SHEAF_EMPTY);
	}
}

/* The block of slots that show nothing, two lines beyond @to for those that are paused. */
static void fill_unused(uint32_t from, uint32_t to)
{
	for (uint32_t at = from; at < to + 2 * STELE_WORDS_SIZE; at += STELE_WORDS_SIZE) {
		word_fill(word_at(slot_unused(), at + WORD_MAIN), SHEAF_UNINIT);
		word_fill(word_at(slot_unused(), at + WORD_SPARE), SHEAF_UNINIT);
		word_fill(word_at(slot_unused(), at + WORD_RCU), SHEAF_UNINIT);
	}
}

struct stele_stretch *stele_slot_room;

/* False: the system gives no memory for it. */
static bool slot_is_mapped(unsigned number)
{
	size_t end = (number + 1ul) * STELE_SLOT_SIZE;

	/* The slot of threads that are stepped lies in front of all tables. */
	return number == slot_of_stepped() || !stele_slot_room ||
	       stretch_reach(stele_slot_room, end, end) == 0;
}

/* Makes slot @number usable. */
static __attribute__((noinline, cold)) void slot_start(unsigned number)
{
	uint64_t mine = slot_memory(number);
	uint32_t end;

	if (!slot_is_mapped(number))
		return;
	if (number != slot_of_stepped())
		stele_node_of_new_slot(number);
	end = first_use_of_slot(&stele_slots.begun[number], &stele_slots.high);
	fill(mine, 0, end);
	STELE_SOUND(stele_slot_valid(number, true));
	STELE_POINT("slot:fill");
	show_first(slot_entry(number), slot_unused(), mine);
}

/* A line was given out: its words exist in every slot before anyone can use them. */
static void line_start(uint32_t line)
{
	uint32_t end = line + STELE_WORDS_SIZE;

	fill_unused(line, end);
	first_use_of_line(&stele_slots.high, end);
	for (unsigned slot = 0; slot <= stele_slots.count; slot++)
		if (slot_is_begun(&stele_slots.begun[slot]))
			fill(slot_memory(slot), line, end);
}

/* The steps find the shared block also where the system told of fewer processors than there are:
 * as many as cost no second page. */
#define SLOTS_AT_LEAST 512u

void stele_pcpu_init(char *memory, unsigned count)
{
	stele_slots.memory = memory;
	stele_slots.count = count;
	for (unsigned i = 0; i < 3; i++)
		*(uint64_t *)(uintptr_t)stele_sentinel(i) = STELE_SHEAF_END;
	for (unsigned slot = 0; slot <= STELE_MAX(count, SLOTS_AT_LEAST); slot++)
		store_relaxed(slot_entry(slot), slot_unused());
	fill_unused(0, FIRST_WORDS);
	or_relaxed(&lines_taken[0], 1);
}

/* ---- lines ---- */

static uint64_t take_line(void)
{
	for (unsigned i = 0; i < LINES / 64; i++) {
		int bit = line_take(&lines_taken[i]);

		if (bit >= 0)
			return (i * 64ull + (unsigned)bit) * STELE_WORDS_SIZE;
	}
	return 0;
}

static bool word_is_free(uint64_t value)
{
	return !value || value == SHEAF_EMPTY;
}

bool stele_line_holder_is_gone(_Atomic uint64_t *lock, uint64_t seen)
{
	return stele_thread_is_gone(line_holder(seen)) && line_free_gone(lock, seen);
}

static bool line_is_unlocked(uint64_t line)
{
	word_t *lock = word_at(line, WORD_LOCK);
	uint64_t seen = load_relaxed(lock);

	return !seen || stele_line_holder_is_gone(lock, seen);
}

/* Whether nothing is left of the line in any slot. A taker that was refused the barrier leaves
 * sheaves there, and a thread that never came back leaves a lock until it is gone. */
static bool line_is_free(uint64_t words)
{
	for (unsigned slot = 0; slot <= stele_slots.count; slot++) {
		uint64_t base = slot_memory_begun(slot), line = base + words;

		if (base && !(word_is_free(load_relaxed(word_at(line, WORD_MAIN))) &&
			      word_is_free(load_relaxed(word_at(line, WORD_SPARE))) &&
			      word_is_free(load_relaxed(word_at(line, WORD_RCU))) &&
			      line_is_unlocked(line)))
			return false;
	}
	return true;
}

void stele_pcpu_free(uint64_t words)
{
	uint64_t line = words / STELE_WORDS_SIZE;

	/* A sheaf there has the size that the old cache gave it. */
	if (line_is_free(words))
		line_give(&lines_taken[line / 64], line % 64);
	else
		or_relaxed(&lines_left[line / 64], 1ull << line % 64);
}

/* Looks again at the lines in which something was left. */
static void free_lines_left(void)
{
	for (uint64_t line = 0; line < LINES; line++) {
		uint64_t bit = 1ull << line % 64;

		if (load_relaxed(&lines_left[line / 64]) & bit &&
		    and_relaxed(&lines_left[line / 64], ~bit) & bit)
			stele_pcpu_free(line * STELE_WORDS_SIZE);
	}
}

uint64_t stele_pcpu_alloc(void)
{
	uint64_t line = take_line();

	if (!line) {
		free_lines_left();
		line = take_line();
	}
	if (line)
		line_start((uint32_t)line);
	return line;
}

/* ---- this thread's slot ---- */

/* Slot numbers are below the count but for a thread that is not registered: no division here. */
unsigned stele_slot_now(void)
{
	unsigned slot = slots_by_sequence() ? step_slot(stele_rseq.id) : stele_thread_slot();

	return stele_likely(slot < stele_slots.count) ? slot : 0;
}

unsigned stele_node_here_slow(void)
{
	return stele_node_of_slot(stele_slot_now());
}

bool stele_slot_is_closed(unsigned slot)
{
	return slot_is_closed(slot);
}

/* In the fallback: another slot than this closed one. False: there is none. */
static bool move_to_open_slot(unsigned slot)
{
	for (unsigned i = 1; i < stele_slots.count; i++) {
		unsigned other = (slot + i) % stele_slots.count;

		if (!stele_slot_is_closed(other)) {
			stele_thread_move(other);
			return true;
		}
	}
	return false;
}

/* This thread's slot is not shown. True: now it is, or another one will do. A pause is over soon:
 * until then the thread does without. */
/* ORDER(SLOT_READY) acquire: this thread sees all that the last thread to change the entry did. */
__attribute__((noinline, cold)) bool stele_slot_come_up(unsigned slot)
{
	uint64_t entry = load_acquire(slot_entry(slot));

	if (entry == slot_paused())
		return false;
	if (entry == slot_closed()) {
		if (slots_by_sequence() || !move_to_open_slot(slot))
			return false;
		slot = stele_thread_slot();
	}
	if (load_acquire(slot_entry(slot)) == slot_unused())
		slot_start(slot);
	return load_acquire(slot_entry(slot)) != slot_unused();
}

bool stele_slot_ready(void)
{
	unsigned slot;

	if (stele_unlikely(step_area(stele_rseq.area)->cpu_id < 0) && !stele_thread_register())
		return false;
	slot = stele_slot_now();
	/* ORDER(SLOT_READY) acquire: its words. */
	return stele_likely(slot_has_sheaves(load_acquire(slot_entry(slot)))) ||
	       stele_slot_come_up(slot);
}

/* ---- whether a slot holds together ---- */

/* 0: the slot or the line is being set up; of a spare: there is none. */
static bool word_is_known(uint64_t word, enum stele_word which, bool marked)
{
	if (stele_is_sheaf(word) && word % sizeof(word) == 0)
		return true;
	return !word || word == nothing_in(which) || (marked && word == SHEAF_REMOTE);
}

/* Each word is looked at once, so the answer counts beside threads that use the slot. */
const char *stele_slot_valid(unsigned slot, bool marked)
{
	uint64_t base = slot_memory_begun(slot);
	uint32_t end = load_relaxed(&stele_slots.high);

	for (uint32_t at = 0; base && at < end; at += STELE_WORDS_SIZE) {
		for (enum stele_word which = WORD_MAIN; which < WORD_LOCK; which += WORD_SPARE)
			STELE_HOLDS(word_is_known(load_relaxed(word_at(base, at + which)), which,
						  marked),
				    "slot: a word is no sheaf and no mark that it may have");
		STELE_HOLDS(!(load_relaxed(word_at(base, at + WORD_LOCK)) & ~LINE_LOCK_BITS),
			    "slot: the lock of a line names no thread");
	}
	return NULL;
}

bool stele_slot_words(unsigned slot, uint64_t words, uint64_t found[3])
{
	uint64_t base = slot_memory_begun(slot);

	for (uint64_t i = 0; base && i < 3; i++)
		found[i] = load_relaxed(word_at(base, words + i * WORD_SPARE));
	return base;
}
