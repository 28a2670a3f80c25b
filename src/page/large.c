/* SPDX-License-Identifier: MIT */
/*
 * page/large.c - one allocation with frames or areas of its own
 *
 * Idea      Exact frames, where the open areas have them in a row (page/rooms.c). Else, above an
 *           area: whole areas of the same arena, of which only the touched pages cost memory. So
 *           there is no registry of foreign mappings, and nothing to lock. The block owns its last area
 *           as a whole. Limits of address space, core files and mlockall() count all of it. So if
 *           more than a WASTE-th of the block would be lost there, areas are opened first, and the
 *           block then takes exact frames in them (page/long.c). Where there are no such areas: exact frames again, which
 *           may reach from open areas into closed ones. Growing and shrinking: page/resize.c.
 * States    an area's count: page/open.h.
 * Order     AREA, PAGEMAP.
 * Context   any. A call that finds no memory takes back what the caches keep, and closes the empty areas;
 *           with flags that do not allow reclaim it does neither.
 * Failure   NULL; areas taken so far are returned.
 * Tests     tests/unit/page/test_large.c, tests/unit/page/test_long.c, tests/preload/footprint.c
 */
#include "base/options.h"
#include "page/areas.h"
#include "page/frames.h"
#include "page/large.h"
#include "page/run.h"
#include "page/where.h"
#include "percpu/system.h"
#include <stele/gfp.h>
#include <stele/topology.h>
#include <string.h>

#define WASTE 8u /* the share of a block that its last area may waste */

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
static void *long_alloc(size_t bytes, size_t align, bool zero, unsigned where, frames_find *find)
{
	size_t frames = bytes / FRAME_SIZE, page = stele_system_facts.page_size;

	if (frames > LONG_FRAMES || align > page)
		return NULL;
	return exact_begin(stele_run_take_long(where, (unsigned)frames,
					       (unsigned)(page / FRAME_SIZE), zero, find));
}

/* Whether so much of the last area would stay unused that a block with exact frames is better. */
static bool is_wasteful(size_t bytes)
{
	return STELE_ALIGN_UP(bytes, AREA_SIZE) - bytes > bytes / WASTE;
}

/* Of an area and more. */
static void *areas_alloc(size_t bytes, size_t align, bool zero, unsigned where)
{
	void *p;

	if (stele_page_fault_injected())
		return NULL;
	bytes = STELE_ALIGN_UP(bytes, stele_system_facts.page_size);
	p = long_alloc(bytes, align, zero, where, stele_frames_find_long);
	if (!p && is_wasteful(bytes))
		p = long_alloc(bytes, align, zero, where, stele_frames_find_opened);
	if (!p)
		p = huge_alloc(bytes, align, zero, where);
	return p ? p : long_alloc(bytes, align, zero, where, stele_frames_find_mixed);
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

#define TRIES 3u

/*
 * There is no memory: once more with what the floors above give up. Then without the empty areas: they
 * may hold the last of a limited address space, and no row of them is long enough.
 */
static __attribute__((noinline, cold)) void *alloc_short(size_t bytes, size_t align, bool zero,
							 unsigned where)
{
	void *p = NULL;

	if (stele_heap_absurd(bytes))
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
