/* SPDX-License-Identifier: MIT */
/*
 * page/run.c - runs of frames from areas, and their descriptors
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
 *           and again while other threads have areas in their hands, PATIENCE times.
 * Order     AREA (page/area.h), PAGEMAP (page/map.h).
 * Failure   NULL; a claim that found no run is returned before the next area is tried.
 * Tests     tests/unit/page/test_run.c
 */
#include "page/run.h"
#include "os/os.h"
#include "base/options.h"
#include "page/clear.h"
#include "page/dirty.h"
#include "page/heap.h"
#include "page/map.h"
#include "page/valid.h"
#include "page/where.h"
#include "percpu/percpu.h"
#include "sync/stack.h"

#define HINTS 64
#define LARGE_ROW ROOM_BORDER
#define LOOSE 4u /* areas tried whose longest row may be too short by a quarter */
#define LOOKS 64u

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

	return link ? run_of_link(link) : NULL;
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
		if (!frames_claim(number, here))
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
		already += dirty_set(area_at((uint32_t)(frame / AREA_FRAMES)), frame % AREA_FRAMES,
				     here);
	}
	return already;
}

static void zero_row(uint64_t frame, unsigned n)
{
	for (unsigned here; n; frame += here, n -= here) {
		uint32_t number = (uint32_t)(frame / AREA_FRAMES);
		unsigned first = frame % AREA_FRAMES;

		here = frames_here(frame, n);
		dirty_zero(area_at(number), first, here, area_memory(number) + first * FRAME_SIZE);
	}
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
 * long ones unless another thread is faster. ORDER(SPAN) acquire: they were opened.
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

/* Where the answer would be NULL: in all areas. ORDER(SPAN) acquire: they were opened. */
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

static int64_t take_in(unsigned node, unsigned frames, unsigned align, bool hard)
{
	struct stele_zone *zone = &stele_heap.zones[node];

	return hard ? take_hard(zone, frames, align) : take_in_zone(zone, frames, align);
}

/* In the wanted node's zone, else in the others, the nearest first. */
static int64_t take_in_zones(unsigned where, unsigned frames, unsigned align, bool hard)
{
	unsigned node = where_node(where), which = 0;
	int64_t frame = take_in(node, frames, align, hard);
	int other;

	if (where & WHERE_ONLY)
		return frame;
	while (frame < 0 && (other = stele_node_farther(node, &which)) >= 0)
		frame = take_in((unsigned)other, frames, align, hard);
	return frame;
}

#define PATIENCE 100u

/* Where the answer would be NULL: other threads may have areas in their hands (page/large.c). */
static __attribute__((noinline, cold)) int64_t take_late(unsigned where, unsigned frames,
							 unsigned align)
{
	int64_t frame = take_in_zones(where, frames, align, true);

	for (unsigned i = 0; frame < 0 && i < PATIENCE && stele_areas_busy(); i++) {
		stele_os_yield();
		frame = take_in_zones(where, frames, align, false);
	}
	return frame;
}

static int64_t take_frames(unsigned where, unsigned frames, unsigned align)
{
	int64_t frame = take_in_zones(where, frames, align, false);

	return stele_unlikely(frame < 0) ? take_late(where, frames, align) : frame;
}

/* ---- runs ---- */

/* The lowest row that is longer than an area; another thread may be faster. */
static int64_t take_long_row(unsigned where, unsigned frames, unsigned align)
{
	const struct stele_zone *zone = &stele_heap.zones[where_node(where)];
	uint32_t from = zone->first;

	for (unsigned i = 0; i < LOOKS; i++) {
		int64_t frame = stele_long_find(zone, &from, frames, align);

		if (frame < 0 || stele_row_take((uint64_t)frame, frames))
			return frame;
	}
	return -1;
}

/* With frames; whether they read as zero is not known. */
static struct run *run_with_frames(int64_t (*find)(unsigned where, unsigned frames, unsigned align),
				   unsigned where, unsigned frames, unsigned align)
{
	struct run *run = stele_descriptor_take();
	int64_t frame;

	if (!run)
		return NULL;
	STELE_POINT("run:descriptor");
	frame = find(where, frames, align);
	if (frame < 0) {
		stele_run_return_descriptor(run);
		return NULL;
	}
	run->base = (uintptr_t)area_memory(0) + (uint64_t)frame * FRAME_SIZE;
	stele_run_begin(run, (size_t)frames * FRAME_SIZE);
	return run;
}

struct run *stele_run_take_from(unsigned where, unsigned frames, unsigned align, bool *clean)
{
	struct run *run = NULL;

	if (!stele_page_fault_injected())
		run = run_with_frames(take_frames, where, frames, align);
	if (run)
		*clean = row_was_taken(frame_of(run->base), frames) == 0;
	return run;
}

/* Its frames are marked dirty from now on; before that they are cleared if they are to be zero. */
static struct run *begin_block(struct run *run, bool zero)
{
	if (!run)
		return NULL;
	if (zero)
		zero_row(frame_of(run->base), run->frames);
	row_was_taken(frame_of(run->base), run->frames);
	return run;
}

struct run *stele_run_take_block(unsigned where, unsigned frames, unsigned align, bool zero)
{
	if (stele_page_fault_injected())
		return NULL;
	return begin_block(run_with_frames(take_frames, where, frames, align), zero);
}

struct run *stele_run_take_long(unsigned where, unsigned frames, unsigned align, bool zero)
{
	return begin_block(run_with_frames(take_long_row, where, frames, align), zero);
}

/* Returns frames that are off the map. */
static void return_frames(uintptr_t base, unsigned frames, enum effort effort)
{
	uint64_t frame = frame_of(base);
	uint32_t number = (uint32_t)(frame / AREA_FRAMES);

	/* Frames that were given back before may have another owner by now. */
	STELE_MUST(area_claimed(load_relaxed(area_count(number))) - 1 < AREA_FRAMES);
	if (stele_opt.init_on_free)
		stele_pages_clear((void *)base, frames * FRAME_SIZE, effort);
	row_return(frame, frames);
	stele_purge_noted(number, (uint32_t)((frame + frames - 1) / AREA_FRAMES));
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
