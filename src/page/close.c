/* SPDX-License-Identifier: MIT */
/*
 * page/close.c - empty areas go back to the system
 *
 * Idea      An empty area costs address space, which limits count and other callers of mmap() need.
 *           So no more than SLACK of them stay mapped, besides as many as hold the dirty frames that
 *           may stay (page/keep.c), and one in SPARE of all where address space is not short. A thread
 *           that returns frames and finds more unmaps some, in rows, until only those for dirty frames
 *           are left. malloc_trim() unmaps them all, and so does a call that would answer NULL for
 *           a large block (page/large.c).
 * Turns     The search goes downwards, on from where the last one ended, and begins again at the top. So
 *           each area waits as long as the others, and its neighbours may join it: a program that frees in
 *           any order then makes less than one system call for each block.
 * Holes     An area between mapped ones leaves a hole, and a hole is one mapping more. With many
 *           areas a hole must be longer, so that there are no more than HOLES.
 * Locked    A program that locks memory wants no page faults later. The system refuses to take a page
 *           of locked memory. So close.c offers it one page of a row first, and a row that is locked
 *           stays, but for a trim and where the answer would be NULL. Once the system has taken a
 *           page, no other row is asked about before the next tick: a call for each row is much.
 * Foreign   Where a call would answer NULL, areas that were FOREIGN are looked at again: their owner
 *           may have unmapped them.
 * Bound     while a program frees, a call looks at VISITS rows and unmaps CALLS of them, of
 *           ROWS_MOST areas together. If it can close none, no thread tries again before there are
 *           SLACK more or a tick is over. A second look at FOREIGN areas makes AGAIN system calls. A trim
 *           looks at all areas.
 * Order     AREA (page/open.h), ROOM.
 * Context   any. Signals are held back while areas are in hand.
 * Failure   the system refuses, as at the limit of mappings: the areas are open again.
 * Tests     tests/unit/page/test_closing.c, tests/unit/page/test_freeing.c, tests/limits/space.c
 */
#include "os/map.h"
#include "os/os.h"
#include "page/areas.h"
#include "page/counts.h"
#include "percpu/system.h"

#define SLACK 16u /* areas: 32 MiB */
#define SPARE 16u /* the share of the mapped areas that may be empty besides */
#define ROWS_MOST 32u
#define CALLS 16u
#define VISITS 256u
#define HOLES 8192u
#define AGAIN 64u
#define ISLANDS 16u

static _Atomic uint32_t in_vain; /* SLACK fewer were empty when none could be closed */
static _Atomic bool none_locked; /* as the system said in this tick */

/* ---- all ---- */

/* Makes empty areas SOON from @first on: how many. */
static uint32_t grab_empty(uint32_t first, uint32_t high)
{
	uint32_t n = 0;

	while (first + n < high && area_take_empty(first + n, AREA_SOON))
		n++;
	return n;
}

/* Areas [first, first+n), which are SOON. False: the system refuses, and they are open again. Their
 * dirty frames were counted as free ones. */
static bool close_row(uint32_t first, uint32_t n)
{
	if (stele_os_unmap(area_memory(first), (size_t)n * AREA_SIZE) != 0) {
		stele_areas_return(first, n);
		return false;
	}
	for (uint32_t i = first; i < first + n; i++)
		room_clear(room_of_area(area_rooms(), i), ~0u);
	stele_dirty_purged(stele_areas_gone(first, n));
	return true;
}

/* ORDER(SPAN) acquire: of areas that were opened. */
static void close_empty(struct stele_zone *zone)
{
	uint32_t high = load_acquire(&zone->high), n;

	for (uint32_t at = zone->first; (at = hint_next(area_hints(), at, high)) < high; at += n) {
		n = grab_empty(at, high);
		if (n)
			close_row(at, n);
		else if (!may_be_whole(load_relaxed(area_count(at))))
			hint_clear(area_hints(), at, area_count(at));
		n = n ? n : 1;
	}
}

/* ORDER(SPAN) acquire: of areas that were opened. */
static uint32_t count_empty(struct stele_zone *zone)
{
	uint32_t high = load_acquire(&zone->high), n = 0;

	for (uint32_t at = zone->first; (at = hint_next(area_hints(), at, high)) < high; at++)
		n += load_relaxed(area_count(at)) == AREA_OPEN;
	return n;
}

/* A thread that left between a step and its count made the number wrong. While others take areas and
 * give them back it stays as it is. */
static void recount_empty(void)
{
	uint32_t before = load_relaxed(&stele_heap.empty), n = 0;

	for (unsigned node = 0; node < stele_nodes.count; node++)
		n += count_empty(&stele_heap.zones[node]);
	if (n != before)
		cas_relaxed(&stele_heap.empty, &before, n);
}

void stele_areas_close_empty(void)
{
	uint64_t signals = stele_areas_begin();

	for (unsigned node = 0; node < stele_nodes.count; node++)
		close_empty(&stele_heap.zones[node]);
	recount_empty();
	stele_areas_end(signals);
	stele_areas_tick();
}

/* ---- some, while a program frees ---- */

static int32_t empty_areas(void)
{
	return (int32_t)load_relaxed(&stele_heap.empty);
}

/* @kept: frames that may stay in them; 0 where address space is short. */
static int32_t empty_may_stay(uint64_t kept)
{
	uint32_t spare = kept ? load_relaxed(&stele_heap.mapped) / SPARE : 0;

	return (int32_t)(SLACK + spare + kept / AREA_FRAMES);
}

bool stele_areas_many(uint64_t kept)
{
	int32_t n = empty_areas();

	return stele_unlikely(n > empty_may_stay(kept)) && n > (int32_t)load_relaxed(&in_vain);
}

void stele_areas_tick(void)
{
	store_relaxed(&in_vain, 0);
	store_relaxed(&none_locked, false);
}

/* A hole between mapped areas costs the process a mapping. */
static bool is_worth_it(const struct stele_zone *zone, uint32_t first, uint32_t n)
{
	return n > load_relaxed(&stele_heap.mapped) / HOLES || !area_is_mapped(zone, first - 1) ||
	       !area_is_mapped(zone, first + n);
}

/* Whether the program has locked the areas from @first on, which are empty and in hand. Asks the system
 * about the first page only. */
static bool is_locked(uint32_t first)
{
	if (load_relaxed(&none_locked))
		return false;
	if (stele_os_purge(area_memory(first), stele_system_facts.page_size) == -EINVAL)
		return true;
	store_relaxed(&none_locked, true);
	return false;
}

/* Makes empty areas SOON from @last on downwards: how many. */
static uint32_t grab_down(const struct stele_zone *zone, uint32_t last, uint32_t most)
{
	uint32_t n = 0;

	while (n < most && last - zone->first >= n && area_take_empty(last - n, AREA_SOON))
		n++;
	return n;
}

struct closing {
	uint32_t areas; /* that may be closed */
	unsigned calls; /* tries that are left */
	uint32_t closed;
};

/* Areas [first, first+n), which are SOON: they are closed, or open again. */
static void close_or_return(const struct stele_zone *zone, uint32_t first, uint32_t n,
			    struct closing *c)
{
	bool worth = is_worth_it(zone, first, n);

	c->calls -= worth;
	if (!worth || is_locked(first)) {
		stele_areas_return(first, n);
	} else if (close_row(first, n)) {
		c->closed += n;
		c->areas -= n;
	}
}

/* How many areas from @last on downwards look empty: a glance. */
static uint32_t empty_down(const struct stele_zone *zone, uint32_t last, uint32_t most)
{
	uint32_t n = 0;

	while (n < most && last - zone->first >= n &&
	       load_relaxed(area_count(last - n)) == AREA_OPEN)
		n++;
	return n;
}

/* Rows from @at on downwards. Where the search ended; the first area of the zone: there is no more. */
static uint32_t close_below(const struct stele_zone *zone, uint32_t at, struct closing *c)
{
	uint32_t n;

	for (unsigned i = 0; i < VISITS && c->calls && c->areas; i++) {
		uint32_t last = room_last_whole(area_rooms(), zone->first, at);

		if (last == ROOM_NONE)
			return zone->first;
		n = empty_down(zone, last, c->areas);
		at = last - n + 1;
		if (n && !is_worth_it(zone, at, n))
			continue;
		n = grab_down(zone, last, n);
		at = last - n + 1;
		if (!n) {
			stele_room_look(last, ROOM_WHOLE);
			at = last;
		} else {
			close_or_return(zone, at, n, c);
		}
	}
	return at;
}

/* ORDER(SPAN) acquire: the areas below were opened. */
static void close_some(struct stele_zone *zone, struct closing *c)
{
	uint32_t high = load_acquire(&zone->high), at = load_relaxed(&zone->closing);

	if (at > zone->first && at < high)
		at = close_below(zone, at, c);
	else
		at = zone->first;
	if (at == zone->first)
		at = close_below(zone, high, c);
	store_relaxed(&zone->closing, at);
}

uint64_t stele_areas_close_some(uint64_t kept)
{
	int32_t left = (int32_t)(kept / AREA_FRAMES), n = empty_areas();
	struct closing c = { .calls = CALLS };
	uint64_t signals = stele_areas_begin();

	if (n > left)
		c.areas = STELE_MIN((uint32_t)(n - left), ROWS_MOST);
	for (unsigned node = stele_nodes.count; node-- > 0;)
		close_some(&stele_heap.zones[node], &c);
	if (!c.closed)
		store_relaxed(&in_vain, (uint32_t)STELE_MAX(empty_areas(), 0) + SLACK);
	stele_areas_end(signals);
	return (uint64_t)c.closed * AREA_FRAMES;
}

/* ---- rows that a purger has in hand ---- */

/* Whether a row of empty areas is unmapped rather than purged. */
static bool shall_close(uint32_t first, uint32_t n)
{
	return empty_areas() >= (int32_t)SLACK && is_worth_it(zone_of_area(first), first, n) &&
	       !is_locked(first);
}

bool stele_areas_give_row(uint32_t first, uint32_t n, bool close)
{
	uint64_t dirty = stele_areas_dirty(first, n);

	if (close && shall_close(first, n))
		return close_row(first, n);
	if (stele_os_purge(area_memory(first), (size_t)n * AREA_SIZE) != 0) {
		stele_areas_return(first, n);
		return false;
	}
	for (uint32_t i = first; i < first + n; i++)
		stele_area_clear_dirty(i);
	stele_areas_return(first, n);
	stele_dirty_purged(dirty);
	return true;
}

bool stele_areas_are_island(uint32_t first, uint32_t n)
{
	const struct stele_zone *zone = zone_of_area(first);

	return n <= load_relaxed(&stele_heap.mapped) / ISLANDS &&
	       !area_is_mapped(zone, first - 1) && !area_is_mapped(zone, first + n);
}

/* ---- areas that had a foreign mapping ---- */

/* FOREIGN -> CLOSED, if nothing is there; OPEN, if the system refuses to unmap it again. */
static bool forgive(uint32_t number)
{
	if (!area_begin_foreign(area_count(number)))
		return false;
	if (stele_areas_probe(number, 1) != 0)
		store_relaxed(area_count(number), AREA_MET);
	else
		sub_relaxed(&stele_heap.foreign, 1);
	return stele_area_let_go(number);
}

/* ORDER(SPAN) acquire: the areas below were opened. */
bool stele_areas_look_again(struct stele_zone *zone)
{
	uint32_t high = load_acquire(&zone->high), found = 0, tries = AGAIN;
	uint64_t signals;

	if (stele_likely(!load_relaxed(&stele_heap.foreign)))
		return false;
	signals = stele_areas_begin();
	for (uint32_t i = zone->first; i < high && tries; i++) {
		if (load_relaxed(area_count(i)) != AREA_FOREIGN)
			continue;
		found += forgive(i);
		tries--;
	}
	stele_areas_end(signals);
	return found;
}
