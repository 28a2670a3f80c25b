/* SPDX-License-Identifier: MIT */
/*
 * page/heap.h - the layout of the reservation, for the files of this floor
 */
#ifndef STELE_PAGE_HEAP_H
#define STELE_PAGE_HEAP_H

#include "os/os.h"
#include "page/area.h"
#include "page/run.h"
#include "percpu/percpu.h"

struct stele_heap {
	struct stele_reservation range;
	/* Offsets from the base; fixed at start. */
	size_t tags_bytes, refs_at, refs_bytes;
	size_t slots_at;
	size_t counts_at;
	size_t areas_at;
	size_t descriptors_at, descriptors_end;
	size_t arena_at;
	uint32_t areas_max;
	/* Grows only. */
	_Atomic uint64_t next_descriptor; /* offset of the first never used */
	_Atomic uint32_t areas_high;	  /* areas below have been opened */
};
extern struct stele_heap stele_heap __attribute__((visibility("hidden")));

/* Makes the pages around [p, p+size) usable. 0 or -ENOMEM. */
int stele_heap_commit(const void *p, size_t size);

static inline _Atomic uint32_t *area_count(uint32_t number)
{
	return (_Atomic uint32_t *)(stele_hot.base + stele_heap.counts_at) + number;
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

/* Frames are counted from the arena's start. */
static inline uint64_t frame_of(uintptr_t address)
{
	return (address - (uintptr_t)stele_hot.base - stele_heap.arena_at) / FRAME_SIZE;
}

/* Claims and takes frames [frame, frame+n) of areas that are open, or none. */
bool stele_row_take(uint64_t frame, unsigned n);

/* purge.c: frames of runs in use, and free frames that may be resident. */
void stele_frames_taken(unsigned frames, unsigned dirty);
void stele_frames_returned(unsigned frames, enum stele_purging when); /* all of them dirty */
/* Frames of huge blocks, touched or not; and the dirty ones in areas that come and go whole. */
void stele_huge_taken(uint64_t frames);
void stele_huge_returned(uint64_t frames);
void stele_dirty_taken(uint64_t frames);
void stele_dirty_returned(uint64_t frames, enum stele_purging when);
uint64_t stele_dirty_free(void);
/* A huge block of @bytes was freed: keep as much for the next one, within reason. */
void stele_dirty_keep(size_t bytes);

/* Makes areas [first, first+n) usable and raises areas_high over them. 0 or -ENOMEM. */
int stele_areas_open(uint32_t first, uint32_t n);

/* Marks frames dirty; returns how many of them already were. */
unsigned stele_mark_dirty(struct area *area, unsigned first, unsigned n);

bool stele_page_fault_injected(void);

/* run.c for large.c: a descriptor without frames; taking a run off the map; changing its length. */
struct run;
struct run *stele_descriptor_take(void);
void stele_run_unmap(struct run *run);
void stele_run_trim(struct run *run, unsigned frames);
void stele_run_extend(struct run *run, unsigned frames); /* frames are taken already */

#endif
