/* SPDX-License-Identifier: MIT */
/*
 * page/long.c - rows of frames that are longer than an area
 *
 * Idea      The lowest row of frames that are free, in areas that are open (page/rooms.c). Where there
 *           is none, the caller may have as many areas opened as the row needs: the row then begins at
 *           the free end of the area before them, and leaves the rest to others. Where there is no
 *           row of whole areas either, a row may be made of the free end of an open
 *           area, areas that are closed, and the free start of the next one. Its closed areas are
 *           opened then, and belong to the caller as far as the row reaches.
 * Place     as in page/rows.c: a row that lies too high may leave no room for another one. So a row is
 *           taken from its last area down. A thread that loses it looks again from the same place on if
 *           that has changed, and goes on behind it otherwise.
 * Bound     in open areas LOOKS rows are tried, and areas are opened once. Only where the answer would be NULL a search looks at
 *           every area once, and again up to TRIES times when a row was lost. It does all of that again
 *           while other threads have areas in their hands (stele_zones_find_late()).
 * Order     AREA (page/open.h).
 * Context   any. Signals are held back while areas are BUSY.
 * Failure   -1; the frames of a row that is not complete are returned, and its areas stay open. If others
 *           take the areas that were opened for a row, the caller gets -1 as well.
 * Tests     tests/unit/page/test_long.c, tests/limits/two_blocks.c
 */
#include "os/os.h"
#include "page/areas.h"
#include "page/frames.h"
#include "page/where.h"

#define LOOKS 64u
#define TRIES 100u

/* ---- in open areas ---- */

/* From area @from on. */
static int64_t take_open(const struct stele_zone *zone, uint32_t from, unsigned frames,
			 unsigned align)
{
	int64_t frame, lost = -1;

	for (unsigned i = 0; i < LOOKS; i++) {
		uint32_t before = from;

		frame = stele_long_find(zone, &from, frames, align);
		if (frame < 0 || stele_row_take((uint64_t)frame, frames))
			return frame;
		if (frame != lost)
			from = before;
		lost = frame;
	}
	return -1;
}

int64_t stele_frames_find_long(unsigned where, unsigned frames, unsigned align)
{
	const struct stele_zone *zone = &stele_heap.zones[where_node(where)];

	return take_open(zone, zone->first, frames, align);
}

/* The row that is found begins in the area before those that were opened, if the end of that one is free. */
int64_t stele_frames_find_opened(unsigned where, unsigned frames, unsigned align)
{
	int64_t first = stele_areas_open_row(where, (frames + AREA_FRAMES - 1) / AREA_FRAMES);

	if (first < 0)
		return -1;
	return take_open(zone_of_area((uint32_t)first), (uint32_t)first, frames, align);
}

/* ---- with areas that are closed ---- */

/* Free frames at the start of an area; all of it if it is closed, too. */
static unsigned free_ahead(uint32_t number, uint32_t high)
{
	if (number >= high || load_relaxed(area_count(number)) == AREA_CLOSED)
		return AREA_FRAMES;
	return area_is_full(number) ? 0 : stele_free_at_start(number);
}

/* The lowest row from area @from on that looks free, or -1. ORDER(SPAN) acquire: of areas that were
 * opened. */
static int64_t find_mixed(struct stele_zone *zone, uint32_t from, unsigned frames, unsigned align)
{
	uint32_t high = load_acquire(&zone->high);
	uint64_t first = (uint64_t)from * AREA_FRAMES;

	for (uint32_t number = from; number < zone->end; number++) {
		uint64_t border = (uint64_t)number * AREA_FRAMES;
		unsigned here = free_ahead(number, high);

		if (border + here >= first + frames)
			return (int64_t)first;
		if (here == AREA_FRAMES)
			continue;
		first = border + AREA_FRAMES;
		if (!area_is_full(number))
			first = STELE_ALIGN_UP(first - stele_free_at_end(number), (uint64_t)align);
	}
	return -1;
}

/* Frames [first, first+n) of an area that is BUSY and mapped: it is open. */
static void show_part(uint32_t number, unsigned first, unsigned n)
{
	take_at(area_at(number), first, n);
	area_show(area_count(number), AREA_OPEN + n);
	/* The row begins behind the start where the area was open, and in use, when it was looked for. */
	if (first)
		stele_room_freed(number, 0, first);
	if (first + n < AREA_FRAMES)
		stele_room_freed(number, first + n, AREA_FRAMES - first - n);
}

/* Opens an area for the caller, which gets frames [first, first+n). 0; -EAGAIN: another thread was
 * faster, or the area is foreign; -ENOMEM. */
static int open_part(uint32_t number, unsigned first, unsigned n)
{
	int error;

	if (!area_grab(number))
		return -EAGAIN;
	error = stele_areas_map(number, 1);
	if (!error) {
		show_part(number, first, n);
		return 0;
	}
	if (error == -EEXIST)
		error = stele_areas_mark_met(number, 1);
	stele_area_let_go(number);
	return error == -EEXIST ? -EAGAIN : -ENOMEM;
}

/* 0, -EAGAIN or -ENOMEM. */
static int take_part(uint32_t number, unsigned first, unsigned n)
{
	if (load_relaxed(area_count(number)) == AREA_CLOSED)
		return open_part(number, first, n);
	return stele_row_take_part(number, first, n);
}

static int take_mixed(struct stele_zone *zone, uint64_t frame, unsigned n)
{
	uint32_t first = (uint32_t)(frame / AREA_FRAMES);
	uint32_t end = (uint32_t)((frame + n - 1) / AREA_FRAMES) + 1;
	uint64_t signals;
	int error;

	if (stele_heap_cover(first, end - first) != 0)
		return -ENOMEM;
	signals = stele_areas_begin();
	stele_areas_skip_to(zone, end);
	error = stele_row_take_parts(frame, n, take_part);
	stele_areas_end(signals);
	return error;
}

/* A row that was lost twice is passed over. */
static int64_t mixed_in_zone(struct stele_zone *zone, unsigned frames, unsigned align)
{
	uint32_t from = zone->first;
	int64_t frame, lost = -1;

	for (unsigned i = 0; i < TRIES; i++) {
		int error;

		frame = find_mixed(zone, from, frames, align);
		if (frame < 0)
			return -1;
		error = take_mixed(zone, (uint64_t)frame, frames);
		if (error != -EAGAIN)
			return error ? -1 : frame;
		if (frame == lost)
			from = (uint32_t)(frame / AREA_FRAMES) + 1;
		lost = frame;
	}
	return -1;
}

static int64_t take_mixed_wanted(struct stele_zone *zone, const void *arg)
{
	const struct frames_wanted *wanted = arg;

	return mixed_in_zone(zone, wanted->frames, wanted->align);
}

int64_t stele_frames_find_mixed(unsigned where, unsigned frames, unsigned align)
{
	struct frames_wanted wanted = { frames, align };
	int64_t frame = stele_zones_find(where, take_mixed_wanted, &wanted);

	return frame < 0 ? stele_zones_find_late(where, take_mixed_wanted, &wanted) : frame;
}
