/* SPDX-License-Identifier: MIT */
/*
 * page/rooms.c - what is free in one area, and over the border to the area before it
 *
 * Idea      see page/rooms.h. An area's word speaks of the rows within it, and from ROOM_BORDER
 *           frames on also of the row that ends in the area before it and goes on at its start.
 *           A row that is longer than an area is the free end of one, areas that are empty, and the
 *           free start of the next.
 * Order     ROOM.
 * Context   any.
 * Bound     each call looks at the words of three areas' bitmaps at most; a search for a long row looks
 *           at LONG_LOOKS places, at LONG_LOOKS areas below such a place, and at each area behind it
 *           once.
 * Tests     tests/unit/page/test_rooms.c, tests/unit/page/test_long.c
 */
#include "base/options.h"
#include "page/areas.h"

_Static_assert(ROOM_FAN == 64, "as the text says");

_Atomic uint32_t stele_room_tops[STELE_ARENA_LARGEST / AREA_SIZE / ROOM_TOP + 1];

/* ---- rows in a bitmap ---- */

static unsigned free_before(struct area *area, unsigned frame)
{
	unsigned at = frame;

	while (at > 0) {
		unsigned bits = at % 64 ? at % 64 : 64;
		uint64_t used = load_relaxed(&area->used[(at - 1) / 64]) << (64 - bits);

		if (used)
			return frame - at + (unsigned)__builtin_clzll(used);
		at -= bits;
	}
	return frame;
}

static unsigned free_from(struct area *area, unsigned frame)
{
	unsigned at = frame;

	while (at < AREA_FRAMES) {
		uint64_t used = load_relaxed(&area->used[at / 64]) >> at % 64;

		if (used)
			return at - frame + (unsigned)__builtin_ctzll(used);
		at += 64 - at % 64;
	}
	return AREA_FRAMES - frame;
}

unsigned stele_free_at_end(uint32_t number)
{
	return free_before(area_at(number), AREA_FRAMES);
}

unsigned stele_free_at_start(uint32_t number)
{
	return free_from(area_at(number), 0);
}

/* A bit for each place where a row of @n free frames begins. @n is 1 to 64. */
static uint64_t row_starts(uint64_t free, unsigned n)
{
	unsigned have = 1;

	while (free && have < n) {
		unsigned more = STELE_MIN(have, n - have);

		free &= free >> more;
		have += more;
	}
	return free;
}

/* Lengthens @longest to the longest row within one word. */
static unsigned longest_in_word(uint64_t free, unsigned longest)
{
	uint64_t starts = longest < 64 ? row_starts(free, longest + 1) : 0;

	for (; starts; starts &= starts >> 1)
		longest++;
	return longest;
}

static unsigned longest_row(struct area *area)
{
	unsigned longest = 0, open = 0; /* free frames that reach up to this word */

	for (unsigned w = 0; w < AREA_WORDS; w++) {
		uint64_t used = load_relaxed(&area->used[w]);

		if (!used) {
			open += 64;
			continue;
		}
		open += (unsigned)__builtin_ctzll(used);
		longest = longest_in_word(~used, STELE_MAX(longest, open));
		open = (unsigned)__builtin_clzll(used);
	}
	return STELE_MAX(longest, open);
}

/* ---- the words ---- */

#define BELOW_BORDER ((1u << ROOM_BORDER_CLASS) - 1)
#define NOT_WHOLE (~(1u << ROOM_WHOLE))

static bool is_open(uint32_t number)
{
	return area_claimed(load_relaxed(area_count(number))) <= AREA_FRAMES;
}

/* The row over the border of areas @number - 1 and @number. */
static uint32_t border_mask(uint32_t number)
{
	unsigned end, start;

	if (number == zone_of_area(number)->first || !is_open(number) || !is_open(number - 1))
		return 0;
	end = stele_free_at_end(number - 1);
	start = stele_free_at_start(number);
	if (!end || !start || end + start < ROOM_BORDER)
		return 0;
	return room_mask(STELE_MIN(end + start, AREA_FRAMES)) & ~BELOW_BORDER & NOT_WHOLE;
}

static uint32_t area_mask(uint32_t number)
{
	if (!is_open(number))
		return 0;
	return room_mask(longest_row(area_at(number))) | border_mask(number);
}

void stele_room_look(uint32_t number, unsigned class)
{
	uint32_t word = load_relaxed(room_of_area(area_rooms(), number)), mask;

	if (!(word >> class))
		return;
	mask = area_mask(number);
	if (!(word & ~mask))
		return;
	room_clear(room_of_area(area_rooms(), number), ~mask);
	mask = area_mask(number);
	if (mask)
		room_add(area_rooms(), number, mask);
}

static void add_border(uint32_t number)
{
	uint32_t mask = border_mask(number);

	if (mask)
		room_add(area_rooms(), number, mask);
}

/* ORDER(SPAN) acquire: of areas that were opened. */
static void add_border_above(uint32_t number)
{
	struct stele_zone *zone = zone_of_area(number);

	if (number + 1 < load_acquire(&zone->high))
		add_border(number + 1);
}

void stele_room_freed(uint32_t number, unsigned first, unsigned n)
{
	struct area *area = area_at(number);
	unsigned before, behind;

	STELE_POINT("room:freed");
	/* ORDER(ROOM): of two threads that return frames side by side, one sees the whole row. */
	atomic_thread_fence(ORDER_ROOM);
	before = free_before(area, first);
	behind = free_from(area, first + n);
	room_add(area_rooms(), number, room_mask(before + n + behind));
	if (before == first)
		add_border(number);
	if (first + n + behind == AREA_FRAMES)
		add_border_above(number);
}

void stele_room_opened(uint32_t number)
{
	room_add(area_rooms(), number, room_mask(AREA_FRAMES));
	add_border_above(number);
}

/* ---- rows that are longer than an area ---- */

#define LONG_LOOKS 64u
/* A border with so many free frames around it, or an empty area, may have a longer row around it. */
#define LONG_CLASS (ROOM_WHOLE - 1)

struct long_row {
	uint64_t first; /* frames */
	unsigned frames;
	uint32_t behind; /* the area after the one where it ends */
};

/* Where the free frames begin that reach up to area @number. Rows are returned from the lowest area on,
 * so a search may pass the first ones just before. */
static uint64_t free_below(const struct stele_zone *zone, uint32_t number)
{
	uint32_t low = number - STELE_MIN(number - zone->first, LONG_LOOKS);
	unsigned here = AREA_FRAMES;

	/* ORDER(AREA) acquire: areas of the same row that were returned before the next one. */
	fence_acquire();
	while (number > low && here == AREA_FRAMES) {
		here = area_is_full(number - 1) ? 0 : stele_free_at_end(number - 1);
		number -= here == AREA_FRAMES;
	}
	return (uint64_t)number * AREA_FRAMES - here % AREA_FRAMES;
}

/* The free row, up to @most frames long, that begins before the start of area @number. */
static struct long_row row_around(const struct stele_zone *zone, uint32_t number, uint32_t high,
				  unsigned most, unsigned align)
{
	uint64_t border = (uint64_t)number * AREA_FRAMES, end = border;
	struct long_row row = { .behind = number };
	unsigned here = AREA_FRAMES;

	row.first = STELE_ALIGN_UP(free_below(zone, number), (uint64_t)align);
	while (end - row.first < most && here == AREA_FRAMES && row.behind < high) {
		here = area_is_full(row.behind) ? 0 : stele_free_at_start(row.behind);
		end += here;
		row.behind++;
	}
	row.frames = (unsigned)(end - row.first);
	return row;
}

int64_t stele_long_find(const struct stele_zone *zone, uint32_t *from, unsigned frames,
			unsigned align)
{
	/* ORDER(SPAN) acquire: the areas below were opened. */
	uint32_t high = load_acquire(&((struct stele_zone *)zone)->high), number;

	for (unsigned i = 0; i < LONG_LOOKS; i++) {
		struct long_row row;

		number = room_next(area_rooms(), *from, high, LONG_CLASS);
		if (number == ROOM_NONE)
			return -1;
		row = row_around(zone, number, high, frames, align);
		*from = STELE_MAX(row.behind, number + 1);
		if (row.frames >= frames)
			return (int64_t)row.first;
		stele_room_look(number, LONG_CLASS);
	}
	return -1;
}
