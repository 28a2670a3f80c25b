/* SPDX-License-Identifier: MIT */
/*
 * page/large.c - one allocation with frames or areas of its own
 *
 * Idea      Less than an area: exact frames. Above: whole areas of the same arena, of
 *           which only what is touched costs memory. So there is no registry of foreign
 *           mappings, nothing to lock, and growth in place is taking the next areas. A block that
 *           cannot grow in place moves by page tables, and is a mapping of its own from then on.
 * States    an area's count: page/open.h.
 * Order     AREA, PAGEMAP.
 * Failure   NULL; areas taken so far are returned.
 * Tests     tests/unit/page/test_large.c
 */
#include "base/options.h"
#include "os/map.h"
#include "os/os.h"
#include "page/clear.h"
#include "page/dirty.h"
#include "page/heap.h"
#include "page/map.h"
#include "page/run.h"
#include "page/where.h"
#include "percpu/system.h"
#include "trace/probe.h"
#include "trace/trace.h"
#include <stele/page.h>
#include <string.h>

#define LARGE_FRAMES (AREA_FRAMES - 1)
#define KEEP_MAX (32ul << 20)

static uint32_t areas_for(size_t bytes)
{
	return (uint32_t)((bytes + AREA_SIZE - 1) / AREA_SIZE);
}

/* Frames of [first, first+n) that may not read as zero. */
static uint64_t dirty_in(uint32_t first, uint32_t n)
{
	uint64_t dirty = 0;

	for (uint32_t i = first; i < first + n; i++)
		dirty += area_bits(area_at(i)->dirty);
	return dirty;
}

/* In the wanted node's zone, else in the others, the nearest first. */
static int64_t look_for_areas(unsigned where, uint32_t n, uint32_t align, unsigned how)
{
	unsigned node = where_node(where), which = 0;
	int64_t first = stele_areas_take(&stele_heap.zones[node], n, align, how);
	int other;

	if (where & WHERE_ONLY)
		return first;
	while (first < 0 && (other = stele_node_farther(node, &which)) >= 0)
		first = stele_areas_take(&stele_heap.zones[other], n, align, how);
	return first;
}

#define PATIENCE 100u

/*
 * Where there are none, another thread may have some in its hands that are free but for that: to
 * purge, to open, to close. It gets a few turns to give them back. A thread that never does costs the
 * others these turns, and only where the answer would be NULL anyway. The last look finds areas that
 * came free behind the one before, and does without those that such a thread never gives back.
 */
static int64_t find_areas(unsigned where, uint32_t n, uint32_t align, unsigned how)
{
	int64_t first = look_for_areas(where, n, align, how);

	if (stele_unlikely(first < 0) &&
	    stele_areas_look_again(&stele_heap.zones[where_node(where)]))
		first = look_for_areas(where, n, align, how);
	for (unsigned i = 0; first < 0 && i < PATIENCE && stele_areas_busy(); i++) {
		stele_os_yield();
		first = look_for_areas(where, n, align, how);
	}
	return first < 0 ? look_for_areas(where, n, align, how | ROW_ANYWHERE) : first;
}

int64_t stele_area_keep(unsigned node)
{
	int64_t number = find_areas(node | WHERE_ONLY, 1, 1, 0);

	if (number < 0)
		return -1;
	/* Both say that it is taken whole. */
	store_relaxed(area_count((uint32_t)number), AREA_KEPT);
	stele_huge_taken(0, dirty_in((uint32_t)number, 1)); /* counted as no use */
	/* Refused: then it is mapped already when more of it is wanted. */
	stele_os_unmap(area_memory((uint32_t)number) + STELE_MAP_UNIT, AREA_SIZE - STELE_MAP_UNIT);
	return number;
}

void stele_area_let_go(uint32_t number)
{
	stele_areas_close(number, 1); /* a refusal loses it: it may be mapped in part */
}

/* More than there is: refused as the system itself would refuse it, unless it is told not to. */
static bool absurd(size_t bytes)
{
	uint64_t ram;

	if (bytes < 1ul << 30)
		return false;
	if (bytes > stele_system_facts.arena_bytes)
		return true;
	ram = stele_os_ram_bytes();
	return ram && bytes > ram && stele_os_overcommit() != STELE_OS_OVERCOMMIT_ALWAYS;
}

static struct run *huge_run(size_t bytes, size_t align, unsigned how, unsigned where)
{
	uint32_t n = areas_for(bytes);
	int64_t first;
	struct run *run;

	if (absurd(bytes) || stele_page_fault_injected())
		return NULL;
	run = stele_descriptor_take();
	if (!run)
		return NULL;
	first = find_areas(where, n, align > AREA_SIZE ? (uint32_t)(align / AREA_SIZE) : 1, how);
	if (first < 0) {
		stele_run_return_descriptor(run);
		return NULL;
	}
	run->base = (uintptr_t)area_memory((uint32_t)first);
	run->bytes = bytes;
	run->kind = RUN_HUGE;
	run->recip = 0;
	run->tag = 0;
	run->cache = NULL;
	run->size = 0;
	run->frames = n; /* areas, for this kind */
	return run;
}

/* Zeroes the frames of @run that may hold something; the others cost nothing. */
static void zero_dirty(struct run *run)
{
	uint32_t first = area_of(run->base);

	for (uint32_t i = 0; i < run->frames * AREA_FRAMES; i++) {
		struct area *area = area_at(first + i / AREA_FRAMES);
		unsigned frame = i % AREA_FRAMES;

		if (load_relaxed(&area->dirty[frame / 64]) >> frame % 64 & 1)
			memset((char *)run->base + i * FRAME_SIZE, 0, FRAME_SIZE);
	}
}

static void *huge_alloc(size_t bytes, size_t align, bool zero, unsigned where)
{
	struct run *run =
		huge_run(STELE_ALIGN_UP(bytes, stele_system_facts.page_size), align, 0, where);
	uint64_t dirty;

	if (!run)
		return NULL;
	dirty = dirty_in(area_of(run->base), run->frames);
	if (dirty && zero)
		zero_dirty(run);
	stele_huge_taken(run->bytes / FRAME_SIZE, dirty);
	stele_run_publish(run);
	return (void *)run->base;
}

static void *large_alloc(size_t bytes, size_t align, bool zero, unsigned where)
{
	size_t frames = (bytes + FRAME_SIZE - 1) / FRAME_SIZE, page = stele_system_facts.page_size;
	struct run *run;
	bool clean;

	if (bytes > PTRDIFF_MAX || align > stele_system_facts.arena_bytes)
		return NULL;
	if (frames > LARGE_FRAMES || align > AREA_SIZE / 2)
		return huge_alloc(bytes, align, zero, where);
	align = align > page ? align : page;
	run = stele_run_take_from(where, (unsigned)frames, (unsigned)(align / FRAME_SIZE), &clean);
	if (!run)
		return NULL;
	run->kind = RUN_LARGE;
	if (zero && !clean)
		memset((void *)run->base, 0, run->bytes);
	stele_run_publish(run);
	return (void *)run->base;
}

/* ---- events ---- */

static __attribute__((noinline, cold)) void taken_event(const void *p, size_t bytes_req,
							size_t bytes, unsigned gfp)
{
	TRACE(MM_PAGE_ALLOC, .ptr = p, .bytes_req = bytes_req, .bytes_alloc = bytes,
	      .order = (unsigned)get_order(bytes), .gfp_flags = gfp);
}

static __attribute__((noinline, cold)) void given_event(const void *p, size_t bytes)
{
	TRACE(MM_PAGE_FREE, .ptr = p, .bytes_alloc = bytes, .order = (unsigned)get_order(bytes));
}

void stele_pages_taken(const void *p, size_t bytes_req, size_t bytes, unsigned gfp)
{
	probe_mm_page_alloc(p, bytes, gfp);
	if (trace_asked(STELE_TRACE_MM_PAGE_ALLOC))
		taken_event(p, bytes_req, bytes, gfp);
}

void stele_pages_given(const void *p, size_t bytes)
{
	probe_mm_page_free(p, bytes);
	if (trace_asked(STELE_TRACE_MM_PAGE_FREE))
		given_event(p, bytes);
}

#define TRIES 3u

/*
 * There is no memory: once more with what the floors above give up. Then without the empty areas: they
 * may hold the last of a limited address space, and no row of them is long enough.
 */
static __attribute__((noinline, cold)) void *alloc_short(size_t bytes, size_t align, bool zero,
							 unsigned where)
{
	void *p = NULL;

	if (absurd(bytes))
		return NULL;
	for (unsigned i = 0; !p && i < TRIES && stele_run_find_memory(); i++)
		p = large_alloc(bytes, align, zero, where);
	if (!p && load_relaxed(&stele_heap.empty)) {
		stele_areas_close_empty();
		p = large_alloc(bytes, align, zero, where);
	}
	return p;
}

static void *take(size_t bytes, size_t align, unsigned gfp, int node, bool hard)
{
	unsigned where;
	void *p = NULL;

	if (stele_heap_start() == 0 && stele_where(node, gfp, &where)) {
		bool zero = gfp & __GFP_ZERO || stele_opt.init_on_alloc;

		p = large_alloc(bytes, align, zero, where);
		if (stele_unlikely(!p) && hard)
			p = alloc_short(bytes, align, zero, where);
	}
	stele_pages_taken(p, bytes, p ? stele_large_usable(stele_run_of(p)) : bytes, gfp);
	return p;
}

/* alloc_pages_nolock() and its kin have no such flag. */
void *stele_large_take(size_t bytes, size_t align, unsigned gfp, int node)
{
	return take(bytes, align, gfp, node, gfp & __GFP_RECLAIM);
}

void *stele_large_alloc(size_t bytes, size_t align, bool zero)
{
	return take(bytes, align, zero ? __GFP_ZERO : 0, NUMA_NO_NODE, true);
}

/* ---- freeing ---- */

/* Frames of the first @bytes of areas [first, ...) may not read as zero. */
static void mark_touched(uint32_t first, size_t bytes)
{
	for (size_t frames = bytes / FRAME_SIZE; frames; first++) {
		unsigned here = (unsigned)STELE_MIN(frames, (size_t)AREA_FRAMES);

		dirty_set(area_at(first), 0, here);
		frames -= here;
	}
}

/*
 * Areas that a block leaves, @bytes of them touched. Big ones are unmapped at once, and so are those
 * of a mapping of its own, which would never be one with its neighbours again.
 */
static void retire_areas(uint32_t first, uint32_t n, size_t bytes, bool own, enum effort effort)
{
	uint64_t dirty;

	if ((own || bytes > KEEP_MAX) && effort != EFFORT_BOUNDED && stele_areas_close(first, n))
		return;
	if (stele_opt.init_on_free)
		stele_pages_clear(area_memory(first), bytes, effort);
	mark_touched(first, bytes);
	dirty = dirty_in(first, n);
	stele_areas_return(first, n);
	if (dirty)
		stele_purge_noted(first, first + n - 1);
	stele_dirty_returned(dirty, effort);
}

/* Its areas are left. */
static void forget_huge(struct run *run)
{
	stele_huge_returned(run->bytes / FRAME_SIZE);
	stele_run_unmap(run);
	stele_run_return_descriptor(run);
}

static void huge_free(struct run *run, enum effort effort)
{
	uint32_t first = area_of(run->base), n = run->frames;
	size_t bytes = run->bytes;
	bool own = run->size;

	forget_huge(run);
	retire_areas(first, n, bytes, own, effort);
}

static void large_free(struct run *run, enum effort effort)
{
	stele_pages_given((void *)run->base, run->bytes);
	run->kind &= ~(uint32_t)(RUN_PAGES_FLAG | RUN_OWN_FLAG);
	if (run->kind == RUN_HUGE) {
		huge_free(run, effort);
		return;
	}
	stele_run_return_frames(run, effort);
	stele_run_return_descriptor(run);
}

void stele_large_free(struct run *run)
{
	large_free(run, EFFORT_USUAL);
}

void stele_large_free_later(struct run *run)
{
	large_free(run, EFFORT_BOUNDED);
}

size_t stele_large_usable(const struct run *run)
{
	return run->bytes;
}

/* ---- growing and shrinking ---- */

/* Frames of @run from @bytes to its end stay with it but were touched: they are not clean. */
static void mark_cut(struct run *run, size_t bytes)
{
	size_t end = STELE_MIN(run->bytes, (size_t)areas_for(bytes) * AREA_SIZE);
	struct area *area = area_at(area_of(run->base) + areas_for(bytes) - 1);

	if (bytes < end)
		dirty_set(area, (unsigned)(bytes % AREA_SIZE / FRAME_SIZE),
			  (unsigned)((end - bytes) / FRAME_SIZE));
}

/* Takes the next areas, *dirty frames of which may not read as zero. */
static bool huge_grow(struct run *run, uint32_t more, uint64_t *dirty)
{
	uint32_t behind = area_of(run->base) + run->frames;

	if (run->size ? !stele_areas_take_behind(run, more) : !stele_areas_take_at(behind, more))
		return false;
	run->frames += more;
	*dirty = dirty_in(behind, more);
	return true;
}

static void huge_shrink(struct run *run, uint32_t want, size_t bytes)
{
	uint32_t first = area_of(run->base), have = run->frames;
	size_t tail = run->bytes - (size_t)want * AREA_SIZE;

	run->frames = want;
	mark_cut(run, bytes);
	retire_areas(first + want, have - want, tail, run->size, EFFORT_USUAL);
}

static bool huge_resize_in_place(struct run *run, size_t bytes)
{
	uint32_t have = run->frames, want = areas_for(bytes);
	uint64_t dirty = 0;

	if (want > have && !huge_grow(run, want - have, &dirty))
		return false;
	if (want < have)
		huge_shrink(run, want, bytes);
	else if (want == have)
		mark_cut(run, bytes);
	stele_huge_returned(run->bytes / FRAME_SIZE);
	stele_huge_taken(bytes / FRAME_SIZE, dirty);
	run->bytes = bytes;
	return true;
}

/*
 * To a new place in the arena. Where the kernel refuses to move pages, the bytes are copied. NULL:
 * all of @run is as it was; a new place that is not all there any more belongs to nobody.
 */
static struct run *moved_run(struct run *run, size_t bytes)
{
	struct run *to = huge_run(bytes, 1, ROW_FRESH, node_at((void *)run->base));
	int moved;

	if (!to)
		return NULL;
	moved = stele_os_move((void *)run->base, run->frames * AREA_SIZE, (void *)to->base,
			      to->frames * AREA_SIZE);
	if (moved == STELE_OS_TARGET_LOST) {
		stele_areas_lost(area_of(to->base), to->frames);
		stele_run_return_descriptor(to);
		return NULL;
	}
	if (moved < 0)
		memcpy((void *)to->base, (void *)run->base, run->bytes);
	to->size = moved == 0;
	stele_huge_taken(to->bytes / FRAME_SIZE, 0);
	stele_run_publish(to);
	return to;
}

static void *huge_move(struct run *run, size_t bytes)
{
	struct run *to = moved_run(run, bytes);
	uint32_t first = area_of(run->base), n = run->frames;

	if (!to)
		return NULL;
	stele_pages_taken((void *)to->base, bytes, to->bytes, 0);
	stele_pages_given((void *)run->base, run->bytes);
	if (!to->size) {
		huge_free(run, EFFORT_USUAL);
	} else {
		forget_huge(run);
		stele_areas_gone(first, n);
	}
	return (void *)to->base;
}

/* Gives the tail back, or takes the frames behind. ORDER(SPAN) acquire: these were opened. */
static bool large_resize_in_place(struct run *run, unsigned want)
{
	uint64_t end = frame_of(run->base) + want;
	const struct stele_zone *zone = zone_of_area(area_of(run->base));

	if (want < run->frames) {
		stele_run_trim(run, want);
	} else if (want > run->frames) {
		if (end > (uint64_t)load_acquire(&zone->high) * AREA_FRAMES ||
		    !stele_row_take(end - (want - run->frames), want - run->frames))
			return false;
		stele_run_extend(run, want);
	}
	return true;
}

static void *large_resize(struct run *run, void *p, size_t bytes, bool may_move)
{
	size_t frames = (bytes + FRAME_SIZE - 1) / FRAME_SIZE;

	if (!run || run->base != (uintptr_t)p || !bytes || bytes > PTRDIFF_MAX)
		return NULL;
	if (run->kind == RUN_LARGE)
		return frames <= LARGE_FRAMES && large_resize_in_place(run, (unsigned)frames)
			       ? p
			       : NULL;
	if (run->kind != RUN_HUGE || frames <= LARGE_FRAMES || absurd(bytes) ||
	    stele_page_fault_injected())
		return NULL;
	bytes = STELE_ALIGN_UP(bytes, stele_system_facts.page_size);
	if (huge_resize_in_place(run, bytes))
		return p;
	return may_move ? huge_move(run, bytes) : NULL;
}

/* A resize is reported as a free and an allocation, even in place, so that byte counters
 * balance. */
void *stele_large_resize(void *p, size_t bytes, bool may_move)
{
	struct run *run = stele_run_of(p);
	size_t old = run ? run->bytes : 0;
	void *q = large_resize(run, p, bytes, may_move);

	if (q == p)
		run_changed();
	if (q && stele_opt.init_on_alloc && stele_run_of(q)->bytes > old)
		stele_pages_clear((char *)q + old, stele_run_of(q)->bytes - old, EFFORT_USUAL);
	if (q && q == p && run->bytes != old) {
		stele_pages_given(p, old);
		stele_pages_taken(p, bytes, run->bytes, 0);
	}
	return q;
}
