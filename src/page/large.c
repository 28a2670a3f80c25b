/* SPDX-License-Identifier: MIT */
/*
 * page/large.c - one allocation with frames or areas of its own
 *
 * Idea      Exact frames, where the open areas have them in a row (page/rooms.c). Else, above an
 *           area: whole areas of the same arena, of which only what is touched costs memory. So
 *           there is no registry of foreign mappings, and nothing to lock. Growing and shrinking:
 *           page/resize.c.
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
#include "page/large.h"
#include "page/where.h"
#include "percpu/facts.h"
#include "trace/probe.h"
#include "trace/trace.h"
#include <stele/page.h>
#include <string.h>

/* Frames of [first, first+n) that may not read as zero. */
uint64_t stele_areas_dirty(uint32_t first, uint32_t n)
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
	stele_huge_taken(0, stele_areas_dirty((uint32_t)number, 1)); /* counted as no use */
	/* Refused: then it is mapped already when more of it is wanted. */
	stele_os_unmap(area_memory((uint32_t)number) + STELE_MAP_UNIT, AREA_SIZE - STELE_MAP_UNIT);
	return number;
}

void stele_area_let_go(uint32_t number)
{
	stele_areas_close(number, 1); /* a refusal loses it: it may be mapped in part */
}

/* More than there is: refused as the system itself would refuse it, unless it is told not to. */
bool stele_large_absurd(size_t bytes)
{
	uint64_t ram;

	if (bytes < 1ul << 30)
		return false;
	if (bytes > stele_system_facts.arena_bytes)
		return true;
	ram = stele_os_ram_bytes();
	return ram && bytes > ram && stele_os_overcommit() != STELE_OS_OVERCOMMIT_ALWAYS;
}

struct run *stele_huge_run(size_t bytes, size_t align, unsigned how, unsigned where)
{
	uint32_t n = areas_for(bytes);
	int64_t first;
	struct run *run;

	if (stele_large_absurd(bytes))
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

/* Zeroes the frames of areas [first, first+n) that may hold something; the others cost nothing. */
static void zero_dirty(uint32_t first, uint32_t n)
{
	for (uint32_t i = first; i < first + n; i++)
		dirty_zero(area_at(i), 0, AREA_FRAMES, area_memory(i));
}

/* Makes the areas that stele_huge_run() gave ready for their user. */
struct run *stele_huge_begin(struct run *run, bool zero)
{
	uint32_t first = area_of(run->base);
	uint64_t dirty = stele_areas_dirty(first, run->frames);

	if (dirty && zero)
		zero_dirty(first, run->frames);
	stele_huge_taken(run->bytes / FRAME_SIZE, dirty);
	stele_run_publish(run);
	return run;
}

static void *huge_alloc(size_t bytes, size_t align, bool zero, unsigned where)
{
	struct run *run = stele_huge_run(bytes, align, 0, where);

	return run ? (void *)stele_huge_begin(run, zero)->base : NULL;
}

/* Puts @run, which has exact frames, on the map for its user. NULL: there is none. */
static void *exact_begin(struct run *run)
{
	if (!run)
		return NULL;
	run->kind = RUN_LARGE;
	stele_run_publish(run);
	return (void *)run->base;
}

/* An exact row, or NULL. */
static void *long_alloc(size_t bytes, size_t align, bool zero, unsigned where)
{
	size_t frames = bytes / FRAME_SIZE, page = stele_system_facts.page_size;

	if (frames > LONG_FRAMES || align > page)
		return NULL;
	return exact_begin(
		stele_run_take_long(where, (unsigned)frames, (unsigned)(page / FRAME_SIZE), zero));
}

/* Of an area and more. */
static void *areas_alloc(size_t bytes, size_t align, bool zero, unsigned where)
{
	void *p;

	if (stele_page_fault_injected())
		return NULL;
	bytes = STELE_ALIGN_UP(bytes, stele_system_facts.page_size);
	p = long_alloc(bytes, align, zero, where);
	return p ? p : huge_alloc(bytes, align, zero, where);
}

static void *large_alloc(size_t bytes, size_t align, bool zero, unsigned where)
{
	size_t frames = (bytes + FRAME_SIZE - 1) / FRAME_SIZE, page = stele_system_facts.page_size;

	if (bytes > PTRDIFF_MAX || align > stele_system_facts.arena_bytes)
		return NULL;
	if (frames > LARGE_FRAMES || align > AREA_SIZE / 2)
		return areas_alloc(bytes, align, zero, where);
	align = align > page ? align : page;
	return exact_begin(stele_run_take_block(where, (unsigned)frames,
						(unsigned)(align / FRAME_SIZE), zero));
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

	if (stele_large_absurd(bytes))
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
void stele_areas_retire(uint32_t first, uint32_t n, size_t bytes, bool own, enum effort effort)
{
	uint64_t dirty;

	if ((own || bytes > KEEP_MAX) && effort != EFFORT_BOUNDED && stele_areas_close(first, n))
		return;
	if (stele_opt.init_on_free)
		stele_pages_clear(area_memory(first), bytes, effort);
	mark_touched(first, bytes);
	dirty = stele_areas_dirty(first, n);
	stele_areas_return(first, n);
	if (dirty)
		stele_purge_noted(first, first + n - 1);
	stele_dirty_returned(dirty, effort);
}

/* Its areas are left. */
void stele_huge_forget(struct run *run)
{
	stele_huge_returned(run->bytes / FRAME_SIZE);
	stele_run_unmap(run);
	stele_run_return_descriptor(run);
}

void stele_huge_free(struct run *run, enum effort effort)
{
	uint32_t first = area_of(run->base), n = run->frames;
	size_t bytes = run->bytes;
	bool own = run->size;

	stele_huge_forget(run);
	stele_areas_retire(first, n, bytes, own, effort);
}

static void large_free(struct run *run, enum effort effort)
{
	stele_pages_given((void *)run->base, run->bytes);
	run->kind &= ~(uint32_t)(RUN_PAGES_FLAG | RUN_OWN_FLAG);
	if (run->kind == RUN_HUGE) {
		stele_huge_free(run, effort);
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
