/* SPDX-License-Identifier: MIT */
/*
 * page/areas.c - areas that are opened when they are wanted, and rows of whole ones
 *
 * Idea      see page/open.h. Areas are mapped in steps: an eighth of what is mapped, at most STEP_MAX
 *           areas, so that the number of calls stays small and the space that is not used yet, too. A
 *           block of whole areas opens what it needs and no more.
 *           A row of whole areas is looked for from the lowest place on, among the areas that may be
 *           empty or closed: there is a bit for each (page/open.h).
 * Bound     A search reads a word for 4096 areas where nothing is free, and a word for 64 where
 *           something is: at most 8192 words for 1 TiB. It looks once at each area of a row that it
 *           tries, and clears the bit of one that is not free. Opening tells apart what is in the way
 *           in as many calls as areas are in the way, once; these are marked for good.
 * Foreign   A mapping that is not ours is never replaced: its areas are left out. Their number is
 *           bounded by what the program itself maps there.
 * Order     AREA (page/open.h).
 * Context   any. Signals are held back while areas are BUSY, so that no handler leaves with them. A
 *           thread that finds one BUSY takes another. A child of fork() lacks the areas that another
 *           thread had BUSY at that moment.
 * Failure   -1: the system refuses, or the zone has no room.
 * Tests     tests/unit/page/test_areas.c, tests/model/open.c
 */
#include "os/map.h"
#include "os/os.h"
#include "page/heap.h"
#include "page/run.h"
#include <errno.h>

#define STEP_MAX 16u
#define AREA_NEW                                                                                   \
	16386u /* as BUSY: mapped by the thread that has it so, for a row that is not complete */

static _Atomic uint32_t busy; /* threads that have areas BUSY, or frames to purge */

bool stele_areas_busy(void)
{
	return load_relaxed(&busy) != 0;
}

void stele_areas_in_hand(int more)
{
	add_relaxed(&busy, (uint32_t)more);
}

static uint64_t begin(void)
{
	uint64_t signals = stele_os_signals_hold();

	add_relaxed(&busy, 1);
	return signals;
}

static void end(uint64_t signals)
{
	sub_relaxed(&busy, 1);
	stele_os_signals_release(signals);
}

/* ---- one area ---- */

static bool grab(uint32_t number)
{
	return area_begin(area_count(number));
}

/* Frames are looked for in it again. */
static void lower_low(uint32_t number)
{
	struct stele_zone *zone = zone_of_area(number);
	uint32_t seen = load_relaxed(&zone->low);

	while (number < seen && !cas_relaxed(&zone->low, &seen, number))
		;
}

/* BUSY, NEW or HUGE -> OPEN or CLOSED. */
static void show_whole(uint32_t number, uint32_t state)
{
	area_show(area_count(number), state);
	hint_set(area_hints(), number);
	if (state == AREA_OPEN)
		lower_low(number);
}

void stele_area_emptied(uint32_t number)
{
	hint_set(area_hints(), number);
}

/* For an area that one thread owns and has unmapped: the next mapping reads as zero. Returns how
 * many frames were dirty. */
static uint64_t clear_dirty(uint32_t number)
{
	uint64_t dirty = 0;

	for (unsigned w = 0; w < AREA_WORDS; w++) {
		dirty += (uint64_t)__builtin_popcountll(load_relaxed(&area_at(number)->dirty[w]));
		store_relaxed(&area_at(number)->dirty[w], 0);
	}
	return dirty;
}

void stele_areas_return(uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++)
		show_whole(i, AREA_OPEN);
}

/* The first one for the thread that opened them: a hint is due when it is empty again. */
static void show_opened(uint32_t first, uint32_t n)
{
	area_show(area_count(first), AREA_OPEN);
	lower_low(first);
	stele_areas_return(first + 1, n - 1);
}

/* ---- mapping a row that is BUSY ---- */

static int map_areas(uint32_t first, uint32_t n)
{
	int error = stele_os_map(area_memory(first), (size_t)n * AREA_SIZE);

	if (error)
		return error;
	add_relaxed(&stele_heap.mapped, n);
	stele_zones_bind(first, n);
	return 0;
}

/* Something lies in [first, first+n), which is BUSY: finds the lowest area it lies in, by halves. */
static uint32_t find_foreign(uint32_t first, uint32_t n)
{
	while (n > 1) {
		uint32_t half = n / 2;

		if (stele_os_map(area_memory(first), (size_t)half * AREA_SIZE) != 0) {
			n = half;
			continue;
		}
		stele_os_unmap(area_memory(first), (size_t)half * AREA_SIZE);
		first += half;
		n -= half;
	}
	return first;
}

/* Marks those of the row that have a foreign mapping, as far as they follow each other. */
static void mark_foreign(uint32_t first, uint32_t n)
{
	uint32_t stop = first + n;

	for (uint32_t i = find_foreign(first, n); i < stop; i++) {
		int error = stele_os_map(area_memory(i), AREA_SIZE);

		if (error == -EEXIST)
			area_show(area_count(i), AREA_FOREIGN);
		else if (!error)
			stele_os_unmap(area_memory(i), AREA_SIZE);
		if (error != -EEXIST)
			return;
	}
}

/* The BUSY areas of [first, first+n) become CLOSED. */
static void close_busy(uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++)
		if (load_relaxed(area_count(i)) == AREA_BUSY)
			show_whole(i, AREA_CLOSED);
}

/* ---- some areas, for frames ---- */

static uint32_t step(void)
{
	uint32_t n = load_relaxed(&stele_heap.mapped) / 8;

	return n < 1 ? 1 : STELE_MIN(n, STEP_MAX);
}

/* The lowest area that is closed, or `high`. ORDER(SPAN) acquire: of those that were opened. */
static uint32_t lowest_closed(struct stele_zone *zone)
{
	uint32_t high = load_acquire(&zone->high), at = zone->first;

	for (; (at = hint_next(area_hints(), at, high)) < high; at++) {
		uint32_t count = load_relaxed(area_count(at));

		if (count == AREA_CLOSED)
			return at;
		if (!may_be_whole(count))
			hint_clear(area_hints(), at, area_count(at));
	}
	return high;
}

/* Makes up to @n areas from *first on BUSY: how many. The first ones may be another thread's. */
static uint32_t grab_some(struct stele_zone *zone, uint32_t *first, uint32_t n)
{
	for (; *first < zone->end; ++*first) {
		uint32_t got = 0;

		n = STELE_MIN(n, zone->end - *first);
		if (stele_heap_cover(*first, n) != 0) {
			n = 1;
			if (stele_heap_cover(*first, 1) != 0)
				return 0;
		}
		while (got < n && grab(*first + got))
			got++;
		if (got)
			return got;
	}
	return 0;
}

/* Maps what is BUSY, or at least the first of it: how many, or -errno. */
static int map_some(uint32_t first, uint32_t n)
{
	int error = map_areas(first, n);

	if (error == -EEXIST) {
		mark_foreign(first, n);
		return error;
	}
	if (!error)
		return (int)n;
	error = n > 1 ? map_areas(first, 1) : error;
	return error ? error : 1;
}

static int64_t open_some(struct stele_zone *zone)
{
	uint64_t signals = begin();
	int64_t result = -1;
	int mapped;

	do {
		uint32_t first = lowest_closed(zone), n = grab_some(zone, &first, step());

		if (!n)
			break;
		raise_high(&zone->high, first + n);
		mapped = map_some(first, n);
		if (mapped > 0) {
			show_opened(first, (uint32_t)mapped);
			result = first;
		}
		close_busy(first, n);
	} while (mapped == -EEXIST);
	end(signals);
	return result;
}

/* A full zone costs no system call: a handler that allocates in a row may find it so each time. */
int64_t stele_areas_open(struct stele_zone *zone)
{
	return lowest_closed(zone) < zone->end ? open_some(zone) : -1;
}

/* ---- rows of whole areas ---- */

/* For the caller: open areas become HUGE, others BUSY. */
static bool grab_whole(uint32_t number)
{
	return area_take_whole(area_count(number), AREA_HUGE) || grab(number);
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

/* Gives back what is HUGE, and closes what is BUSY or NEW. */
static void ungrab(uint32_t first, uint32_t n)
{
	uint32_t end = first + n, here, state;

	for (; first < end; first += here) {
		here = alike(first, end, &state);
		if (state == AREA_NEW) {
			stele_os_unmap(area_memory(first), (size_t)here * AREA_SIZE);
			sub_relaxed(&stele_heap.mapped, here);
		}
		for (uint32_t i = first; state != AREA_FOREIGN && i < first + here; i++)
			show_whole(i, state == AREA_HUGE ? AREA_OPEN : AREA_CLOSED);
	}
}

/* Grabs [first, first+n), or as many as there are before one that cannot be had. */
static uint32_t grab_row(uint32_t first, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++)
		if (!grab_whole(first + i))
			return i;
	return n;
}

/* Maps what is BUSY of a row that was grabbed. 0 or -errno. */
static int map_row(uint32_t first, uint32_t n)
{
	uint32_t end = first + n, here, state;

	for (; first < end; first += here) {
		int error = 0;

		here = alike(first, end, &state);
		if (state == AREA_BUSY)
			error = map_areas(first, here);
		if (error == -EEXIST)
			mark_foreign(first, here);
		if (error)
			return error;
		for (uint32_t i = first; state == AREA_BUSY && i < first + here; i++)
			store_relaxed(area_count(i), AREA_NEW);
	}
	return 0;
}

/* Of a row that was grabbed, what is open is closed again: the row shall be one mapping. */
static void unmap_open(uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++) {
		if (load_relaxed(area_count(i)) == AREA_HUGE &&
		    stele_os_unmap(area_memory(i), AREA_SIZE) == 0) {
			sub_relaxed(&stele_heap.mapped, 1);
			stele_dirty_purged(clear_dirty(i));
			store_relaxed(area_count(i), AREA_BUSY);
		}
	}
}

/*
 * Takes [first, first+n), @fresh as one new mapping. 0; -EAGAIN: one of them cannot be had, *at is behind it; -EEXIST: one of
 * them is foreign; -ENOMEM.
 */
static int take_row(struct stele_zone *zone, uint32_t first, uint32_t n, bool fresh, uint32_t *at)
{
	uint32_t got = grab_row(first, n);
	int error = -EAGAIN;

	*at = first + got + 1;
	raise_high(&zone->high, first + got);
	if (got == n && fresh)
		unmap_open(first, n);
	if (got == n)
		error = map_row(first, n);
	if (error) {
		ungrab(first, got);
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

/* The lowest row from @from on below `high` that looks free, or UINT32_MAX. ORDER(SPAN) acquire. */
static uint32_t find_row_of(struct stele_zone *zone, uint32_t from, uint32_t n, uint32_t align)
{
	uint32_t high = load_acquire(&zone->high), got;
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
			return from;
	}
}

/* Where a row at the end begins: the last areas that were opened may be part of it. ORDER(SPAN)
 * acquire. */
static uint32_t row_at_end(struct stele_zone *zone, uint32_t n)
{
	uint32_t high = load_acquire(&zone->high), first = high;

	while (first > zone->first && high - first < n &&
	       may_be_whole(load_relaxed(area_count(first - 1))))
		first--;
	return first;
}

/* Areas that an alignment leaves out below @end can be found. ORDER(SPAN) acquire. */
static void skip_to(struct stele_zone *zone, uint32_t end)
{
	for (uint32_t i = load_acquire(&zone->high); i < end; i++)
		hint_set(area_hints(), i);
	raise_high(&zone->high, end);
}

static int64_t take_at_end(struct stele_zone *zone, uint32_t n, uint32_t align, bool fresh)
{
	uint32_t at = row_at_end(zone, n);
	int error;

	do {
		uint32_t first = align_area(at, align);

		if ((uint64_t)first + n > zone->end || stele_heap_cover(at, first + n - at) != 0)
			return -1;
		skip_to(zone, first);
		error = take_row(zone, first, n, fresh, &at);
		if (!error)
			return first;
		if (error == -EEXIST)
			at = first; /* the foreign mapping is marked now */
	} while (error == -EAGAIN || error == -EEXIST);
	return -1;
}

static int64_t take_low(struct stele_zone *zone, uint32_t n, uint32_t align, bool fresh)
{
	uint32_t at = zone->first, first;

	while ((first = find_row_of(zone, at, n, align)) != UINT32_MAX) {
		int error = take_row(zone, first, n, fresh, &at);

		if (!error)
			return first;
		if (error == -EEXIST)
			at = first; /* the foreign mapping is marked now */
		else if (error != -EAGAIN)
			return -1;
	}
	return -1;
}

int64_t stele_areas_take(struct stele_zone *zone, uint32_t n, uint32_t align, bool fresh)
{
	uint64_t signals = begin();
	int64_t first = take_low(zone, n, align, fresh);

	if (first < 0)
		first = take_at_end(zone, n, align, fresh);
	end(signals);
	return first;
}

bool stele_areas_take_at(uint32_t first, uint32_t n)
{
	struct stele_zone *zone = zone_of_area(first - 1);
	uint64_t signals;
	bool taken;
	uint32_t at;

	if ((uint64_t)first + n > zone->end || stele_heap_cover(first, n) != 0)
		return false;
	signals = begin();
	taken = take_row(zone, first, n, false, &at) == 0;
	end(signals);
	return taken;
}

/* ---- a block that is one mapping of its own ---- */

bool stele_areas_take_behind(struct run *run, uint32_t n)
{
	uint32_t have = run->frames, first = area_of(run->base) + have, got;
	struct stele_zone *zone = zone_of_area(first - 1);
	uint64_t signals;
	bool taken;

	if ((uint64_t)first + n > zone->end || stele_heap_cover(first, n) != 0)
		return false;
	signals = begin();
	got = grab_row(first, n);
	raise_high(&zone->high, first + got);
	if (got == n)
		unmap_open(first, n);
	taken = got == n && stele_os_extend((void *)run->base, have * AREA_SIZE,
					    (size_t)(have + n) * AREA_SIZE) == 0;
	if (taken)
		add_relaxed(&stele_heap.mapped, n);
	else
		ungrab(first, got);
	for (uint32_t i = first; taken && i < first + n; i++)
		area_show(area_count(i), AREA_HUGE);
	end(signals);
	return taken;
}

/* ---- closing ---- */

void stele_areas_gone(uint32_t first, uint32_t n)
{
	sub_relaxed(&stele_heap.mapped, n);
	for (uint32_t i = first; i < first + n; i++) {
		clear_dirty(i);
		show_whole(i, AREA_CLOSED);
	}
}

void stele_areas_lost(uint32_t first, uint32_t n)
{
	sub_relaxed(&stele_heap.mapped, n);
	for (uint32_t i = first; i < first + n; i++) {
		clear_dirty(i);
		area_show(area_count(i), AREA_FOREIGN);
	}
}

bool stele_areas_close(uint32_t first, uint32_t n)
{
	if (stele_os_unmap(area_memory(first), (size_t)n * AREA_SIZE) != 0)
		return false;
	stele_areas_gone(first, n);
	return true;
}

/* Makes empty areas HUGE from @first on: how many. */
static uint32_t grab_empty(uint32_t first, uint32_t high)
{
	uint32_t n = 0;

	while (first + n < high && area_take_whole(area_count(first + n), AREA_HUGE))
		n++;
	return n;
}

/* These were unmapped, and their dirty frames are counted as free ones. */
static void close_grabbed(uint32_t first, uint32_t n)
{
	uint64_t dirty = 0;

	for (uint32_t i = first; i < first + n; i++)
		dirty += clear_dirty(i);
	stele_dirty_purged(dirty);
	stele_areas_gone(first, n);
}

/* ORDER(SPAN) acquire: of areas that were opened. */
static void close_empty(struct stele_zone *zone)
{
	uint32_t high = load_acquire(&zone->high), n;

	for (uint32_t at = zone->first; (at = hint_next(area_hints(), at, high)) < high; at += n) {
		n = grab_empty(at, high);
		if (n && stele_os_unmap(area_memory(at), (size_t)n * AREA_SIZE) != 0)
			stele_areas_return(at, n);
		else if (n)
			close_grabbed(at, n);
		if (!n && !may_be_whole(load_relaxed(area_count(at))))
			hint_clear(area_hints(), at, area_count(at));
		n = n ? n : 1;
	}
}

void stele_areas_close_empty(void)
{
	uint64_t signals = begin();

	for (unsigned node = 0; node < stele_nodes.count; node++)
		close_empty(&stele_heap.zones[node]);
	end(signals);
}
