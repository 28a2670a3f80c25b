/* SPDX-License-Identifier: MIT */
/*
 * page/dirty.h - which free frames do not read as zero, and rows of them to purge
 *
 * Idea      One bit for each frame of an area. The owner of a frame sets it when it takes the frame,
 *           since it will write there, and learns whether it was set. A purger owns the frames that it
 *           purges, and clears their bits before it returns them. A word has the bits of frames of
 *           several owners, so bits change by read-modify-writes alone.
 * States    a bit may be set for a frame that reads as zero; it must not be clear for one that does not.
 * Order     AREA: a bit travels with its frame, from an owner that returns it to the next one.
 * Context   any.
 * Tests     tests/model/purge.c, tests/unit/page/test_purge.c
 */
#ifndef STELE_PAGE_DIRTY_H
#define STELE_PAGE_DIRTY_H

#include "base/basics.h"
#include "page/area.h"
#include <string.h>

/* The caller owns [first, first+n). How many of them may not have read as zero. */
static inline unsigned dirty_set(struct area *area, unsigned first, unsigned n)
{
	unsigned already = 0, end = first + n;

	while (first < end) {
		unsigned here = STELE_MIN(64 - first % 64, end - first);
		uint64_t mask = bits_mask(first % 64, here);
		uint64_t old = load_relaxed(&area->dirty[first / 64]);

		STELE_POINT("dirty:set");
		if ((old & mask) != mask)
			old = or_relaxed(&area->dirty[first / 64], mask);
		already += stele_popcount(old & mask);
		first += here;
	}
	return already;
}

/* The caller owns [first, first+n) at @memory: all of it reads as zero then. */
static inline void dirty_zero(struct area *area, unsigned first, unsigned n, char *memory)
{
	for (unsigned i = first; i < first + n; i++, memory += FRAME_SIZE)
		if (load_relaxed(&area->dirty[i / 64]) >> i % 64 & 1)
			memset(memory, 0, FRAME_SIZE);
}

/* The caller owns [first, end), which reads as zero. How many were dirty. */
static inline unsigned dirty_clear(struct area *area, unsigned first, unsigned end)
{
	unsigned cleared = 0;

	for (unsigned here; first < end; first += here) {
		uint64_t mask;

		here = STELE_MIN(64 - first % 64, end - first);
		mask = bits_mask(first % 64, here);
		mask &= and_relaxed(&area->dirty[first / 64], ~mask);
		cleared += stele_popcount(mask);
	}
	return cleared;
}

/* The first frame from @from on whose bit in @words is @set; AREA_FRAMES if none. */
static inline unsigned next_frame(_Atomic uint64_t *words, unsigned from, bool set)
{
	for (; from < AREA_FRAMES; from = (from / 64 + 1) * 64) {
		uint64_t word = load_relaxed(&words[from / 64]);

		word = (set ? word : ~word) >> from % 64;
		if (word)
			return from + (unsigned)__builtin_ctzll(word);
	}
	return AREA_FRAMES;
}

struct row {
	unsigned first, end, dirty;
};

/*
 * The next row of free frames from @from on, from its first dirty one to its last; clean ones
 * between them cost less than a second call. Whole system pages of @page frames only. False: there
 * is none; otherwise @from is moved behind the free frames it lies in.
 */
static inline bool next_row(struct area *area, unsigned page, unsigned *from, struct row *row)
{
	unsigned start, end, first;

	for (; (start = next_frame(area->used, *from, false)) < AREA_FRAMES; *from = end) {
		end = next_frame(area->used, start, true);
		first = next_frame(area->dirty, start, true);
		row->end = first;
		row->dirty = 0;
		for (unsigned at = first; at < end; at = next_frame(area->dirty, row->end, true)) {
			row->end = STELE_MIN(next_frame(area->dirty, at, false), end);
			row->dirty += row->end - at;
		}
		if (first >= end)
			continue;
		row->end = STELE_MIN(STELE_ALIGN_UP(row->end, page), end / page * page);
		row->first = STELE_ALIGN_UP(STELE_MAX(first / page * page, start), page);
		if (row->first >= row->end)
			continue;
		*from = end;
		return true;
	}
	return false;
}

#endif
