/* SPDX-License-Identifier: MIT */
/*
 * page/huge.c - blocks of whole areas
 *
 * Idea      Only what is touched of a block costs memory. So there is no registry of foreign mappings,
 *           and nothing to lock. A block grows by the areas behind it. One that cannot grow there
 *           moves by page tables, and is a mapping of its own from then on.
 * States    an area's count: page/open.h.
 * Order     AREA, PAGEMAP.
 * Context   any; one caller per block.
 * Failure   NULL or false; areas taken so far are returned, and a block that was to grow is as it was.
 * Tests     tests/unit/page/test_large.c
 */
#include "base/options.h"
#include "os/map.h"
#include "page/areas.h"
#include "page/clear.h"
#include "page/counts.h"
#include "page/dirty.h"
#include "page/large.h"
#include "page/run.h"
#include <string.h>

static uint32_t areas_for(size_t bytes)
{
	return (uint32_t)((bytes + AREA_SIZE - 1) / AREA_SIZE);
}

/* ---- taking ---- */

struct run *stele_huge_run(size_t bytes, size_t align, unsigned how, unsigned where)
{
	uint32_t n = areas_for(bytes);
	int64_t first;
	struct run *run;

	if (stele_heap_absurd(bytes))
		return NULL;
	run = stele_descriptor_take();
	if (!run)
		return NULL;
	first = stele_areas_find(where, n, align > AREA_SIZE ? (uint32_t)(align / AREA_SIZE) : 1,
				 how);
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

/* ---- giving back ---- */

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

	if ((own || bytes > KEEP_MAX) && effort != EFFORT_BOUNDED && stele_areas_close(first, n)) {
		stele_purge_due();
		return;
	}
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
static void forget_block(struct run *run)
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

	forget_block(run);
	retire_areas(first, n, bytes, own, effort);
}

/* ---- growing, shrinking, moving ---- */

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
	retire_areas(first + want, have - want, tail, run->size, EFFORT_USUAL);
}

bool stele_huge_resize_in_place(struct run *run, size_t bytes)
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
 * Moves @run to a new place in the arena. If the kernel refuses to move pages, the call copies the
 * bytes. NULL: @run is as it was. If another mapping has got into the new place by then, the heap
 * gives up that place.
 */
static struct run *moved_run(struct run *run, size_t bytes, unsigned where)
{
	struct run *to = stele_huge_run(bytes, 1, ROW_FRESH, where);
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

void *stele_huge_move(struct run *run, size_t bytes, unsigned where)
{
	struct run *to = moved_run(run, bytes, where);
	uint32_t first = area_of(run->base), n = run->frames;

	if (!to)
		return NULL;
	stele_pages_taken((void *)to->base, bytes, to->bytes, 0);
	stele_pages_given((void *)run->base, run->bytes);
	if (!to->size) {
		stele_huge_free(run, EFFORT_USUAL);
	} else {
		forget_block(run);
		stele_areas_gone(first, n);
	}
	return (void *)to->base;
}
