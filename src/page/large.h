/* SPDX-License-Identifier: MIT */
/*
 * page/large.h - what large.c and resize.c share
 */
#ifndef STELE_PAGE_LARGE_H
#define STELE_PAGE_LARGE_H

#include "page/heap.h"
#include "page/map.h"
#include "page/run.h"

#define LARGE_FRAMES (AREA_FRAMES - 1)
#define KEEP_MAX (32ul << 20)
#define LONG_FRAMES (unsigned)(KEEP_MAX / FRAME_SIZE) /* of a row that may be longer than an area */

static inline uint32_t areas_for(size_t bytes)
{
	return (uint32_t)((bytes + AREA_SIZE - 1) / AREA_SIZE);
}

/* More than there is, in the system's own judgement. */
bool stele_large_absurd(size_t bytes);
/* Frames of areas [first, first+n) that may not read as zero. */
uint64_t stele_areas_dirty(uint32_t first, uint32_t n);
/* Whole areas for a block of @bytes, with a descriptor that is not on the map; and (begin) they are
 * ready for their user, zero if @zero. */
struct run *stele_huge_run(size_t bytes, size_t align, unsigned how, unsigned where);
struct run *stele_huge_begin(struct run *run, bool zero);
/* The block is off the map, and its descriptor is given back: its areas are left. */
void stele_huge_forget(struct run *run);
void stele_huge_free(struct run *run, enum effort effort);
/* Areas that a block leaves, @bytes of them touched. Big ones are unmapped at once, and so are those
 * of a mapping of its own, which would never be one with its neighbours again. */
void stele_areas_retire(uint32_t first, uint32_t n, size_t bytes, bool own, enum effort effort);

#endif
