/* SPDX-License-Identifier: MIT */
/*
 * page/areas.h - areas that are opened, closed and searched, and frames of theirs
 */
#ifndef STELE_PAGE_AREAS_H
#define STELE_PAGE_AREAS_H

#include "page/heap.h"
#include "page/open.h"
#include <errno.h>

/* ---- in one thread's hands: for areas.c, rows.c and close.c ---- */

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
/* BUSY -> CLOSED or NEW -> OPEN, true; MET -> FOREIGN, false. */
bool stele_area_let_go(uint32_t number);
/* For an area that one thread owns and has unmapped: the next mapping reads as zero. Returns how
 * many frames were dirty. */
uint64_t stele_area_clear_dirty(uint32_t number);
/* Areas below @end, which were never opened, can be found. The tables cover them. */
void stele_areas_skip_to(struct stele_zone *zone, uint32_t end);
/* Maps areas that are BUSY. 0; -EEXIST: something else is mapped there; -ENOMEM. */
int stele_areas_map(uint32_t first, uint32_t n);
/* The same, and unmaps them. If the system refuses that, they are NEW. */
int stele_areas_probe(uint32_t first, uint32_t n);
/* Areas that are NEW become BUSY, unless the system refuses. */
void stele_areas_unmap_new(uint32_t first, uint32_t n);
/* Something else is mapped in areas that are BUSY: the first row of such areas becomes MET.
 * -EEXIST: that is done, or nothing is there any more, and the caller may try again. -ENOMEM: the
 * system refuses to tell. */
int stele_areas_mark_met(uint32_t first, uint32_t n);

/* ---- rooms.c ---- */

extern _Atomic uint32_t stele_room_tops[] __attribute__((visibility("hidden")));

/* An area's word lies behind its count. */
static inline struct rooms area_rooms(void)
{
	return (struct rooms){ area_count(0) + 1,
			       (_Atomic uint32_t *)(stele_hot.base + stele_heap.groups_at),
			       stele_room_tops };
}

/* Frames of an area were returned. */
void stele_room_freed(uint32_t number, unsigned first, unsigned n);
/* An area was opened. */
void stele_room_opened(uint32_t number);
/* The caller found no row of this class in an area. If the area's word promises one, this corrects the
 * word. */
void stele_room_look(uint32_t number, unsigned class);
/* The lowest free row of more frames than an area has, in areas that are open, or -1. The search
 * begins at area *from, and moves *from behind the row. */
int64_t stele_long_find(const struct stele_zone *zone, uint32_t *from, unsigned frames,
			unsigned align);
unsigned stele_free_at_end(uint32_t number);
unsigned stele_free_at_start(uint32_t number);
#define ROOM_BORDER 17u	      /* frames of a row that may lie over a border: longer than any slab */
#define ROOM_BORDER_CLASS 11u /* of such a row at least */

/* ---- whole areas ---- */

static inline struct area_hints area_hints(void)
{
	return (struct area_hints){ (_Atomic uint64_t *)(stele_hot.base + stele_heap.hints_at),
				    (_Atomic uint64_t *)(stele_hot.base + stele_heap.bits_at) };
}

/* Whether the heap has mapped the area, which may be of no zone: a look. Of areas that nobody opened yet
 * the tables say nothing. */
static inline bool area_is_mapped(const struct stele_zone *zone, uint32_t number)
{
	uint32_t count;

	/* ORDER(SPAN) acquire: the areas below were opened. */
	if (number < zone->first || number >= load_acquire(&((struct stele_zone *)zone)->high))
		return false;
	count = load_relaxed(area_count(number));
	return count != AREA_CLOSED && count != AREA_FOREIGN;
}

/* areas.c: opens some areas of a zone, which are then empty, for any thread; the first one, or -1. */
int64_t stele_areas_open(struct stele_zone *zone);
/*
 * rows.c. The first takes a row of @n whole areas of @zone that starts at a multiple of @align. It
 * opens closed areas of the row, or (ROW_FRESH) maps the row anew as one mapping. ROW_ANYWHERE: the
 * row may lie beside areas that are SOON free. The counts are AREA_HUGE afterwards. The second does
 * so in the zones that @where allows, and waits a little for other threads' areas.
 */
enum { ROW_FRESH = 1, ROW_ANYWHERE = 2 };
int64_t stele_areas_take(struct stele_zone *zone, uint32_t n, uint32_t align, unsigned how);
int64_t stele_areas_find(unsigned where, uint32_t n, uint32_t align, unsigned how);
/* Opens the lowest row of @n areas that are empty or closed, and leaves it empty to any thread. The
 * first area of the row, or -1. */
int64_t stele_areas_open_row(unsigned where, uint32_t n);
/* Takes the areas [first, first+n), which lie behind a block. The counts are AREA_HUGE then. */
bool stele_areas_take_at(uint32_t first, uint32_t n);
/* The same for areas behind a block that is one mapping of its own, which then contains them. */
bool stele_areas_take_behind(struct run *run, uint32_t n);
/* The first gives areas back that are the caller's as a whole, and leaves them open. The second
 * unmaps them. */
void stele_areas_return(uint32_t first, uint32_t n);
bool stele_areas_close(uint32_t first, uint32_t n); /* false: the system refuses; nothing is done */
/* Gives back areas that are not mapped any more. How many of their frames were dirty. */
uint64_t stele_areas_gone(uint32_t first, uint32_t n);
void stele_areas_lost(uint32_t first, uint32_t n); /* something else may be mapped there */
/* Frames of areas [first, first+n) that may not read as zero. */
uint64_t stele_areas_dirty(uint32_t first, uint32_t n);
/* The last frames of an area were returned. */
void stele_area_emptied(uint32_t number);
/* close.c: unmaps all empty areas; whether there are more than may stay where @kept frames may; and
 * unmaps some of these, so many frames. */
void stele_areas_close_empty(void);
bool stele_areas_many(uint64_t kept);
uint64_t stele_areas_close_some(uint64_t kept);
void stele_areas_tick(void);
/* Gives a row of empty areas, which are SOON, back by one system call, and lets go of them: purges
 * the row, or (close) unmaps it if that leaves no short hole. False: the system refuses. */
bool stele_areas_give_row(uint32_t first, uint32_t n, bool close);
/* Whether they are a mapping of their own, and a small part of all. */
bool stele_areas_are_island(uint32_t first, uint32_t n);
/* Before NULL is the answer: areas that were FOREIGN may be free by now. False: there are none. */
bool stele_areas_look_again(struct stele_zone *zone);
/* Whether areas are in the hands of a thread that opens, closes or purges them; a glance. A child of
 * fork() may be told so for good. */
bool stele_areas_busy(void);

/* Searches the zone of the wanted node, then the others unless WHERE_ONLY is set, the nearest first. Returns
 * the last answer of @find: a number, or -1: nothing is there. */
typedef int64_t zone_find(struct stele_zone *zone, const void *wanted);
int64_t stele_zones_find(unsigned where, zone_find *find, const void *wanted);
/* For a call that would answer NULL. Another thread may have free areas in its hands, to purge,
 * open or close them. The call yields to it a few times, and searches again each time. A thread
 * that never gives its areas back costs the others these turns. */
int64_t stele_zones_find_late(unsigned where, zone_find *find, const void *wanted);
/* Tells the call above that a thread has areas in its hands (1), or has them no more (-1). */
void stele_areas_in_hand(int more);

/* ---- frames of an area ---- */

/* OPEN and empty -> @state (HUGE or SOON), for the caller. */
static inline bool area_take_empty(uint32_t number, uint32_t state)
{
	if (!area_take_whole(area_count(number), state))
		return false;
	sub_relaxed(&stele_heap.empty, 1);
	return true;
}

static inline bool frames_claim(uint32_t number, unsigned n)
{
	uint32_t before = area_claim(area_count(number), n);

	if (before == AREA_OPEN)
		sub_relaxed(&stele_heap.empty, 1);
	return before;
}

/* For frames that were claimed, or taken, in area @number. */
static inline void frames_unclaim(uint32_t number, unsigned n)
{
	if (area_unclaim(area_count(number), n))
		stele_area_emptied(number);
}

static inline void frames_return(uint32_t number, unsigned first, unsigned n)
{
	if (area_return(area_at(number), area_count(number), first, n))
		stele_area_emptied(number);
	stele_room_freed(number, first, n);
}

#endif
