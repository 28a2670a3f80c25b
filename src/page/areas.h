/* SPDX-License-Identifier: MIT */
/*
 * page/areas.h - what areas.c, rows.c and close.c share: areas in one thread's hands
 */
#ifndef STELE_PAGE_AREAS_H
#define STELE_PAGE_AREAS_H

#include "page/heap.h"
#include <errno.h>

/* As BUSY: mapped by the thread that has it so, for a row that is not complete. */
#define AREA_NEW 16386u

/* Around having areas BUSY: signals are held back. */
uint64_t stele_areas_begin(void);
void stele_areas_end(uint64_t signals);

/* CLOSED -> BUSY, for the caller. */
static inline bool area_grab(uint32_t number)
{
	return area_begin(area_count(number));
}

/* BUSY, NEW, HUGE or SOON -> OPEN or CLOSED. */
void stele_area_show_whole(uint32_t number, uint32_t state);
/* For an area that one thread owns and has unmapped: the next mapping reads as zero. Returns how
 * many frames were dirty. */
uint64_t stele_area_clear_dirty(uint32_t number);
/* Maps areas that are BUSY. 0 or -errno. */
int stele_areas_map(uint32_t first, uint32_t n);
/* Something else is mapped in areas that are BUSY: marks those as FOREIGN that follow each other. */
void stele_areas_mark_foreign(uint32_t first, uint32_t n);

#endif
