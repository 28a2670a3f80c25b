/* SPDX-License-Identifier: MIT */
/*
 * page/valid.c - whether areas, runs and the page map hold together
 *
 * Rules     of an open area: at most as many bits are set as frames are claimed. A thread that left in
 *           the middle of a call has frames claimed for good, so more may be claimed than set.
 *           of a run: its frames are taken in areas that are open; every entry of the page map
 *           that belongs to it leads to its descriptor and has its tag; and its objects or its
 *           bytes fit into its frames.
 * Context   ordinary threads; see valid.h.
 * Tests     tests/unit/page/test_valid.c
 */
#include "page/open.h"
#include "page/valid.h"
#include "page/heap.h"
#include "page/run.h"

/* ---- areas ---- */

const char *stele_area_valid(uint32_t number)
{
	uint32_t count;

	STELE_HOLDS(number < stele_heap.areas_max, "area: the number is too large");
	count = load_relaxed(area_count(number));
	switch (count) {
	case AREA_CLOSED:
	case AREA_HUGE:
	case AREA_KEPT:
	case AREA_FOREIGN:
		return NULL;
	case AREA_BUSY:
	case AREA_MET:
	case AREA_NEW:
	case AREA_SOON:
		return "area: in the hands of a thread";
	default:
		STELE_HOLDS(area_claimed(count) <= AREA_FRAMES, "area: the count is no state");
	}
	STELE_HOLDS(area_bits(area_at(number)->used) <= area_claimed(count),
		    "area: more bits are set than frames are claimed");
	return NULL;
}

/* ---- runs ---- */

static const char *fits(const struct run *run)
{
	unsigned kind = run->kind & ~(unsigned)(RUN_PAGES_FLAG | RUN_OWN_FLAG);
	size_t room = run->frames * (kind == RUN_HUGE ? AREA_SIZE : FRAME_SIZE);

	STELE_HOLDS(kind == RUN_SLAB || kind == RUN_LARGE || kind == RUN_HUGE,
		    "run: the kind is none");
	STELE_HOLDS(run->base % FRAME_SIZE == 0 && run->base >= (uintptr_t)area_memory(0) &&
			    run->base < (uintptr_t)area_memory(stele_heap.areas_max),
		    "run: it does not lie in the arena");
	STELE_HOLDS(run->frames && run->bytes <= room, "run: more bytes than its frames have");
	STELE_HOLDS(kind != RUN_SLAB || (size_t)run->objects * run->size <= run->bytes,
		    "run: more objects than it has bytes for");
	return NULL;
}

static bool frame_is_taken(uintptr_t address)
{
	uint32_t number = area_of(address), count = load_relaxed(area_count(number));
	unsigned frame = (unsigned)(frame_of(address) % AREA_FRAMES);

	if (count == AREA_HUGE || count == AREA_KEPT)
		return true;
	return area_claimed(count) <= AREA_FRAMES &&
	       (load_relaxed(&area_at(number)->used[frame / 64]) >> frame % 64 & 1);
}

/* A block of whole areas has its first frame on the map, and no tag. */
static const char *area_fault(const struct run *run)
{
	uint32_t ref = (uint32_t)(((uintptr_t)run - (uintptr_t)stele_hot.base) / 8);
	size_t first = map_index(run->base), n = frames_mapped(run);

	for (size_t i = 0; i < n; i++) {
		STELE_HOLDS(frame_is_taken(run->base + i * FRAME_SIZE), "run: a frame is free");
		STELE_HOLDS(load_relaxed(ref_entry(first + i)) == ref,
			    "run: the page map leads to another descriptor");
		STELE_HOLDS(!run->tag || load_relaxed(tag_entry(first + i)) == run->tag,
			    "run: the page map has another tag");
	}
	return NULL;
}

const char *stele_run_valid(const struct run *run)
{
	const char *fault = fits(run);

	return fault ? fault : area_fault(run);
}

/* ---- all ---- */

/* A slab without a reciprocal has given its frames back, and waits on a stack. */
static STELE_RACY_LOOK void look_at_run(struct run *run, void *fault)
{
	const char **first = fault;

	if (!*first && run->kind != RUN_NONE && (run->kind != RUN_SLAB || run->recip))
		*first = stele_run_valid(run);
}

const char *stele_heap_valid(void)
{
	const char *fault = NULL;

	if (!stele_heap_started())
		return NULL;
	for (uint32_t i = areas_below(AREA_NONE); !fault && i != AREA_NONE; i = areas_below(i))
		fault = stele_area_valid(i);
	if (!fault)
		stele_run_each(look_at_run, &fault);
	return fault;
}
