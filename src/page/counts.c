/* SPDX-License-Identifier: MIT */
/*
 * page/counts.c - how many frames are in use, or free and dirty
 *
 * Idea      see page/counts.h. page/keep.c decides by these numbers what goes back to the system.
 * Context   any.
 * Tests     tests/unit/page/test_purge.c
 */
#include "page/counts.h"
#include "base/basics.h"
#include "page/heap.h"
#include "page/run.h"

struct stele_counts stele_counts;

uint64_t stele_dirty_free(void)
{
	return frames_dirty();
}

uint64_t stele_areas_of_node(unsigned node)
{
	return load_relaxed(&stele_heap.zones[node].high) - stele_heap.zones[node].first;
}

static uint64_t areas_opened(void)
{
	uint64_t n = 0;

	for (unsigned node = 0; node < stele_nodes.count; node++)
		n += stele_areas_of_node(node);
	return n;
}

struct stele_page_stats stele_page_stats(void)
{
	return (struct stele_page_stats){
		.used = used_in_word(load_relaxed(&stele_counts.frames)) * FRAME_SIZE,
		.dirty_free = frames_dirty() * FRAME_SIZE,
		.areas = areas_opened(),
	};
}

/* ---- what is told ---- */

/* Clean frames were taken: those that were purged lately would have served. */
static void look_for_gone(uint64_t clean)
{
	uint64_t seen = load_relaxed(&stele_counts.gone), again = STELE_MIN(clean, seen);

	if (stele_likely(!again) || !cas_relaxed(&stele_counts.gone, &seen, seen - again))
		return;
	add_relaxed(&stele_counts.wanted, again);
	add_relaxed(&stele_counts.back, again);
}

static void note_low(uint64_t word)
{
	int64_t dirty = dirty_in_word(word);

	if (dirty < (int64_t)load_relaxed(&stele_counts.lowest))
		store_relaxed(&stele_counts.lowest, dirty > 0 ? (uint64_t)dirty : 0);
}

static void note_peak(uint64_t all)
{
	if (all > load_relaxed(&stele_counts.peak))
		store_relaxed(&stele_counts.peak, all);
}

void stele_frames_taken(uint64_t frames, uint64_t dirty)
{
	uint64_t more = (frames << 32) - dirty;

	note_low(add_relaxed(&stele_counts.frames, more) + more);
	look_for_gone(frames - dirty);
}

void stele_counts_returned(uint64_t frames)
{
	uint64_t before = sub_relaxed(&stele_counts.frames, (frames << 32) - frames);

	note_peak(used_in_word(before) + load_relaxed(&stele_counts.huge));
}

void stele_huge_taken(uint64_t frames, uint64_t dirty)
{
	note_low(sub_relaxed(&stele_counts.frames, dirty) - dirty);
	note_peak(add_relaxed(&stele_counts.huge, frames) + frames +
		  used_in_word(load_relaxed(&stele_counts.frames)));
	look_for_gone(frames - STELE_MIN(dirty, frames));
}

void stele_huge_returned(uint64_t frames)
{
	sub_relaxed(&stele_counts.huge, frames);
}

void stele_dirty_purged(uint64_t frames)
{
	sub_relaxed(&stele_counts.frames, frames);
	add_relaxed(&stele_counts.gone, frames);
}

uint64_t stele_counts_look(void)
{
	return load_relaxed(&stele_counts.frames);
}

void stele_counts_mend(uint64_t seen, uint64_t dirty)
{
	uint64_t wrong = dirty - (uint64_t)dirty_in_word(seen);

	if (wrong)
		cas_relaxed(&stele_counts.frames, &seen, seen + wrong);
}
