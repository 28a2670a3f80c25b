/* SPDX-License-Identifier: MIT */
/*
 * page/large.h - blocks of whole areas (huge.c), for large.c and resize.c
 */
#ifndef STELE_PAGE_LARGE_H
#define STELE_PAGE_LARGE_H

#include "base/basics.h"
#include "base/layout.h"
#include <stdbool.h>
#include <stddef.h>

struct run;

#define LARGE_FRAMES (AREA_FRAMES - 1)
#define KEEP_MAX (32ul << 20)
#define LONG_FRAMES (unsigned)(KEEP_MAX / FRAME_SIZE) /* of a row that may be longer than an area */

/* Whole areas for a block of @bytes, with a descriptor that is not on the map; and (begin) they are
 * ready for their user, zero if @zero. */
struct run *stele_huge_run(size_t bytes, size_t align, unsigned how, unsigned where);
struct run *stele_huge_begin(struct run *run, bool zero);
void stele_huge_free(struct run *run, enum effort effort);
/* Makes the block so many bytes long. False: areas behind it are not free, and nothing is done. */
bool stele_huge_resize_in_place(struct run *run, size_t bytes);
/* Moves the block to a place of node @where, and reports the move. NULL: nothing is done. */
void *stele_huge_move(struct run *run, size_t bytes, unsigned where);

#endif
