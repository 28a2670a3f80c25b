/* SPDX-License-Identifier: MIT */
/*
 * page/permanent.c - runs that are never returned
 *
 * Idea      Memory that threads read without owning it (sync/atomic.h) lies in areas of its own, each
 *           taken whole and for good. A run begins where the one before it ended. So such runs lie
 *           close together, and leave no holes where programs' memory comes and goes. Their pages
 *           can be given back, their addresses cannot. An area is mapped as far as it is cut up
 *           into runs, by sync/stretch.h. The word tells how far the mapping reaches at least.
 * Objects   cut: for each node, in one word, how many areas were taken, which was the last one, and
 *           how many of its frames are in use.
 * Order     AREA: the area's last owners are done with it. The word only says which frames are
 *           whose, so it needs no order.
 * Context   any; each lost race means that another thread made progress.
 * Share     of a node's areas one in KEPT_SHARE, and one in any case, is for runs of which a program
 *           may need any number and can do without: sheaves. They get neither the last RESERVED
 *           frames of the last of these areas nor any further area: caches go there.
 * Failure   NULL: no empty area, or the share is used up. If a thread takes an area and stops for
 *           ever before it notes that in the word, the node has lost the area.
 * Foreign   the part of an area that is not mapped yet is free for mappings that are not ours. So no
 *           more is unmapped than this file knows to be ours.
 * Limits    the last 64 KiB of an area stay unmapped: enlarging asks beyond the end. Frames before
 *           them that are too few for a run stay unused.
 * Promise   contract 6 (docs/contract.md)
 * Tests     tests/unit/page/test_permanent.c
 */
#include "os/map.h"
#include "os/os.h"
#include "page/areas.h"
#include "page/counts.h"
#include "page/run.h"
#include "page/where.h"
#include "percpu/system.h"
#include "sync/stretch.h"

#define KEPT_SHARE 16u /* of a node's areas, one in so many */
#define RESERVED 64u   /* frames */

/* {areas taken:27, number of the last one, plus 1:27, its frames in use:10} */
#define FRAMES_BITS 10
#define NUMBER_BITS 27
#define ONE_AREA (1ull << (FRAMES_BITS + NUMBER_BITS))

static _Atomic uint64_t cut[STELE_NODES_MAX];

static unsigned frames_in(uint64_t word)
{
	return (unsigned)word & ((1u << FRAMES_BITS) - 1);
}

static uint32_t number_in(uint64_t word)
{
	return (uint32_t)(word >> FRAMES_BITS & ((1u << NUMBER_BITS) - 1)) - 1;
}

/* Areas that this node may have for this purpose. */
static uint64_t share_of(unsigned node, bool vital)
{
	const struct stele_zone *zone = &stele_heap.zones[node];
	uint64_t areas = zone->end - zone->first;

	return vital ? areas : STELE_MAX(areas / KEPT_SHARE, 1ul);
}

/* Whether @frames more of the last area may be had. */
static bool has_room(unsigned node, uint64_t word, unsigned frames, bool vital)
{
	uint64_t taken = word / ONE_AREA, share = share_of(node, vital);
	unsigned all = STELE_KEPT_FRAMES, last = !vital && taken == share ? all - RESERVED : all;

	return word && taken <= share && frames_in(word) + frames <= last;
}

/* Maps the area on from what is in use, up to the end of @frames more. */
static bool map_on(uint64_t word, unsigned frames)
{
	size_t used = frames_in(word) * FRAME_SIZE, need = used + frames * FRAME_SIZE;
	size_t mapped = STELE_ALIGN_UP(STELE_MAX(used, 1ul), STELE_MAP_UNIT);
	struct stele_stretch s = { .start = area_memory(number_in(word)),
				   .room = STELE_KEPT_FRAMES * FRAME_SIZE,
				   .mapped = mapped };

	return stretch_reach(&s, need, need) == 0;
}

/* An empty area of this node for good, of which the first STELE_MAP_UNIT is mapped and no more than
 * STELE_KEPT_FRAMES may be. *whole: the system refused, and all of it is mapped. Or -1. */
static int64_t keep_area(unsigned node, bool *whole)
{
	int64_t number = stele_areas_find(node | WHERE_ONLY, 1, 1, 0);

	if (number < 0)
		return -1;
	/* Both say that it is taken whole. */
	store_relaxed(area_count((uint32_t)number), AREA_KEPT);
	stele_huge_taken(0, stele_areas_dirty((uint32_t)number, 1)); /* counted as no use */
	/* Refused: then it is mapped already when more of it is wanted. */
	*whole = stele_os_unmap(area_memory((uint32_t)number) + STELE_MAP_UNIT,
				AREA_SIZE - STELE_MAP_UNIT) != 0;
	stele_os_set_apart(area_memory((uint32_t)number), *whole ? AREA_SIZE : STELE_MAP_UNIT);
	return number;
}

/* The same area, in which nothing was used. Something that is not ours may be mapped behind the part that
 * is. If the system refuses to unmap that part, the area is lost. */
static void let_go(uint32_t number, bool whole)
{
	if (stele_os_unmap(area_memory(number), whole ? AREA_SIZE : STELE_MAP_UNIT) == 0)
		stele_areas_gone(number, 1);
}

/* Goes on in a new area, unless another thread did. False: there is none. */
static bool begin_area(unsigned node, uint64_t word, bool vital)
{
	uint64_t taken = word / ONE_AREA;
	bool whole = false;
	int64_t number = taken < share_of(node, vital) ? keep_area(node, &whole) : -1;

	if (number < 0)
		return load_relaxed(&cut[node]) != word;
	STELE_POINT("permanent:area");
	if (!cas_relaxed(&cut[node], &word,
			 (taken + 1) * ONE_AREA | (uint64_t)(number + 1) << FRAMES_BITS))
		let_go((uint32_t)number, whole);
	return true;
}

/* 0: there are none. */
static uintptr_t cut_frames(unsigned node, unsigned frames, bool vital)
{
	uint64_t word = load_relaxed(&cut[node]);

	for (;;) {
		if (!has_room(node, word, frames, vital)) {
			if (!begin_area(node, word, vital))
				return 0;
			word = load_relaxed(&cut[node]);
		} else if (!map_on(word, frames)) {
			return 0;
		} else if (cas_relaxed(&cut[node], &word, word + frames)) {
			return (uintptr_t)area_memory(number_in(word)) +
			       frames_in(word) * FRAME_SIZE;
		}
	}
}

struct run *stele_run_keep(unsigned where, unsigned frames, bool vital)
{
	unsigned page = (unsigned)(stele_system_facts.page_size / FRAME_SIZE);
	struct run *run;

	if (stele_page_fault_injected())
		return NULL;
	frames = STELE_ALIGN_UP(frames, page);
	run = frames <= STELE_KEPT_FRAMES ? stele_descriptor_take() : NULL;
	if (!run)
		return NULL;
	run->base = cut_frames(where_node(where), frames, vital);
	if (!run->base) {
		stele_run_return_descriptor(run);
		return NULL;
	}
	stele_run_begin(run, frames * FRAME_SIZE);
	return run;
}

bool stele_run_empty(struct run *run)
{
	STELE_POINT("run:empty");
	return stele_os_purge((void *)run->base, run->bytes) == 0;
}
