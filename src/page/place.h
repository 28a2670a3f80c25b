/* SPDX-License-Identifier: MIT */
/*
 * page/place.h - how the heap gets its place, at the start
 *
 * Context   the thread that starts the heap, but for stele_is_never_given().
 */
#ifndef STELE_PAGE_PLACE_H
#define STELE_PAGE_PLACE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Chooses the place of the arena and of all that belongs to it, for so many slots. 0 or -ENOMEM. */
int stele_heap_place(unsigned slots);
/* Among how many of @count nodes, some with @memory, @arena can be divided (1: it cannot). */
unsigned stele_zones_fit(size_t arena, unsigned count, uint64_t memory, uint64_t ram);

/* heap.c: fills in the offsets for an arena of @arena bytes; returns the whole size. */
size_t stele_heap_lay_out(size_t arena, unsigned slots);
/* Maps the first pieces there. 0 or -errno. */
int stele_heap_map_at(uintptr_t base);
/* The heap is there: tells the floors below and the fast paths. */
void stele_heap_begin(unsigned slots);
/* Whether @p lies in memory that no program gets, or outside of the arena. */
bool stele_is_never_given(const void *p);

#endif
