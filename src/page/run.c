/* SPDX-License-Identifier: MIT */
/*
 * page/run.c - runs of frames from areas, and their descriptors
 *
 * Idea      First fit from the lowest area that may have room, so that high areas empty
 *           and can be given back; each slot starts at the area it used last, so that
 *           CPUs rarely meet in one. Long rows are fitted from the lowest always, and over
 *           the border of two areas: they would leave holes elsewhere.
 * Nodes     each has its zone, a stretch of areas, where all of this happens; the next one is
 *           tried when no more of it can be opened (page/areas.c).
 * Objects   low of a zone: areas below were seen full. It is a hint and may be wrong; before a new
 *           area is opened all of them are looked at.
 * Order     AREA (page/area.h), PAGEMAP (page/map.h).
 * Failure   NULL; a claim that found no run is returned before the next area is tried.
 * Tests     tests/unit/page/test_run.c
 */
#include "page/run.h"
#include "page/heap.h"
#include "page/map.h"
#include "page/valid.h"
#include "percpu/system.h"
#include "sync/mutex.h"

#define HINTS 64
#define LARGE_ROW 17u /* frames: longer than any slab */

static struct stele_stack free_descriptors;
static _Atomic uint32_t hints[HINTS];
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

/* Usable before it is counted: where no more can be mapped there is nothing to undo. */
static struct run *new_descriptor(void)
{
	uint64_t at = load_relaxed(&stele_heap.next_descriptor);
	size_t end;

	do {
		end = at + sizeof(struct run) - stele_heap.descriptors_at;
		if (stretch_reach(&stele_heap.tables[TABLE_RUNS], end, end + end / 8) != 0)
			return NULL;
		/* ORDER(STRETCH) release: it is mapped. */
	} while (!cas_release(&stele_heap.next_descriptor, &at, at + sizeof(struct run)));
	return (struct run *)(stele_hot.base + at);
}

static struct run *free_descriptor(void)
{
	struct stele_link *link = stack_pop(&free_descriptors, stele_hot.base);

	return link ? STELE_CONTAINER_OF(link, struct run, link) : NULL;
}

/* Of the floors above; fixed when the library is loaded. */
static bool (*find_descriptors)(void), (*find_memory)(void);

void stele_run_when_short(bool (*descriptors)(void), bool (*memory)(void))
{
	find_descriptors = descriptors;
	find_memory = memory;
}

bool stele_run_find_memory(void)
{
	return find_memory && find_memory();
}

/* Out of line: a floor above may have some that it does not need. */
static __attribute__((noinline, cold)) struct run *short_of_descriptors(void)
{
	return find_descriptors && find_descriptors() ? free_descriptor() : NULL;
}

struct run *stele_descriptor_take(void)
{
	struct run *run = free_descriptor();

	if (!run)
		run = new_descriptor();
	if (stele_unlikely(!run))
		run = short_of_descriptors();
	/* A large block that waited for readers had it set until the end. */
	if (run)
		store_relaxed(&run->grace.done, NULL);
	return run;
}

void stele_run_return_descriptor(struct run *run)
{
	run->kind = RUN_NONE;
	stack_push(&free_descriptors, stele_hot.base, &run->link);
}

void stele_run_begin(struct run *run, size_t bytes)
{
	run->bytes = bytes;
	run->frames = (uint32_t)(bytes / FRAME_SIZE);
	run->recip = 0;
	run->tag = 0;
	run->cache = NULL;
}

void stele_run_each(void (*each)(struct run *, void *), void *arg)
{
	/* ORDER(STRETCH) acquire: all below are mapped. */
	uint64_t end = load_acquire(&stele_heap.next_descriptor);

	for (uint64_t at = stele_heap.descriptors_at; at < end; at += sizeof(struct run))
		each((struct run *)(stele_hot.base + at), arg);
}

/* ---- the page map ---- */

void stele_run_publish(struct run *run)
{
	run_map(run);
	STELE_SOUND(stele_run_valid(run));
}

void stele_run_unmap(struct run *run)
{
	run_unmap(run);
	STELE_POINT("run:unmapped");
}

/* ---- frames of areas ---- */

unsigned stele_mark_dirty(struct area *area, unsigned first, unsigned n)
{
	unsigned already = 0, end = first + n;

	while (first < end) {
		unsigned here = STELE_MIN(64 - first % 64, end - first);
		uint64_t mask = bits_mask(first % 64, here);
		uint64_t old = load_relaxed(&area->dirty[first / 64]);

		if ((old & mask) != mask)
			old = or_relaxed(&area->dirty[first / 64], mask);
		already += (unsigned)__builtin_popcountll(old & mask);
		first += here;
	}
	return already;
}

/* ---- rows: frames counted from the arena's start, in one area or over several ---- */

/* How many frames of [frame, frame+n) lie in the area of the first one. */
static unsigned frames_here(uint64_t frame, unsigned n)
{
	unsigned room = AREA_FRAMES - (unsigned)(frame % AREA_FRAMES);

	return n < room ? n : room;
}

static void row_return(uint64_t frame, unsigned n)
{
	for (unsigned here; n; frame += here, n -= here) {
		uint32_t number = (uint32_t)(frame / AREA_FRAMES);

		here = frames_here(frame, n);
		frames_return(number, frame % AREA_FRAMES, here);
	}
}

bool stele_row_take(uint64_t frame, unsigned n)
{
	unsigned done = 0;

	for (unsigned here; done < n; done += here) {
		uint32_t number = (uint32_t)((frame + done) / AREA_FRAMES);

		here = frames_here(frame + done, n - done);
		if (!area_claim(area_count(number), here))
			break;
		if (!take_at(area_at(number), (frame + done) % AREA_FRAMES, here)) {
			frames_unclaim(number, here);
			break;
		}
	}
	if (done < n)
		row_return(frame, done);
	return done == n;
}

/* Returns how many were dirty before. */
static unsigned mark_row_dirty(uint64_t frame, unsigned n)
{
	unsigned already = 0;

	for (unsigned here; n; frame += here, n -= here) {
		here = frames_here(frame, n);
		already += stele_mark_dirty(area_at((uint32_t)(frame / AREA_FRAMES)),
					    frame % AREA_FRAMES, here);
	}
	return already;
}

static inline unsigned row_was_taken(uint64_t frame, unsigned n)
{
	unsigned already = mark_row_dirty(frame, n);

	stele_frames_taken(n, already);
	return already;
}

/* ---- taking: the first frame of the arena that was found, or -1 ---- */

static int64_t take_in_area(uint32_t number, unsigned frames, unsigned align)
{
	int first;

	if (!area_claim(area_count(number), frames))
		return -1;
	first = area_take(area_at(number), frames, align);
	if (first < 0) {
		frames_unclaim(number, frames);
		return -1;
	}
	return (int64_t)number * AREA_FRAMES + first;
}

static unsigned free_at_end(struct area *area)
{
	unsigned w = AREA_WORDS;
	uint64_t used = 0;

	while (w > 0 && !(used = load_relaxed(&area->used[w - 1])))
		w--;
	return (AREA_WORDS - w) * 64 + (used ? (unsigned)__builtin_clzll(used) : 0);
}

static unsigned free_at_start(struct area *area)
{
	unsigned w = 0;
	uint64_t used = 0;

	while (w < AREA_WORDS && !(used = load_relaxed(&area->used[w])))
		w++;
	return w * 64 + (used ? (unsigned)__builtin_ctzll(used) : 0);
}

/* Frames at the end of area @number - 1 and at the start of area @number. */
static int64_t take_across(const struct stele_zone *zone, uint32_t number, unsigned frames,
			   unsigned align)
{
	uint64_t border = (uint64_t)number * AREA_FRAMES, frame;

	if (frames < LARGE_ROW || number == zone->first || area_is_full(number) ||
	    area_is_full(number - 1))
		return -1;
	frame = STELE_ALIGN_UP(border - free_at_end(area_at(number - 1)), (uint64_t)align);
	if (frame >= border || frame + frames > border + free_at_start(area_at(number)))
		return -1;
	return stele_row_take(frame, frames) ? (int64_t)frame : -1;
}

/* Looks at areas [from, high). ORDER(SPAN) acquire: they were opened. */
static int64_t take_from(struct stele_zone *zone, uint32_t from, unsigned frames, unsigned align,
			 bool raise_low)
{
	uint32_t high = load_acquire(&zone->high);

	for (uint32_t number = from; number < high; number++) {
		int64_t frame = take_across(zone, number, frames, align);

		if (frame < 0)
			frame = take_in_area(number, frames, align);
		if (frame >= 0) {
			store_relaxed(&hints[stele_slot_now() % HINTS], number);
			return frame;
		}
		if (raise_low && area_is_full(number) && load_relaxed(&zone->low) == number)
			store_relaxed(&zone->low, number + 1);
	}
	return -1;
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
		frame = take_from(zone, load_relaxed(&zone->low), frames, align, true);
	if (frame < 0 && load_relaxed(&zone->low) > zone->first)
		frame = take_from(zone, zone->first, frames, align, false);
	while (frame < 0) {
		/* New areas. Another thread may fill them before us: then the next ones. */
		first = stele_areas_open(zone);
		if (first < 0)
			return -1;
		frame = take_from(zone, (uint32_t)first, frames, align, false);
	}
	return frame;
}

static int64_t take_elsewhere(unsigned node, unsigned frames, unsigned align)
{
	unsigned which = 0;
	int64_t frame = -1;
	int other;

	while (frame < 0 && (other = stele_node_farther(node, &which)) >= 0)
		frame = take_in_zone(&stele_heap.zones[other], frames, align);
	return frame;
}

static int64_t take_frames(unsigned where, unsigned frames, unsigned align)
{
	unsigned node = where_node(where);
	int64_t frame = take_in_zone(&stele_heap.zones[node], frames, align);

	return frame < 0 && !(where & WHERE_ONLY) ? take_elsewhere(node, frames, align) : frame;
}

/* ---- runs ---- */

struct run *stele_run_take_from(unsigned where, unsigned frames, unsigned align, bool *clean)
{
	struct run *run;
	int64_t frame;

	if (stele_page_fault_injected())
		return NULL;
	run = stele_descriptor_take();
	if (!run)
		return NULL;
	STELE_POINT("run:descriptor");
	frame = take_frames(where, frames, align);
	if (frame < 0) {
		stele_run_return_descriptor(run);
		return NULL;
	}
	*clean = row_was_taken((uint64_t)frame, frames) == 0;
	run->base = (uintptr_t)area_memory(0) + (uint64_t)frame * FRAME_SIZE;
	stele_run_begin(run, (size_t)frames * FRAME_SIZE);
	return run;
}

/* Returns frames that are off the map. */
static void return_frames(uintptr_t base, unsigned frames, enum effort effort)
{
	uint64_t frame = frame_of(base);
	uint32_t number = (uint32_t)(frame / AREA_FRAMES), seen;
	struct stele_zone *zone = zone_of_area(number);

	/* Frames that were given back before may have another owner by now. */
	STELE_MUST(area_claimed(load_relaxed(area_count(number))) - 1 < AREA_FRAMES);
	row_return(frame, frames);
	stele_purge_noted(number, (uint32_t)((frame + frames - 1) / AREA_FRAMES));
	seen = load_relaxed(&zone->low);
	while (number < seen && !cas_relaxed(&zone->low, &seen, number))
		;
	stele_frames_returned(frames, effort);
}

void stele_run_return_frames(struct run *run, enum effort effort)
{
	stele_run_unmap(run);
	return_frames(run->base, run->frames, effort);
}

void stele_run_trim(struct run *run, unsigned frames)
{
	unsigned gone = run->frames - frames;
	uintptr_t tail = run->base + frames * FRAME_SIZE;

	run_cut(run, frames);
	return_frames(tail, gone, EFFORT_USUAL);
}

void stele_run_extend(struct run *run, unsigned frames)
{
	row_was_taken(frame_of(run->base) + run->frames, frames - run->frames);
	run->frames = frames;
	run->bytes = frames * FRAME_SIZE;
	stele_run_publish(run);
}

void stele_run_return(struct run *run)
{
	stele_run_return_frames(run, EFFORT_USUAL);
	stele_run_return_descriptor(run);
}
