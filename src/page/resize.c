/* SPDX-License-Identifier: MIT */
/*
 * page/resize.c - blocks with pages of their own that grow and shrink
 *
 * Idea      Growth in place is taking the next frames or areas. A block of whole areas that cannot grow
 *           there moves by page tables, and is a mapping of its own from then on. A row of frames that
 *           is longer than an area is copied once, into whole areas.
 * Order     AREA, PAGEMAP.
 * Context   any; one caller per block.
 * Failure   NULL, and the block is as it was.
 * Tests     tests/unit/page/test_large.c, tests/unit/page/test_long.c
 */
#include "base/options.h"
#include "page/clear.h"
#include "page/frames.h"
#include "page/heap.h"
#include "page/large.h"
#include "page/run.h"
#include "page/where.h"
#include "percpu/system.h"
#include <string.h>

/* Gives the tail back. A row that was longer than an area has only its first frame on the map. */
static void large_shrink(struct run *run, unsigned want)
{
	bool was_long = run->frames > LARGE_FRAMES;

	stele_run_trim(run, want);
	if (was_long && want <= LARGE_FRAMES)
		stele_run_publish(run);
}

/* Gives the tail back, or takes the frames behind. ORDER(SPAN) acquire: these were opened. */
static bool large_resize_in_place(struct run *run, size_t frames)
{
	const struct stele_zone *zone = zone_of_area(area_of(run->base));
	unsigned want = (unsigned)frames;
	uint64_t end = frame_of(run->base) + want;

	if (frames > (run->frames > LARGE_FRAMES ? LONG_FRAMES : LARGE_FRAMES))
		return false;
	if (want < run->frames) {
		large_shrink(run, want);
	} else if (want > run->frames) {
		if (end > (uint64_t)load_acquire(&zone->high) * AREA_FRAMES ||
		    !stele_row_take(end - (want - run->frames), want - run->frames))
			return false;
		stele_run_extend(run, want);
	}
	return true;
}

/*
 * A row that is longer than an area, and cannot grow where it is, is copied once to areas of its own.
 * From then on it moves by page tables.
 */
static void *long_move(struct run *run, size_t bytes)
{
	struct run *to = stele_huge_run(bytes, 1, 0, node_at((void *)run->base));

	if (!to)
		return NULL;
	stele_huge_begin(to, false);
	memcpy((void *)to->base, (void *)run->base, run->bytes);
	stele_pages_taken((void *)to->base, bytes, to->bytes, 0);
	stele_large_free(run);
	return (void *)to->base;
}

static void *exact_resize(struct run *run, size_t bytes, bool may_move)
{
	size_t page = stele_system_facts.page_size;
	bool longer = run->frames > LARGE_FRAMES && bytes > run->bytes;

	if (run->frames > LARGE_FRAMES)
		bytes = STELE_ALIGN_UP(bytes, page);
	if (large_resize_in_place(run, (bytes + FRAME_SIZE - 1) / FRAME_SIZE))
		return (void *)run->base;
	if (!may_move || !longer || stele_heap_absurd(bytes) || stele_page_fault_injected())
		return NULL;
	return long_move(run, bytes);
}

static void *large_resize(struct run *run, void *p, size_t bytes, bool may_move)
{
	if (!run || run->base != (uintptr_t)p || !bytes || bytes > PTRDIFF_MAX)
		return NULL;
	if (run->kind == RUN_LARGE)
		return exact_resize(run, bytes, may_move);
	if (run->kind != RUN_HUGE || bytes <= LARGE_FRAMES * FRAME_SIZE ||
	    stele_heap_absurd(bytes) || stele_page_fault_injected())
		return NULL;
	bytes = STELE_ALIGN_UP(bytes, stele_system_facts.page_size);
	if (stele_huge_resize_in_place(run, bytes))
		return p;
	return may_move ? stele_huge_move(run, bytes, node_at(p)) : NULL;
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
