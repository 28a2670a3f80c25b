/* SPDX-License-Identifier: MIT */
/*
 * page/areas.c - areas that are opened when they are wanted
 *
 * Idea      see page/open.h. Areas are mapped in steps: an eighth of what is mapped, at most
 *           STEP_MAX areas, so that the number of calls stays small and the space that is not used
 *           yet, too. Where a program locks memory, that space costs memory: then a step is one area. A
 *           block of whole areas opens what it needs and no more (page/rows.c). Empty
 *           areas are closed by page/close.c.
 * Bound     a search for a closed area reads a word for 4096 areas where nothing is free, and a word
 *           for 64 where something is. It looks at each empty area below the lowest closed one;
 *           page/close.c leaves few of those. If foreign mappings are in the way, opening makes one
 *           call for each area that they are in, and makes it FOREIGN, so it makes that call once.
 * Foreign   A mapping that is not ours is never replaced: its areas are left out until a call would
 *           answer NULL for want of them (page/close.c). The thread finds its areas by mapping parts of
 *           the row. If the system refuses a part for another reason, the thread does not know more, and
 *           the row counts as refused.
 * Order     AREA (page/open.h).
 * Context   any. Signals are held back while areas are BUSY, so that no handler leaves with them. A
 *           thread that finds one BUSY takes another. A child of fork() lacks the areas that another
 *           thread had BUSY at that moment.
 * Failure   -1: the system refuses, or the zone has no room. A process that could never open an area
 *           is told why, once.
 * Tests     tests/unit/page/test_areas.c, tests/unit/page/test_met.c, tests/model/open.c
 */
#include "base/fmt.h"
#include "os/map.h"
#include "os/os.h"
#include "page/areas.h"
#include "page/where.h"
#include "percpu/system.h"

#define STEP_MAX 16u

static _Atomic bool had_one; /* an area was opened for frames */

static _Atomic uint32_t busy; /* threads that have areas BUSY, or frames to purge */

bool stele_areas_busy(void)
{
	return load_relaxed(&busy) != 0;
}

void stele_areas_in_hand(int more)
{
	add_relaxed(&busy, (uint32_t)more);
}

uint64_t stele_areas_begin(void)
{
	uint64_t signals = stele_os_signals_hold();

	add_relaxed(&busy, 1);
	return signals;
}

void stele_areas_end(uint64_t signals)
{
	sub_relaxed(&busy, 1);
	stele_os_signals_release(signals);
}

/* ---- in the zones that a caller wants ---- */

int64_t stele_zones_find(unsigned where, zone_find *find, const void *wanted)
{
	unsigned node = where_node(where), which = 0;
	int64_t found = find(&stele_heap.zones[node], wanted);
	int other;

	if (where & WHERE_ONLY)
		return found;
	while (found < 0 && (other = stele_node_farther(node, &which)) >= 0)
		found = find(&stele_heap.zones[other], wanted);
	return found;
}

#define PATIENCE 100u

int64_t stele_zones_find_late(unsigned where, zone_find *find, const void *wanted)
{
	int64_t found = -1;

	for (unsigned i = 0; found < 0 && i < PATIENCE && stele_areas_busy(); i++) {
		stele_os_yield();
		found = stele_zones_find(where, find, wanted);
	}
	return found;
}

/* ---- one area ---- */

/* It is open, and frames are found in it. */
static void note_empty(uint32_t number)
{
	add_relaxed(&stele_heap.empty, 1);
	stele_room_opened(number);
}

void stele_area_show_whole(uint32_t number, uint32_t state)
{
	area_show(area_count(number), state);
	hint_set(area_hints(), number);
	if (state == AREA_OPEN)
		note_empty(number);
}

bool stele_area_let_go(uint32_t number)
{
	uint32_t state = area_let_go(area_count(number));

	if (state == AREA_FOREIGN)
		return false;
	hint_set(area_hints(), number);
	if (state == AREA_OPEN)
		note_empty(number);
	return true;
}

void stele_area_emptied(uint32_t number)
{
	add_relaxed(&stele_heap.empty, 1);
	hint_set(area_hints(), number);
}

uint64_t stele_area_clear_dirty(uint32_t number)
{
	_Atomic uint64_t *words = area_at(number)->dirty;
	unsigned dirty = area_bits(words);

	for (unsigned w = 0; w < AREA_WORDS; w++)
		store_relaxed(&words[w], 0);
	return dirty;
}

uint64_t stele_areas_dirty(uint32_t first, uint32_t n)
{
	uint64_t dirty = 0;

	for (uint32_t i = first; i < first + n; i++)
		dirty += area_bits(area_at(i)->dirty);
	return dirty;
}

void stele_areas_return(uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++)
		stele_area_show_whole(i, AREA_OPEN);
}

/* The thread that opened the areas takes the first one, which gets no hint here. A later thread that
 * empties it sets one. */
static void show_opened(uint32_t first, uint32_t n)
{
	store_relaxed(&had_one, true);
	area_show(area_count(first), AREA_OPEN);
	note_empty(first);
	stele_areas_return(first + 1, n - 1);
}

/* ORDER(SPAN) acquire: the areas below zone->high were opened. */
void stele_areas_skip_to(struct stele_zone *zone, uint32_t end)
{
	for (uint32_t i = load_acquire(&zone->high); i < end; i++)
		hint_set(area_hints(), i);
	raise_high(&zone->high, end);
}

/* ---- mapping a row that is BUSY ---- */

/* The system has a reason of its own where a program locks memory, and no more of it may be: -EAGAIN. */
int stele_areas_map(uint32_t first, uint32_t n)
{
	int error = stele_os_map(area_memory(first), (size_t)n * AREA_SIZE);

	if (error)
		return error == -EEXIST ? -EEXIST : -ENOMEM;
	add_relaxed(&stele_heap.mapped, n);
	stele_zones_bind(first, n);
	return 0;
}

void stele_areas_unmap_new(uint32_t first, uint32_t n)
{
	if (stele_os_unmap(area_memory(first), (size_t)n * AREA_SIZE) != 0)
		return;
	sub_relaxed(&stele_heap.mapped, n);
	for (uint32_t i = first; i < first + n; i++)
		store_relaxed(area_count(i), AREA_BUSY);
}

int stele_areas_probe(uint32_t first, uint32_t n)
{
	int error = stele_areas_map(first, n);

	if (error)
		return error;
	for (uint32_t i = first; i < first + n; i++)
		store_relaxed(area_count(i), AREA_NEW);
	stele_areas_unmap_new(first, n);
	return 0;
}

/* Something is mapped in [*first, *first+n), which is BUSY. Finds the lowest area where something is, by
 * halves. 0; -ENOMEM: the system refuses a half for another reason, so the foreign mapping may be in
 * either. */
static int find_foreign(uint32_t *first, uint32_t n)
{
	while (n > 1) {
		uint32_t half = n / 2;
		int error = stele_areas_probe(*first, half);

		if (error == -ENOMEM)
			return error;
		*first += error ? 0 : half;
		n = error ? half : n - half;
	}
	return 0;
}

int stele_areas_mark_met(uint32_t first, uint32_t n)
{
	uint32_t stop = first + n, met = 0;
	int error = find_foreign(&first, n);

	if (error)
		return error;
	while (first + met < stop && (error = stele_areas_probe(first + met, 1)) == -EEXIST)
		store_relaxed(area_count(first + met++), AREA_MET);
	add_relaxed(&stele_heap.foreign, met);
	return error && !met ? error : -EEXIST;
}

/* ---- areas that are not mapped any more ---- */

uint64_t stele_areas_gone(uint32_t first, uint32_t n)
{
	uint64_t dirty = 0;

	sub_relaxed(&stele_heap.mapped, n);
	for (uint32_t i = first; i < first + n; i++) {
		dirty += stele_area_clear_dirty(i);
		stele_area_show_whole(i, AREA_CLOSED);
	}
	return dirty;
}

void stele_areas_lost(uint32_t first, uint32_t n)
{
	sub_relaxed(&stele_heap.mapped, n);
	add_relaxed(&stele_heap.foreign, n);
	for (uint32_t i = first; i < first + n; i++) {
		stele_area_clear_dirty(i);
		area_show(area_count(i), AREA_FOREIGN);
	}
}

/* ---- some areas, for frames ---- */

static _Atomic bool locked; /* the last areas that were opened are */

static uint32_t step(void)
{
	uint32_t n = load_relaxed(&locked) ? 1 : load_relaxed(&stele_heap.mapped) / 8;

	return n < 1 ? 1 : STELE_MIN(n, STEP_MAX);
}

/* Areas are mapped ahead where that costs no memory. The system refuses to take a page that is locked. */
static void look_if_locked(uint32_t first, uint32_t n)
{
	if (n > 1 || load_relaxed(&locked))
		store_relaxed(&locked, stele_os_purge(area_memory(first),
						      stele_system_facts.page_size) == -EINVAL);
}

/* The lowest area from @at on that is closed; `high` and all above are. ORDER(SPAN) acquire: of
 * those that were opened. */
static uint32_t next_closed(struct stele_zone *zone, uint32_t at)
{
	uint32_t high = load_acquire(&zone->high);

	for (; at < high && (at = hint_next(area_hints(), at, high)) < high; at++) {
		uint32_t count = load_relaxed(area_count(at));

		if (count == AREA_CLOSED)
			return at;
		if (!may_be_whole(count))
			hint_clear(area_hints(), at, area_count(at));
	}
	return at;
}

/* Makes up to @n areas from *first on BUSY: how many. The first ones may be another thread's. */
static uint32_t grab_some(struct stele_zone *zone, uint32_t *first, uint32_t n)
{
	for (; (*first = next_closed(zone, *first)) < zone->end; ++*first) {
		uint32_t got = 0;

		n = STELE_MIN(n, zone->end - *first);
		if (stele_heap_cover(*first, n) != 0) {
			n = 1;
			if (stele_heap_cover(*first, 1) != 0)
				return 0;
		}
		while (got < n && area_grab(*first + got))
			got++;
		if (got)
			return got;
	}
	return 0;
}

/* Maps what is BUSY, or at least the first of it: how many, or -errno. */
static int map_some(uint32_t first, uint32_t n)
{
	int error = stele_areas_map(first, n);

	if (!error)
		return (int)n;
	if (error == -EEXIST)
		error = stele_areas_mark_met(first, n);
	if (error == -EEXIST)
		return error;
	error = n > 1 ? stele_areas_map(first, 1) : error;
	return error ? error : 1;
}

/* The process never had an area: its limits leave too little to begin with. */
static __attribute__((noinline, cold)) void say_no_first(void)
{
	STELE_WARN_ONCE("stele: no address space or memory for a first area; allocations fail\n");
}

/* From @first on, which was seen closed. */
static int64_t open_some(struct stele_zone *zone, uint32_t first)
{
	uint64_t signals = stele_areas_begin();
	int64_t result = -1;
	int mapped;

	do {
		uint32_t n = grab_some(zone, &first, step()), left = first;

		if (!n)
			break;
		raise_high(&zone->high, first + n);
		mapped = map_some(first, n);
		if (mapped > 0) {
			look_if_locked(first, (uint32_t)mapped);
			show_opened(first, (uint32_t)mapped);
			result = first;
			left += (uint32_t)mapped;
		}
		while (left < first + n)
			stele_area_let_go(left++);
	} while (mapped == -EEXIST);
	stele_areas_end(signals);
	if (stele_unlikely(result < 0) && !load_relaxed(&had_one))
		say_no_first();
	return result;
}

/* A full zone costs no system call: a handler that allocates in a row may find it so each time. */
int64_t stele_areas_open(struct stele_zone *zone)
{
	uint32_t first = next_closed(zone, zone->first);

	return first < zone->end ? open_some(zone, first) : -1;
}
