/* SPDX-License-Identifier: MIT */
/*
 * percpu/close.c - slots that come and go, and slots that no thread seems to use
 *
 * Idea      A slot is closed when its CPU was taken away, and paused when it is emptied because it
 *           is cold: its entry of slots[] then leads to a block without sheaves (percpu/show.h).
 *           A barrier ends the steps in flight. Then no step can reach its memory, and all words of
 *           all caches are emptied by plain exchanges, without a mark.
 *           In the fallback each line is emptied under its own lock instead, and nothing pauses.
 * Order     SLOT, SLOT_READY: percpu/show.h
 * Tests     tests/model/show.c  tests/unit/percpu/test_hotplug.c  tests/model/hotplug.pml
 */
#include "os/os.h"
#include "percpu/take.h"
#include "sync/inject.h"

/* ORDER(SLOT_READY) acquire: its words are filled in. */
bool stele_slot_is_shown(unsigned slot)
{
	return load_acquire(slot_entry(slot)) == slot_memory(slot);
}

/* ---- a slot whose CPU goes and comes; by the writer of the CPU set ---- */

/* By the taker, so that no mark is anywhere and the slot is not paused. */
static int close_slot(unsigned slot)
{
	uint64_t was = show_close(slot_entry(slot), slot_closed());
	int error = 0;

	STELE_POINT("slot:hidden");
	/* ORDER(SLOT) the barrier ends every step that had found the slot's memory. */
	if (was == slot_memory(slot) && slots_by_sequence())
		error = stele_os_membarrier();
	if (error)
		show_unclose(slot_entry(slot), slot_closed(), was);
	return error;
}

int stele_slot_close(unsigned slot)
{
	int error;

	if (!stele_begin_taking(true))
		return -EDEADLK;
	error = close_slot(slot);
	stele_end_taking();
	return error;
}

void stele_slot_open(unsigned slot)
{
	show_open(slot_entry(slot), slot_closed(), slot_unused());
}

/* ---- emptying, by the taker ---- */

static void empty_line(unsigned slot, uint64_t words, bool wait, uint64_t found[3])
{
	uint64_t line = slot_memory_begun(slot) + words;

	if (line == words)
		return;
	if (slots_by_sequence()) {
		take_unreached(line, found);
	} else {
		stele_take_locked(line, &take_line, wait, found);
	}
}

/* A slot that is open is in use: its step of the way up was refused, and is undone. */
void stele_slot_empty(unsigned slot, uint64_t words, uint64_t found[3])
{
	if (!stele_begin_taking(true))
		return;
	if (stele_slot_is_closed(slot) || !slots_by_sequence())
		empty_line(slot, words, true, found);
	stele_end_taking();
}

/* ---- a slot that no thread seems to use ---- */

static bool pause_slot(unsigned slot)
{
	if (!show_pause(slot_entry(slot), slot_memory(slot), slot_paused()))
		return false;
	STELE_POINT("slot:paused");
	/* ORDER(SLOT) the barrier ends every step that had found the slot's memory. */
	if (stele_os_membarrier() == 0)
		return true;
	show_again(slot_entry(slot), slot_paused(), slot_memory(slot));
	return false;
}

static void with_pause(unsigned slot, void (*each)(unsigned, void *), void *arg)
{
	if (!pause_slot(slot))
		return;
	each(slot, arg);
	show_again(slot_entry(slot), slot_paused(), slot_memory(slot));
}

/* In the fallback each line is locked for itself; without its slot a thread would move to another
 * one. */
bool stele_slot_empty_cold(unsigned slot, void (*each)(unsigned, void *), void *arg)
{
	if (!stele_slot_is_shown(slot) || !stele_begin_taking(false))
		return false;
	if (slots_by_sequence())
		with_pause(slot, each, arg);
	else if (stele_slot_is_shown(slot))
		each(slot, arg);
	stele_end_taking();
	return true;
}

void stele_slot_empty_held(unsigned slot, uint64_t words, uint64_t found[3])
{
	empty_line(slot, words, false, found);
}

bool stele_slot_sum(unsigned slot, uint32_t *at, unsigned most, uint64_t *sum)
{
	uint64_t base = slot_memory_begun(slot);
	uint32_t high = load_relaxed(&stele_slots.high), end = *at + most * 8;

	end = STELE_MIN(end, high);
	for (; base && *at < end; *at += 8) {
		uint64_t word = load_relaxed(word_at(base, *at));

		if (*at % STELE_WORDS_SIZE != WORD_LOCK && stele_is_sheaf(word))
			*sum = (*sum << 5 | *sum >> 59) + word;
	}
	return !base || end == high;
}
