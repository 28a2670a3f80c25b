/* SPDX-License-Identifier: MIT */
/*
 * page/frames.h - free frames in a row (frames.c)
 *
 * Idea      Frames are counted from the arena's start, so a row may lie over the border of two areas.
 * Context   any.
 */
#ifndef STELE_PAGE_FRAMES_H
#define STELE_PAGE_FRAMES_H

#include "page/counts.h"
#include <stdbool.h>
#include <stdint.h>

/* The first of @frames frames that are taken for the caller, or -1. For a row that is longer than an
 * area (long.c): in areas that are open only; in as many areas as it needs, which are opened before; or,
 * where the answer would be NULL, with closed ones. */
int64_t stele_frames_find(unsigned where, unsigned frames, unsigned align);
int64_t stele_frames_find_long(unsigned where, unsigned frames, unsigned align);
int64_t stele_frames_find_opened(unsigned where, unsigned frames, unsigned align);
int64_t stele_frames_find_mixed(unsigned where, unsigned frames, unsigned align);
struct frames_wanted {
	unsigned frames, align;
};
/* Takes frames [frame, frame+n) by @take, an area's part at a time, or none. 0, or what @take answered. */
int stele_row_take_parts(uint64_t frame, unsigned n,
			 int (*take)(uint32_t number, unsigned first, unsigned n));
/* Takes frames [first, first+n) of one area that is open: 0, or -EAGAIN. */
int stele_row_take_part(uint32_t number, unsigned first, unsigned n);
/* The whole row, of areas that are open. */
bool stele_row_take(uint64_t frame, unsigned n);
/* The frames count as touched from now on. Returns how many of them did before. */
unsigned stele_row_touch(uint64_t frame, unsigned n);
/* Clears the frames that were touched. */
void stele_row_zero(uint64_t frame, unsigned n);
void stele_row_return(uint64_t frame, unsigned n);

/* Does what stele_row_touch() does. The frames count as in use as well. */
static inline unsigned row_taken(uint64_t frame, unsigned n)
{
	unsigned already = stele_row_touch(frame, n);

	stele_frames_taken(n, already);
	return already;
}

#endif
