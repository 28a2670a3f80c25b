/* SPDX-License-Identifier: MIT */
/*
 * page/map.h - the page map: from a frame to the descriptor of its run
 *
 * Idea      Per frame a 32-bit reference to a descriptor and a 64-bit tag that the slab floor
 *           chooses. Both are found from an address by arithmetic (page/run.h). The maker of a run
 *           writes its entries, and the thread that gives the run back clears them before the
 *           frames go, so that an entry is never changed by two.
 * Order     PAGEMAP: a descriptor is complete before the map shows it, and both before an address in
 *           the run is told to anyone; a later change to the descriptor is complete before the
 *           address is told again. The thread that has an address reaches the entry and the
 *           descriptor through it (a dependency; an acquire fence in C11's terms).
 * Context   any; the caller owns the run.
 * Tests     tests/model/pagemap.c
 */
#ifndef STELE_PAGE_MAP_H
#define STELE_PAGE_MAP_H

#include "page/run.h"

#ifndef PAGEMAP_FENCE
#define PAGEMAP_FENCE() fence_release() /* a model shows what happens without */
#endif

static inline size_t map_index(uintptr_t address)
{
	return (address - (uintptr_t)stele_hot.first) / FRAME_SIZE;
}

static inline _Atomic uint64_t *tag_entry(size_t index)
{
	return (_Atomic uint64_t *)(stele_hot.base + STELE_TAGS_OFFSET) + index;
}

static inline _Atomic uint32_t *ref_entry(size_t index)
{
	return (_Atomic uint32_t *)stele_hot.refs + index;
}

static inline void map_set(const struct run *run, size_t index, size_t n, uint32_t ref,
			   uint64_t tag)
{
#pragma GCC unroll 4
	for (size_t i = 0; i < n; i++)
		store_relaxed(ref_entry(index + i), ref);
	if (!run->tag)
		return;
#pragma GCC unroll 4
	for (size_t i = 0; i < n; i++)
		store_relaxed(tag_entry(index + i), tag);
}

/* Only its first frame leads to a block of an area or more. */
static inline size_t frames_mapped(const struct run *run)
{
	if (run->kind == RUN_HUGE)
		return 1;
	return run->frames >= AREA_FRAMES && run_is_large(run) ? 1 : run->frames;
}

static inline void run_map(const struct run *run)
{
	uint32_t ref = (uint32_t)(((uintptr_t)run - (uintptr_t)stele_hot.base) / 8);

	/* ORDER(PAGEMAP) release: the descriptor is complete before it can be found. */
	PAGEMAP_FENCE();
	map_set(run, map_index(run->base), frames_mapped(run), ref, run->tag);
	/* ORDER(PAGEMAP) release: the map shows it before an address in the run is told. */
	PAGEMAP_FENCE();
}

static inline void run_unmap(const struct run *run)
{
	map_set(run, map_index(run->base), frames_mapped(run), 0, 0);
}

/* The frames from number @frames on are off the map; they are the caller's to give back. */
static inline void run_cut(struct run *run, unsigned frames)
{
	size_t mapped = frames_mapped(run);

	if (mapped > frames)
		map_set(run, map_index(run->base) + frames, mapped - frames, 0, 0);
	run->frames = frames;
	run->bytes = frames * FRAME_SIZE;
}

/* After a change to the descriptor of a run that is on the map, before its address is told. */
static inline void run_changed(void)
{
	/* ORDER(PAGEMAP) release: a thread that is told of the address sees the change. */
	PAGEMAP_FENCE();
}

#endif
