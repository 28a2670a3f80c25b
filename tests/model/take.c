/* SPDX-License-Identifier: MIT */
/*
 * tests/model/take.c - percpu/take.h: MAIN and SPARE of several slots are taken, each sheaf once
 *
 * Idea      Two slots. A user pops, moves SPARE to MAIN and puts a sheaf back, by steps on slot 0. A
 *           taker marks and takes both words of both slots. A third thread pauses slot 0 for a
 *           cold look and empties it. Each object has one holder at a time; at the end objects and
 *           sheaves are counted. Runs the shipped code.
 * Broken    TAKE_BARRIER  no barrier: a step commits over what was taken
 *           TAKE_TAKERS   a taker beside a cold look: one drops what the other has marked
 *           TAKE_PAUSE    a cold look without a pause: plain exchanges beside steps
 */
#define STELE_SLOT_SHIFT 7
#define MODEL_THREADS 3
#include "slot.h"
#include "percpu/take.h"

#define LINE 32u /* of words, in each slot */
enum { HERE };	 /* the user's slot */

struct stele_slots stele_slots;
struct stele_system stele_system_facts;
static uint64_t slot_bytes[SLOTS << STELE_SLOT_SHIFT >> 3] __attribute__((aligned(128)));
static _Atomic uint64_t entry; /* of slot HERE */
static _Atomic uint32_t taking;

static word_t *word_of(unsigned slot, enum stele_word which)
{
	return word_at(slot_memory(slot) + LINE, which);
}

int stele_os_membarrier(void)
{
#ifndef BROKEN_TAKE_BARRIER
	model_membarrier();
#endif
	return 0;
}

static bool begin_taking(void)
{
#ifdef BROKEN_TAKE_TAKERS
	return true;
#else
	uint32_t no = 0;

	return cas_acquire(&taking, &no, 1);
#endif
}

static void end_taking(void)
{
	store_release(&taking, 0);
}

/* ---- steps on slot HERE ---- */

/* The committing store of a step. An exchange, as a checker takes two plain ones for a mistake. */
static void commit(word_t *word, uint64_t value)
{
	atomic_exchange_explicit(word, value, memory_order_relaxed);
}

static bool enter(void)
{
	if (!step_enter(&slots[HERE]))
		return false;
	if (load_acquire(&entry) == slot_memory(HERE))
		return true;
	step_leave(&slots[HERE]);
	return false;
}

static uint64_t pop(void)
{
	word_t *word = word_of(HERE, WORD_MAIN);
	uint64_t top, object;

	if (!enter())
		return 0;
	top = load_relaxed(word);
	object = *(uint64_t *)(uintptr_t)(top - 8);
	STELE_POINT("model:pop");
	if (object)
		commit(word, top - 8);
	step_leave(&slots[HERE]);
	return object;
}

static bool cas(enum stele_word which, uint64_t old, uint64_t new)
{
	word_t *word = word_of(HERE, which);
	bool done;

	if (!enter())
		return false;
	done = load_relaxed(word) == old;
	STELE_POINT("model:cas");
	if (done)
		commit(word, new);
	step_leave(&slots[HERE]);
	return done;
}

/* As the slow way does when MAIN is empty: SPARE takes its place. */
static void swap_in_spare(void)
{
	uint64_t top = load_relaxed(word_of(HERE, WORD_SPARE));

	if (!stele_is_sheaf(top) || !cas(WORD_SPARE, top, 0))
		return;
	if (!cas(WORD_MAIN, SHEAF_EMPTY, top) && !cas(WORD_SPARE, 0, top))
		sheaf_flush(top);
}

static void user(int me)
{
	uint64_t object = pop();

	if (object) {
		payload_take(&objects[object], me);
		STELE_POINT("model:held");
		payload_leave(&objects[object], me);
		object_give(object);
	}
	swap_in_spare();
}

/* ---- takers ---- */

static void flush(uint64_t top)
{
	if (stele_is_sheaf(top))
		sheaf_flush(top);
}

static void take(void)
{
	uint64_t found[TAKE_SLOTS][2] = { { 0 } };

	if (!begin_taking())
		return;
	take_marked(LINE, &take_words, 0, SLOTS, found);
	end_taking();
	for (unsigned i = 0; i < SLOTS * 2; i++)
		flush(found[i / 2][i % 2]);
}

static bool pause(void)
{
#ifdef BROKEN_TAKE_PAUSE
	return true;
#else
	if (!show_pause(&entry, slot_memory(HERE), slot_paused()))
		return false;
	return stele_os_membarrier() == 0;
#endif
}

static void look(void)
{
	uint64_t found[3] = { 0 };

	if (!begin_taking())
		return;
	if (pause()) {
		take_unreached(slot_memory(HERE) + LINE, found);
		for (int i = 0; i < 3; i++)
			flush(found[i]);
		show_again(&entry, slot_paused(), slot_memory(HERE));
	}
	end_taking();
}

static void model_thread(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		if (me == 1)
			user(me);
		else if (me == 2)
			take();
		else
			look();
	}
}

/* A sheaf with @n objects. */
static uint64_t filled(int n)
{
	uint64_t top = sheaf_new();

	for (; n; n--, top += 8)
		*(uint64_t *)(uintptr_t)top = object_take();
	return top;
}

static void model_setup(void)
{
	slots_setup();
	stele_slots.memory = (char *)slot_bytes;
	stele_slots.count = SLOTS;
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		atomic_store(&stele_slots.begun[slot], 1);
		atomic_store(word_of(slot, WORD_RCU), SHEAF_EMPTY);
		atomic_store(word_of(slot, WORD_SPARE), slot ? 0 : filled(1));
		atomic_store(word_of(slot, WORD_MAIN), filled(1));
	}
	atomic_store(&entry, slot_memory(HERE));
	atomic_store(&taking, 0);
}

static void model_check(void)
{
	for (unsigned slot = 0; slot < SLOTS; slot++) {
		flush(load_relaxed(word_of(slot, WORD_MAIN)));
		flush(load_relaxed(word_of(slot, WORD_SPARE)));
	}
	model_assert(load_relaxed(&free_objects) == ((1ull << OBJECTS) - 1) << 1);
	model_assert(load_relaxed(&free_sheaves) == (1ull << SHEAVES) - 1);
}
