/* SPDX-License-Identifier: MIT */
/*
 * page/run.c - runs of frames from areas, and their descriptors
 *
 * Idea      First fit from the lowest area that may have room, so that high areas empty
 *           and can be given back; each slot starts at the area it used last, so that
 *           CPUs rarely meet in one.
 * Objects   low: areas below were seen full. It is a hint and may be wrong; before a new
 *           area is opened all of them are looked at.
 * Order     AREA (page/area.h), PAGEMAP (page/run.h).
 * Failure   NULL; a claim that found no run is returned before the next area is tried.
 * Tests     tests/unit/page/test_run.c
 */
#include "page/run.h"
#include "page/heap.h"
#include "percpu/system.h"
#include "sync/mutex.h"

#define HINTS 64

static struct stele_stack free_descriptors;
static _Atomic uint32_t low;
static _Atomic uint32_t hints[HINTS];
static _Atomic uint64_t frames_used;
int stele_inject_page_fail;

bool stele_page_fault_injected(void)
{
	if (stele_likely(!stele_inject_page_fail))
		return false;
	if (stele_inject_page_fail < 0)
		return true;
	if (stele_inject_page_fail > 1) {
		stele_inject_page_fail--;
		return false;
	}
	stele_inject_page_fail = -1;
	return true;
}

/* ---- descriptors ---- */

/* Usable before it is counted: a failed commit leaves nothing to undo. */
static struct run *new_descriptor(void)
{
	uint64_t at = load_relaxed(&stele_heap.next_descriptor);
	struct run *run;

	do {
		run = (struct run *)(stele_hot.base + at);
		if (at + sizeof(struct run) > stele_heap.descriptors_end ||
		    stele_heap_commit(run, sizeof(*run)) != 0)
			return NULL;
	} while (!cas_relaxed(&stele_heap.next_descriptor, &at, at + sizeof(struct run)));
	return run;
}

struct run *stele_descriptor_take(void)
{
	struct stele_link *link = stack_pop(&free_descriptors, stele_hot.base);

	return link ? STELE_CONTAINER_OF(link, struct run, link) : new_descriptor();
}

void stele_run_return_descriptor(struct run *run)
{
	run->kind = RUN_NONE;
	stack_push(&free_descriptors, stele_hot.base, &run->link);
}

void stele_run_each(void (*each)(struct run *, void *), void *arg)
{
	uint64_t end = load_acquire(&stele_heap.next_descriptor);

	for (uint64_t at = stele_heap.descriptors_at; at < end; at += sizeof(struct run))
		each((struct run *)(stele_hot.base + at), arg);
}

/* ---- areas ---- */

int stele_areas_open(uint32_t first, uint32_t n)
{
	uint32_t high = load_acquire(&stele_heap.areas_high), end = first + n;
	uintptr_t from;
	char *map;

	/* What an alignment leaves out counts as opened, too. */
	first = first < high ? first : high;
	n = end - first;
	from = (uintptr_t)area_memory(first) - (uintptr_t)stele_hot.base;
	map = stele_hot.base + STELE_MAP_OFFSET + from / FRAME_SIZE * 4;
	if (stele_heap_commit(area_memory(first), (size_t)n * AREA_SIZE) != 0 ||
	    stele_heap_commit(map, (size_t)n * AREA_FRAMES * 4) != 0 ||
	    stele_heap_commit(area_count(first), n * 4ul) != 0 ||
	    stele_heap_commit(area_at(first), n * sizeof(struct area)) != 0)
		return -1;
	while (high < end && !atomic_compare_exchange_weak(&stele_heap.areas_high, &high, end))
		;
	return 0;
}

unsigned stele_mark_dirty(struct area *area, unsigned first, unsigned n)
{
	unsigned already = 0;

	while (n) {
		unsigned bit = first % 64, here = n < 64 - bit ? n : 64 - bit;
		uint64_t mask = bits_mask(bit, here);
		uint64_t old = load_relaxed(&area->dirty[first / 64]);

		if ((old & mask) != mask)
			old = or_relaxed(&area->dirty[first / 64], mask);
		already += (unsigned)__builtin_popcountll(old & mask);
		first += here;
		n -= here;
	}
	return already;
}

/* Frames in area @number, or -1. */
static int take_in_area(uint32_t number, unsigned frames, unsigned align, bool *clean)
{
	struct area *area = area_at(number);
	int first;
	unsigned already;

	if (!area_claim(area_count(number), frames))
		return -1;
	first = area_take(area, frames, align);
	if (first < 0) {
		area_unclaim(area_count(number), frames);
		return -1;
	}
	already = stele_mark_dirty(area, (unsigned)first, frames);
	if (already)
		stele_dirty_taken(already);
	*clean = already == 0;
	return first;
}

/* Looks at areas [from, high). The address, or NULL. */
static char *take_from(uint32_t from, unsigned frames, unsigned align, bool *clean, bool raise_low)
{
	uint32_t high = load_acquire(&stele_heap.areas_high);

	for (uint32_t number = from; number < high; number++) {
		int first = take_in_area(number, frames, align, clean);

		if (first >= 0) {
			store_relaxed(&hints[stele_slot_now() % HINTS], number);
			return area_memory(number) + (size_t)first * FRAME_SIZE;
		}
		if (raise_low && load_relaxed(area_count(number)) >= AREA_FRAMES &&
		    load_relaxed(&low) == number)
			store_relaxed(&low, number + 1);
	}
	return NULL;
}

static char *take_frames(unsigned frames, unsigned align, bool *clean)
{
	uint32_t hint = load_relaxed(&hints[stele_slot_now() % HINTS]);
	uint32_t high = load_acquire(&stele_heap.areas_high);
	char *p = NULL;
	int first = hint < high ? take_in_area(hint, frames, align, clean) : -1;

	if (first >= 0)
		return area_memory(hint) + (size_t)first * FRAME_SIZE;
	p = take_from(load_relaxed(&low), frames, align, clean, true);
	if (!p && load_relaxed(&low) > 0)
		p = take_from(0, frames, align, clean, false);
	while (!p) {
		/* A new area. Somebody else may fill it before us: then the next one. */
		high = load_acquire(&stele_heap.areas_high);
		if (high >= stele_heap.areas_max || stele_areas_open(high, 1) != 0)
			return NULL;
		p = take_from(high, frames, align, clean, false);
	}
	return p;
}

/* ---- runs ---- */

struct run *stele_run_take(unsigned frames, unsigned align, bool *clean)
{
	struct run *run;
	char *p;

	if (stele_page_fault_injected())
		return NULL;
	run = stele_descriptor_take();
	if (!run)
		return NULL;
	STELE_POINT("run:descriptor");
	p = take_frames(frames, align, clean);
	if (!p) {
		stele_run_return_descriptor(run);
		return NULL;
	}
	add_relaxed(&frames_used, frames);
	run->base = (uintptr_t)p;
	run->bytes = (size_t)frames * FRAME_SIZE;
	run->frames = frames;
	run->recip = 0;
	run->cache = NULL;
	return run;
}

static _Atomic uint32_t *map_entry(uintptr_t address)
{
	uint64_t offset = address - (uintptr_t)stele_hot.base;

	return (_Atomic uint32_t *)(stele_hot.base + STELE_MAP_OFFSET) + (offset >> FRAME_SHIFT);
}

static void map_set(struct run *run, uint32_t ref)
{
	_Atomic uint32_t *entry = map_entry(run->base);
	unsigned n = run->kind == RUN_HUGE ? 1 : run->frames;

	for (unsigned i = 0; i < n; i++)
		store_relaxed(&entry[i], ref);
}

void stele_run_publish(struct run *run)
{
	/* ORDER(PAGEMAP) release: the descriptor is complete before it can be found, and both
	 * before an address in the run reaches another thread. */
	fence_release();
	map_set(run, (uint32_t)(((uintptr_t)run - (uintptr_t)stele_hot.base) / 8));
	fence_release();
}

void stele_run_unmap(struct run *run)
{
	map_set(run, 0);
	STELE_POINT("run:unmapped");
}

/* Returns frames of one area that are off the map. */
static void return_frames(uintptr_t base, unsigned frames)
{
	uint32_t number = area_of(base), seen = load_relaxed(&low);
	unsigned first = (unsigned)((base - (uintptr_t)area_memory(number)) / FRAME_SIZE);

	sub_relaxed(&frames_used, frames);
	area_return(area_at(number), area_count(number), first, frames);
	while (number < seen && !cas_relaxed(&low, &seen, number))
		;
	stele_dirty_returned(frames);
}

void stele_run_return_frames(struct run *run)
{
	stele_run_unmap(run);
	return_frames(run->base, run->frames);
}

void stele_run_trim(struct run *run, unsigned frames)
{
	unsigned gone = run->frames - frames;
	uintptr_t tail = run->base + frames * FRAME_SIZE;
	_Atomic uint32_t *entry = map_entry(tail);

	for (unsigned i = 0; i < gone; i++)
		store_relaxed(&entry[i], 0);
	run->frames = frames;
	run->bytes = frames * FRAME_SIZE;
	return_frames(tail, gone);
}

void stele_run_extend(struct run *run, unsigned frames)
{
	uint32_t number = area_of(run->base);
	unsigned first = (unsigned)((run->base - (uintptr_t)area_memory(number)) / FRAME_SIZE);
	unsigned more = frames - run->frames;
	unsigned already = stele_mark_dirty(area_at(number), first + run->frames, more);

	if (already)
		stele_dirty_taken(already);
	add_relaxed(&frames_used, more);
	run->frames = frames;
	run->bytes = frames * FRAME_SIZE;
	stele_run_publish(run);
}

void stele_run_return(struct run *run)
{
	stele_run_return_frames(run);
	stele_run_return_descriptor(run);
}

struct stele_page_stats stele_page_stats(void)
{
	return (struct stele_page_stats){
		.used = load_relaxed(&frames_used) * FRAME_SIZE,
		.dirty_free = stele_dirty_free() * FRAME_SIZE,
		.areas = load_relaxed(&stele_heap.areas_high),
	};
}
