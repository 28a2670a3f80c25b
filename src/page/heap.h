/* SPDX-License-Identifier: MIT */
/*
 * page/heap.h - what lies where, for the files of this floor
 */
#ifndef STELE_PAGE_HEAP_H
#define STELE_PAGE_HEAP_H

#include "page/area.h"
#include "page/rooms.h"
#include "percpu/percpu.h"

struct run;

/* The areas of one node: a stretch of the arena. */
struct stele_zone {
	uint32_t first, end;   /* fixed at start */
	_Atomic uint32_t high; /* areas from here on were never opened (page/open.h); grows only */
	_Atomic uint32_t
		closing; /* where the search for areas to close goes on, downwards (close.c) */
};

struct stele_heap {
	char *base;
	/* Offsets from the base; fixed at start. */
	size_t refs_at;
	size_t slots_at, slots_end;
	size_t counts_at;
	size_t areas_at;
	size_t descriptors_at, descriptors_end;
	size_t bits_at, bits_end;	      /* of all areas */
	size_t marks_at, hints_at, groups_at; /* among these */
	size_t arena_at;
	uint32_t areas_max;
	uint32_t zone_shift; /* an area's number to its node's */
	bool whole; /* the tables are mapped as a whole, and made writable piece by piece */
	/* Grows only. */
	_Atomic uint64_t next_descriptor; /* offset of the first never used */
	_Atomic uint32_t mapped;	  /* areas that are mapped, not in this order */
	_Atomic uint32_t empty; /* open areas of which nothing is claimed; may be wrong by a few */
	_Atomic uint32_t foreign; /* areas that were seen FOREIGN */
	struct stele_zone zones[STELE_NODES_MAX];
};
extern struct stele_heap stele_heap __attribute__((visibility("hidden")));

/* The tables have entries for areas [first, first+n) afterwards. 0 or -ENOMEM. */
int stele_heap_cover(uint32_t first, uint32_t n);

static inline _Atomic uint32_t *area_count(uint32_t number)
{
	return (_Atomic uint32_t *)(stele_hot.base + stele_heap.counts_at) + number * ROOM_STRIDE;
}

/* Or not open. */
static inline bool area_is_full(uint32_t number)
{
	return area_claimed(load_relaxed(area_count(number))) >= AREA_FRAMES;
}

static inline struct area *area_at(uint32_t number)
{
	return (struct area *)(stele_hot.base + stele_heap.areas_at) + number;
}

static inline char *area_memory(uint32_t number)
{
	return stele_hot.base + stele_heap.arena_at + (size_t)number * AREA_SIZE;
}

static inline uint32_t area_of(uintptr_t address)
{
	return (uint32_t)((address - (uintptr_t)stele_hot.base - stele_heap.arena_at) / AREA_SIZE);
}

static inline struct stele_zone *zone_of_area(uint32_t number)
{
	return &stele_heap.zones[number >> stele_heap.zone_shift];
}

/* The areas that were opened, from the highest to the lowest: begins with AREA_NONE, and ends. */
#define AREA_NONE UINT32_MAX
static inline uint32_t areas_below(uint32_t number)
{
	unsigned node = number < stele_heap.areas_max ? number >> stele_heap.zone_shift
						      : stele_nodes.count - 1;

	for (;; node--) {
		const struct stele_zone *zone = &stele_heap.zones[node];
		uint32_t end = STELE_MIN(number, load_relaxed(&zone->high));

		if (end > zone->first)
			return end - 1;
		if (!node)
			return AREA_NONE;
	}
}

/* Frames are counted from the arena's start. */
static inline uint64_t frame_of(uintptr_t address)
{
	return (address - (uintptr_t)stele_hot.base - stele_heap.arena_at) / FRAME_SIZE;
}

/* place.c: more than there is, in the system's own judgement. */
bool stele_heap_absurd(size_t bytes);

/* zones.c: areas [first, first+n) were mapped: tells the system which node they prefer. */
void stele_zones_bind(uint32_t first, uint32_t n);

/* Of an area of runs that are never returned (permanent.c), no more than these are mapped. */
#define STELE_KEPT_FRAMES (unsigned)((AREA_SIZE - STELE_MAP_UNIT) / FRAME_SIZE)

/* descriptors.c: a descriptor without frames. */
struct run *stele_descriptor_take(void);

/* run.c: whether a request for frames shall fail. And for large.c, huge.c and resize.c: a run in a
 * descriptor, off the map, with frames, and with another length. */
bool stele_page_fault_injected(void);
void stele_run_begin(struct run *run, size_t bytes); /* in a descriptor; base is set already */
void stele_run_unmap(struct run *run);
/* Frames for one allocation, which are zero if @zero; up to an area, or (long) above, by @find of
 * page/frames.h. */
typedef int64_t frames_find(unsigned where, unsigned frames, unsigned align);
struct run *stele_run_take_block(unsigned where, unsigned frames, unsigned align, bool zero);
struct run *stele_run_take_long(unsigned where, unsigned frames, unsigned align, bool zero,
				frames_find *find);
void stele_run_trim(struct run *run, unsigned frames);
void stele_run_extend(struct run *run, unsigned frames); /* frames are taken already */

#endif
