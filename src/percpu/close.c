/* SPDX-License-Identifier: MIT */
/*
 * percpu/close.c - slots that come and go, and slots that no thread seems to use
 *
 * Idea      A slot is closed when its CPU was taken away, and paused when it is emptied because it
 *           is cold: its entry of slots[] then leads to a block without sheaves (percpu/show.h).
 *           A barrier ends the steps in flight. Then no step can reach its memory, and all words of
 *           all caches are emptied by plain exchanges, without a mark.
 *           In the fallback each line is emptied under its own lock instead, and nothing pauses.
 *           The steps are in percpu/close.h.
 * Order     SLOT, SLOT_READY: percpu/show.h
 * Context   see percpu/close.h; whether a slot is shown, and what its words tell: any.
 * Tests     tests/model/show.c  tests/model/take.c  tests/model/pairs.c  tests/model/hotplug.pml
 *           tests/unit/percpu/test_hotplug.c
 */
#include "percpu/close.h"
#include "base/valid.h"

bool stele_slot_is_shown(unsigned slot)
{
	return slot_is_shown(slot);
}

int stele_slot_close(unsigned slot)
{
	int error = close_slot(slot);

	STELE_SOUND(stele_slot_valid(slot, true));
	return error;
}

void stele_slot_open(unsigned slot)
{
	STELE_SOUND(stele_slot_valid(slot, true));
	open_slot(slot);
}

void stele_slot_empty(unsigned slot, uint64_t words, uint64_t found[3])
{
	empty_closed(slot, words, found);
}

bool stele_slot_empty_cold(unsigned slot, void (*each)(unsigned, void *), void *arg)
{
	return empty_paused(slot, each, arg);
}

void stele_slot_empty_held(unsigned slot, uint64_t words, uint64_t found[3])
{
	empty_line(slot, words, EFFORT_USUAL, found);
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
