/* SPDX-License-Identifier: MIT */
/*
 * page/frames.c - free frames in a row, of areas that are open
 *
 * Idea      First fit from the lowest area that has room (page/rooms.h), so that high areas empty
 *           and can be given back; each slot starts at the area it used last, so that
 *           CPUs rarely meet in one. Long rows are fitted from the lowest always, and over
 *           the border of two areas: they would leave holes elsewhere.
 * Nodes     each has its zone, a stretch of areas, where all of this happens; the next one is
 *           tried when no more of it can be opened (page/areas.c).
 * Bound     a search finds each candidate in a few steps (page/rooms.h). It tries LOOSE areas whose
 *           longest row may be too short, then such as have one that is long enough, LOOKS together;
 *           then a new area is opened. Only where the answer would be NULL it looks at every area,
 *           and again while other threads have areas in their hands (stele_zones_find_late()).
 * Order     AREA (page/area.h).
 * Context   any. A search that would answer NULL yields to threads that have areas in their hands.
 * Failure   -1; a claim that found no row is returned before the next area is tried.
 * Tests     tests/unit/page/test_run.c, tests/unit/page/test_long.c
 */
#include "page/frames.h"
#include "page/areas.h"
#include "page/counts.h"
#include "page/dirty.h"
#include "page/where.h"
#include "percpu/percpu.h"
#include <errno.h>

#define HINTS 64
#define LARGE_ROW ROOM_BORDER
#define LOOSE 4u /* areas tried whose longest row may be too short by a quarter */
#define LOOKS 64u

static _Atomic uint32_t hints[HINTS];

/* ---- rows: frames counted from the arena's start, in one area or over several ---- */

/* How many frames of [frame, frame+n) lie in the area of the first one. */
static unsigned frames_here(uint64_t frame, unsigned n)
{
	unsigned room = AREA_FRAMES - (unsigned)(frame % AREA_FRAMES);

	return n < room ? n : room;
}

void stele_row_return(uint64_t frame, unsigned n)
{
	for (unsigned here; n; frame += here, n -= here) {
		uint32_t number = (uint32_t)(frame / AREA_FRAMES);

		here = frames_here(frame, n);
		frames_return(number, frame % AREA_FRAMES, here);
	}
}

/* From the last area down: a thread that meets another one goes on right behind its row. */
int stele_row_take_parts(uint64_t frame, unsigned n,
			 int (*take)(uint32_t number, unsigned first, unsigned n))
{
	uint64_t end = frame + n;
	int error = 0;

	for (unsigned here; n; n -= here) {
		uint64_t last = frame + n - 1;

		here = STELE_MIN(n, (unsigned)(last % AREA_FRAMES) + 1);
		error = take((uint32_t)(last / AREA_FRAMES), (last + 1 - here) % AREA_FRAMES, here);
		if (error)
			break;
	}
	if (error)
		stele_row_return(frame + n, (unsigned)(end - frame - n));
	return error;
}

int stele_row_take_part(uint32_t number, unsigned first, unsigned n)
{
	if (!frames_claim(number, n))
		return -EAGAIN;
	if (!take_at(area_at(number), first, n)) {
		frames_unclaim(number, n);
		return -EAGAIN;
	}
	STELE_POINT("row:taken");
	return 0;
}

bool stele_row_take(uint64_t frame, unsigned n)
{
	return stele_row_take_parts(frame, n, stele_row_take_part) == 0;
}

unsigned stele_row_touch(uint64_t frame, unsigned n)
{
	unsigned already = 0;

	for (unsigned here; n; frame += here, n -= here) {
		here = frames_here(frame, n);
		already += dirty_set(area_at((uint32_t)(frame / AREA_FRAMES)), frame % AREA_FRAMES,
				     here);
	}
	return already;
}

void stele_row_zero(uint64_t frame, unsigned n)
{
	for (unsigned here; n; frame += here, n -= here) {
		uint32_t number = (uint32_t)(frame / AREA_FRAMES);
		unsigned first = frame % AREA_FRAMES;

		here = frames_here(frame, n);
		dirty_zero(area_at(number), first, here, area_memory(number) + first * FRAME_SIZE);
	}
}

/* ---- taking: the first frame of the arena that was found, or -1 ---- */

static int64_t take_in_area(uint32_t number, unsigned frames, unsigned align)
{
	int first;

	if (!frames_claim(number, frames))
		return -1;
	first = area_take(area_at(number), frames, align);
	if (first < 0) {
		frames_unclaim(number, frames);
		return -1;
	}
	return (int64_t)number * AREA_FRAMES + first;
}

/* Frames at the end of area @number - 1 and at the start of area @number. */
static int64_t take_across(const struct stele_zone *zone, uint32_t number, unsigned frames,
			   unsigned align)
{
	uint64_t border = (uint64_t)number * AREA_FRAMES, frame;

	if (frames < LARGE_ROW || number == zone->first || area_is_full(number) ||
	    area_is_full(number - 1))
		return -1;
	frame = STELE_ALIGN_UP(border - stele_free_at_end(number - 1), (uint64_t)align);
	if (frame >= border || frame + frames > border + stele_free_at_start(number))
		return -1;
	return stele_row_take(frame, frames) ? (int64_t)frame : -1;
}

static int64_t take_near(const struct stele_zone *zone, uint32_t number, unsigned frames,
			 unsigned align)
{
	int64_t frame = take_across(zone, number, frames, align);

	if (frame < 0)
		frame = take_in_area(number, frames, align);
	if (frame >= 0)
		store_relaxed(&hints[stele_slot_now() % HINTS], number);
	return frame;
}

/*
 * In areas from @from on that may have room: a few whose rows may be too short, then such as have
 * long ones unless another thread is faster. ORDER(SPAN) acquire: the areas below were
 * opened.
 */
static int64_t take_from(const struct stele_zone *zone, uint32_t from, unsigned frames,
			 unsigned align)
{
	unsigned class = room_class(frames), sure = room_class_above(frames + align - 1);
	uint32_t high = load_acquire(&((struct stele_zone *)zone)->high);

	for (unsigned i = 0; i < LOOKS; i++) {
		uint32_t number = room_next(area_rooms(), from, high, i < LOOSE ? class : sure);
		int64_t frame;

		if (number == ROOM_NONE)
			return -1;
		frame = take_near(zone, number, frames, align);
		if (frame >= 0)
			return frame;
		stele_room_look(number, sure);
		from = number + 1;
	}
	return -1;
}

/* Where the answer would be NULL: in all areas. ORDER(SPAN) acquire: the areas below were opened. */
static int64_t take_anywhere(struct stele_zone *zone, unsigned frames, unsigned align)
{
	uint32_t high = load_acquire(&zone->high);
	int64_t frame = -1;

	for (uint32_t number = zone->first; frame < 0 && number < high; number++)
		if (!area_is_full(number))
			frame = take_near(zone, number, frames, align);
	return frame;
}

/* Long rows leave the area they started in: only the lowest place that fits keeps holes few. */
static int64_t take_where_last(const struct stele_zone *zone, unsigned frames, unsigned align)
{
	uint32_t hint;

	if (frames >= LARGE_ROW)
		return -1;
	hint = load_relaxed(&hints[stele_slot_now() % HINTS]);
	/* ORDER(SPAN) acquire: the area was opened. */
	return hint >= zone->first && hint < load_acquire(&zone->high)
		       ? take_in_area(hint, frames, align)
		       : -1;
}

static int64_t take_in_zone(struct stele_zone *zone, unsigned frames, unsigned align)
{
	int64_t frame = take_where_last(zone, frames, align), first;

	if (frame < 0)
		frame = take_from(zone, zone->first, frames, align);
	/* New areas. Another thread may fill them before us: then the next ones. */
	while (frame < 0 && (first = stele_areas_open(zone)) >= 0)
		frame = take_from(zone, (uint32_t)first, frames, align);
	return frame;
}

/* There are none to be had in the usual way. */
static __attribute__((noinline, cold)) int64_t take_hard(struct stele_zone *zone, unsigned frames,
							 unsigned align)
{
	int64_t frame = take_anywhere(zone, frames, align);

	while (frame < 0 && stele_areas_look_again(zone))
		frame = take_in_zone(zone, frames, align);
	return frame;
}

static int64_t take_frames_wanted(struct stele_zone *zone, const void *arg)
{
	const struct frames_wanted *wanted = arg;

	return take_in_zone(zone, wanted->frames, wanted->align);
}

static int64_t take_frames_hard(struct stele_zone *zone, const void *arg)
{
	const struct frames_wanted *wanted = arg;

	return take_hard(zone, wanted->frames, wanted->align);
}

int64_t stele_frames_find(unsigned where, unsigned frames, unsigned align)
{
	struct frames_wanted wanted = { frames, align };
	int64_t frame = stele_zones_find(where, take_frames_wanted, &wanted);

	if (stele_unlikely(frame < 0))
		frame = stele_zones_find(where, take_frames_hard, &wanted);
	if (stele_unlikely(frame < 0))
		frame = stele_zones_find_late(where, take_frames_wanted, &wanted);
	return frame;
}
