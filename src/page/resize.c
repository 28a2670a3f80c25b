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
#include "os/map.h"
#include "os/os.h"
#include "page/clear.h"
#include "page/dirty.h"
#include "page/large.h"
#include "page/where.h"
#include "percpu/facts.h"
#include <string.h>

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
	*dirty = stele_areas_dirty(behind, more);
	return true;
}

static void huge_shrink(struct run *run, uint32_t want, size_t bytes)
{
	uint32_t first = area_of(run->base), have = run->frames;
	size_t tail = run->bytes - (size_t)want * AREA_SIZE;

	run->frames = want;
	mark_cut(run, bytes);
	stele_areas_retire(first + want, have - want, tail, run->size, EFFORT_USUAL);
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
	struct run *to = stele_huge_run(bytes, 1, ROW_FRESH, node_at((void *)run->base));
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
		stele_huge_free(run, EFFORT_USUAL);
	} else {
		stele_huge_forget(run);
		stele_areas_gone(first, n);
	}
	return (void *)to->base;
}

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
 * A row longer than an area grows where it cannot: once by a copy to areas of its own, so that it moves by
 * page tables from then on.
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
	if (!may_move || !longer || stele_large_absurd(bytes) || stele_page_fault_injected())
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
	    stele_large_absurd(bytes) || stele_page_fault_injected())
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
