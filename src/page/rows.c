/* SPDX-License-Identifier: MIT */
/*
 * page/rows.c - rows of whole areas, for huge blocks
 *
 * Idea      A row is looked for from the lowest place on, among the areas that may be empty or
 *           closed: there is a bit for each (page/open.h). Its closed areas are mapped then.
 * Place     In a small arena a row that lies one area too high may leave no room for another row.
 *           So threads that look at the same time must not push each other aside. A row is grabbed
 *           from its last area down: a thread that loses one goes on right behind the row. A
 *           block's areas are returned from the first one up, and a search that has found a row
 *           looks again at the areas below. A row with an area that is free SOON is passed over as
 *           a whole, unless the answer would be NULL.
 * Bound     A search reads a word for 4096 areas where nothing is free, and a word for 64 where
 *           something is: at most 8192 words for 1 TiB. In a word it looks at each row of bits, of
 *           which there are 32 at most. It looks once at each area of a row that it tries, and
 *           clears the bit of one that is not free. All other loops are over the areas of the block
 *           itself.
 * Order     AREA (page/open.h).
 * Context   any. Signals are held back while areas are BUSY.
 * Failure   -1 or false: the system refuses, or the zone has no such row.
 * Tests     tests/unit/page/test_rows.c, tests/unit/page/test_areas.c, tests/model/open.c
 */
#include "os/map.h"
#include "os/os.h"
#include "page/areas.h"
#include "page/counts.h"
#include "page/run.h"
#include "page/where.h"

/* ---- rows of whole areas ---- */

/* For the caller: open areas become HUGE, others BUSY. */
static bool grab_whole(uint32_t number)
{
	return area_take_empty(number, AREA_HUGE) || area_grab(number);
}

/* How many areas from @first on have the state of the first. */
static uint32_t alike(uint32_t first, uint32_t end, uint32_t *state)
{
	uint32_t at = first + 1;

	*state = load_relaxed(area_count(first));
	while (at < end && load_relaxed(area_count(at)) == *state)
		at++;
	return at - first;
}

/* Gives back what is HUGE, and lets go of what is BUSY, MET or NEW. */
static void ungrab(uint32_t first, uint32_t n)
{
	uint32_t end = first + n, here, state;

	for (; first < end; first += here) {
		here = alike(first, end, &state);
		if (state == AREA_NEW)
			stele_areas_unmap_new(first, here);
		for (uint32_t i = first; i < first + here; i++) {
			if (state == AREA_HUGE)
				stele_area_show_whole(i, AREA_OPEN);
			else
				stele_area_let_go(i);
		}
	}
}

/* A look, so that a row which is not free is left alone. */
static bool row_is_whole(uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++)
		if (!area_is_whole(load_relaxed(area_count(i))))
			return false;
	return true;
}

/* Grabs [first, first+n) from the last one down, to the first one that cannot be had: how many. */
static uint32_t grab_row(uint32_t first, uint32_t n)
{
	uint32_t got = 0;

	while (got < n && grab_whole(first + n - 1 - got)) {
		got++;
		STELE_POINT("rows:grabbed");
	}
	return got;
}

/* Maps what is BUSY of a row that was grabbed. 0, -EEXIST or -ENOMEM. */
static int map_row(uint32_t first, uint32_t n)
{
	uint32_t end = first + n, here, state;

	for (; first < end; first += here) {
		int error = 0;

		here = alike(first, end, &state);
		if (state == AREA_BUSY)
			error = stele_areas_map(first, here);
		if (error == -EEXIST)
			error = stele_areas_mark_met(first, here);
		if (error)
			return error;
		for (uint32_t i = first; state == AREA_BUSY && i < first + here; i++)
			store_relaxed(area_count(i), AREA_NEW);
	}
	return 0;
}

/* Closes the open areas of a row that was grabbed: the row shall be one mapping. */
static void unmap_open(uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++) {
		if (load_relaxed(area_count(i)) == AREA_HUGE &&
		    stele_os_unmap(area_memory(i), AREA_SIZE) == 0) {
			sub_relaxed(&stele_heap.mapped, 1);
			stele_dirty_purged(stele_area_clear_dirty(i));
			store_relaxed(area_count(i), AREA_BUSY);
		}
	}
}

/* As row_go_on() (page/open.h). */
static uint32_t go_on_behind(uint32_t number, uint32_t first, uint32_t n, unsigned how)
{
	return row_go_on(load_relaxed(area_count(number)), number, first, n, how & ROW_ANYWHERE);
}

/*
 * Takes [first, first+n), with ROW_FRESH as one new mapping. 0; -EAGAIN: one of them cannot be had, a
 * search goes on at *at; -EEXIST: one of them is foreign; -ENOMEM.
 */
static int take_row(struct stele_zone *zone, uint32_t first, uint32_t n, unsigned how, uint32_t *at)
{
	uint32_t got = grab_row(first, n);
	int error = -EAGAIN;

	*at = got < n ? go_on_behind(first + n - 1 - got, first, n, how) : first;
	if (got)
		stele_areas_skip_to(zone, first + n);
	if (got == n && how & ROW_FRESH)
		unmap_open(first, n);
	if (got == n)
		error = map_row(first, n);
	if (error) {
		ungrab(first + n - got, got);
		return error;
	}
	for (uint32_t i = first; i < first + n; i++)
		area_show(area_count(i), AREA_HUGE);
	return 0;
}

/* The first area from @first on whose address is a multiple of @align areas. */
static uint32_t align_area(uint32_t first, uint32_t align)
{
	uint64_t number = (uintptr_t)area_memory(0) / AREA_SIZE + first;

	return first + (uint32_t)(STELE_ALIGN_UP(number, (uint64_t)align) - number);
}

/*
 * A row at @from was seen free. Where it begins together with the areas below that are free by now, up
 * to @n of them. A block's areas are returned from the lowest on, so a search may pass the first ones
 * just before.
 */
static uint32_t step_down(uint32_t low, uint32_t from, uint32_t n, uint32_t align)
{
	uint32_t at = from;

	/* ORDER(AREA) acquire: areas of the same block that were returned before those of the row. */
	fence_acquire();
	while (at > low && from - at < n && may_be_whole(load_relaxed(area_count(at - 1))))
		at--;
	at = align_area(at, align);
	return at < from ? at : from;
}

/* The lowest row from @from on below `high` that looks free, or UINT32_MAX. ORDER(SPAN) acquire. */
static uint32_t find_row_of(struct stele_zone *zone, uint32_t from, uint32_t n, uint32_t align)
{
	uint32_t high = load_acquire(&zone->high), low = from, got;
	struct area_hints hints = area_hints();

	for (;; from += got + 1) {
		from = align_area(hint_next(hints, from, high), align);
		if ((uint64_t)from + n > high)
			return UINT32_MAX;
		got = hint_row(hints, from, n);
		for (uint32_t i = 0; i < got; i++) {
			if (may_be_whole(load_relaxed(area_count(from + i))))
				continue;
			hint_clear(hints, from + i, area_count(from + i));
			got = i;
		}
		if (got == n)
			return step_down(low, from, n, align);
	}
}

/* Where a row at the end begins: the last areas that were opened may be part of it, from @low on.
 * ORDER(SPAN) acquire. */
static uint32_t row_at_end(struct stele_zone *zone, uint32_t low, uint32_t n)
{
	uint32_t high = load_acquire(&zone->high), first = high;

	while (first > low && high - first < n && may_be_whole(load_relaxed(area_count(first - 1))))
		first--;
	return first;
}

/* No area below @low can be part of the row. */
static int64_t take_at_end(struct stele_zone *zone, uint32_t low, uint32_t n, uint32_t align,
			   unsigned how)
{
	uint32_t at = row_at_end(zone, low, n);
	int error;

	do {
		uint32_t first = align_area(at, align);

		if ((uint64_t)first + n > zone->end || stele_heap_cover(at, first + n - at) != 0)
			return -1;
		stele_areas_skip_to(zone, first);
		error = take_row(zone, first, n, how, &at);
		if (!error)
			return first;
		if (error == -EEXIST)
			at = first; /* the foreign mapping is marked now */
	} while (error == -EAGAIN || error == -EEXIST);
	return -1;
}

/* From *at on, which is moved to where the search goes on. */
static int64_t take_low(struct stele_zone *zone, uint32_t *at, uint32_t n, uint32_t align,
			unsigned how)
{
	uint32_t first;

	while ((first = find_row_of(zone, *at, n, align)) != UINT32_MAX) {
		int error = take_row(zone, first, n, how, at);

		if (!error)
			return first;
		if (error == -EEXIST)
			*at = first; /* the foreign mapping is marked now */
		else if (error != -EAGAIN)
			return -1;
	}
	return -1;
}

int64_t stele_areas_take(struct stele_zone *zone, uint32_t n, uint32_t align, unsigned how)
{
	uint64_t signals = stele_areas_begin();
	uint32_t at = zone->first;
	int64_t first = take_low(zone, &at, n, align, how);

	if (first < 0)
		first = take_at_end(zone, at, n, align, how);
	stele_areas_end(signals);
	return first;
}

/* ---- where the caller wants them ---- */

struct areas_wanted {
	uint32_t n, align;
	unsigned how;
};

static int64_t take_areas_wanted(struct stele_zone *zone, const void *arg)
{
	const struct areas_wanted *wanted = arg;

	return stele_areas_take(zone, wanted->n, wanted->align, wanted->how);
}

/* The last look finds areas that came free behind the one before, and does without those that a thread
 * never gives back. */
int64_t stele_areas_find(unsigned where, uint32_t n, uint32_t align, unsigned how)
{
	struct areas_wanted wanted = { n, align, how };
	int64_t first = stele_zones_find(where, take_areas_wanted, &wanted);

	if (stele_unlikely(first < 0) &&
	    stele_areas_look_again(&stele_heap.zones[where_node(where)]))
		first = stele_zones_find(where, take_areas_wanted, &wanted);
	if (stele_unlikely(first < 0))
		first = stele_zones_find_late(where, take_areas_wanted, &wanted);
	wanted.how |= ROW_ANYWHERE;
	return first < 0 ? stele_zones_find(where, take_areas_wanted, &wanted) : first;
}

int64_t stele_areas_open_row(unsigned where, uint32_t n)
{
	struct areas_wanted wanted = { n, 1, 0 };
	int64_t first = stele_zones_find(where, take_areas_wanted, &wanted);

	if (first >= 0)
		stele_areas_return((uint32_t)first, n);
	return first;
}

/* ---- behind a block ---- */

bool stele_areas_take_at(uint32_t first, uint32_t n)
{
	struct stele_zone *zone = zone_of_area(first - 1);
	uint64_t signals;
	bool taken;
	uint32_t at;

	if ((uint64_t)first + n > zone->end || stele_heap_cover(first, n) != 0 ||
	    !row_is_whole(first, n))
		return false;
	signals = stele_areas_begin();
	taken = take_row(zone, first, n, 0, &at) == 0;
	stele_areas_end(signals);
	return taken;
}

bool stele_areas_take_behind(struct run *run, uint32_t n)
{
	uint32_t have = run->frames, first = area_of(run->base) + have, got;
	struct stele_zone *zone = zone_of_area(first - 1);
	uint64_t signals;
	bool taken;

	if ((uint64_t)first + n > zone->end || stele_heap_cover(first, n) != 0 ||
	    !row_is_whole(first, n))
		return false;
	signals = stele_areas_begin();
	got = grab_row(first, n);
	if (got)
		stele_areas_skip_to(zone, first + n);
	if (got == n)
		unmap_open(first, n);
	taken = got == n && stele_os_extend((void *)run->base, have * AREA_SIZE,
					    (size_t)(have + n) * AREA_SIZE) == 0;
	if (taken)
		add_relaxed(&stele_heap.mapped, n);
	else
		ungrab(first + n - got, got);
	for (uint32_t i = first; taken && i < first + n; i++)
		area_show(area_count(i), AREA_HUGE);
	stele_areas_end(signals);
	return taken;
}

/* ---- a block's areas that go ---- */

bool stele_areas_close(uint32_t first, uint32_t n)
{
	if (stele_os_unmap(area_memory(first), (size_t)n * AREA_SIZE) != 0)
		return false;
	stele_areas_gone(first, n);
	return true;
}
