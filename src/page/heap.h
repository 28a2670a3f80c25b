/* SPDX-License-Identifier: MIT */
/*
 * page/heap.h - what lies where, for the files of this floor
 */
#ifndef STELE_PAGE_HEAP_H
#define STELE_PAGE_HEAP_H

#include "base/effort.h"
#include "page/area.h"
#include "page/open.h"
#include "page/rooms.h"
#include "percpu/nodes.h"
#include "sync/stretch.h"

struct run;

/* The areas of one node: a stretch of the arena. */
struct stele_zone {
	uint32_t first, end;   /* fixed at start */
	_Atomic uint32_t high; /* areas from here on were never opened (page/open.h); grows only */
};

/* Tables that are indexed by a frame or an area, and tables of entries that are handed out one by
 * one. Each may grow. */
enum stele_table {
	TABLE_TAGS,
	TABLE_REFS,
	TABLE_COUNTS,
	TABLE_AREAS,
	TABLE_RUNS,
	TABLE_SLOTS,
	TABLE_BITS, /* of all areas that there can be: mapped as a whole */
	TABLES
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
	struct stele_stretch tables[TABLES];
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

extern _Atomic uint32_t stele_room_tops[] __attribute__((visibility("hidden")));

/* An area's word lies behind its count. */
static inline struct rooms area_rooms(void)
{
	return (struct rooms){ area_count(0) + 1,
			       (_Atomic uint32_t *)(stele_hot.base + stele_heap.groups_at),
			       stele_room_tops };
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

static inline struct area_hints area_hints(void)
{
	return (struct area_hints){ (_Atomic uint64_t *)(stele_hot.base + stele_heap.hints_at),
				    (_Atomic uint64_t *)(stele_hot.base + stele_heap.bits_at) };
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

/* Claims and takes frames [frame, frame+n) of areas that are open, or none. */
bool stele_row_take(uint64_t frame, unsigned n);

/* rooms.c: frames of an area were returned; an area was opened; it has no row of this class, and its
 * word may say that it has. */
void stele_room_freed(uint32_t number, unsigned first, unsigned n);
void stele_room_opened(uint32_t number);
void stele_room_look(uint32_t number, unsigned class);
/* The lowest free row of more frames than an area has, in areas that are open, or -1. It is looked for around
 * area *from and above, which is moved behind the row. */
int64_t stele_long_find(const struct stele_zone *zone, uint32_t *from, unsigned frames,
			unsigned align);
unsigned stele_free_at_end(uint32_t number);
unsigned stele_free_at_start(uint32_t number);
#define ROOM_BORDER 17u	      /* frames of a row that may lie over a border: longer than any slab */
#define ROOM_BORDER_CLASS 11u /* of such a row at least */

/* keep.c: frames of runs in use, and free frames that may be resident. */
void stele_frames_taken(uint64_t frames, uint64_t dirty);
void stele_frames_returned(uint64_t frames, enum effort effort); /* all of them dirty */
/* Frames of huge blocks, touched or not; and the dirty ones in areas that come and go whole. */
void stele_huge_taken(uint64_t frames, uint64_t dirty);
void stele_huge_returned(uint64_t frames);
void stele_dirty_returned(uint64_t frames, enum effort effort);
void stele_dirty_purged(uint64_t frames);
void stele_keep_nothing(void); /* forgets what was learnt */
/* The count as it is, and as it should be if it has not changed since. */
uint64_t stele_counts_look(void);
void stele_counts_mend(uint64_t seen, uint64_t dirty);

/* purge.c: areas [first, last] have free frames. Before they are counted. */
void stele_purge_noted(uint32_t first, uint32_t last);
/* Purges until @keep frames are left, or a bound is reached; the caller has just returned so many, and
 * unmapped @closed. */
void stele_purge_some(uint64_t keep, uint64_t returned, uint64_t closed);
void stele_purge_tick(void);

/* zones.c: among how many of @count nodes, some with @memory, @arena can be divided (1: it cannot). */
unsigned stele_zones_fit(size_t arena, unsigned count, uint64_t memory, uint64_t ram);
/* Areas [first, first+n) were mapped: tells the system which node they prefer. */
void stele_zones_bind(uint32_t first, uint32_t n);

/*
 * areas.c: opens some areas of a zone, which are then empty, for any thread; the first one, or -1.
 * And takes a row of @n whole areas that starts at a multiple of @align, opened as needed, or
 * (ROW_FRESH) mapped anew as one mapping; or the areas [first, first+n), which lie behind a block. The
 * counts are then AREA_HUGE. ROW_ANYWHERE: beside areas that are free SOON, too (rows.c).
 */
enum { ROW_FRESH = 1, ROW_ANYWHERE = 2 };
int64_t stele_areas_open(struct stele_zone *zone);
int64_t stele_areas_take(struct stele_zone *zone, uint32_t n, uint32_t align, unsigned how);
bool stele_areas_take_at(uint32_t first, uint32_t n);
/* The same for areas behind a block that is one mapping of its own, which then contains them. */
bool stele_areas_take_behind(struct run *run, uint32_t n);
/* Gives areas back that are whole the caller's: open, or (close) unmapped. */
void stele_areas_return(uint32_t first, uint32_t n);
bool stele_areas_close(uint32_t first, uint32_t n); /* false: the system refuses; nothing is done */
/* They are not mapped any more. How many of their frames were dirty. */
uint64_t stele_areas_gone(uint32_t first, uint32_t n);
void stele_areas_lost(uint32_t first, uint32_t n); /* something else may be mapped there */
/* The last frames of an area were returned. */
void stele_area_emptied(uint32_t number);
/* close.c: unmaps all empty areas; whether there are more than may stay where @kept frames may; and
 * unmaps some of these, so many frames. */
void stele_areas_close_empty(void);
bool stele_areas_many(uint64_t kept);
uint64_t stele_areas_close_some(uint64_t kept);
void stele_areas_tick(void);
/* Before NULL is the answer: areas that were FOREIGN may be free by now. False: there are none. */
bool stele_areas_look_again(struct stele_zone *zone);
/* Whether areas are in the hands of a thread that opens, closes or purges them; a glance. A child of
 * fork() may be told so for good. */
bool stele_areas_busy(void);
void stele_areas_in_hand(int more); /* 1, and -1 afterwards */

/* OPEN and empty -> @state (HUGE or SOON), for the caller. */
static inline bool area_take_empty(uint32_t number, uint32_t state)
{
	if (!area_take_whole(area_count(number), state))
		return false;
	sub_relaxed(&stele_heap.empty, 1);
	return true;
}

static inline bool frames_claim(uint32_t number, unsigned n)
{
	uint32_t before = area_claim(area_count(number), n);

	if (before == AREA_OPEN)
		sub_relaxed(&stele_heap.empty, 1);
	return before;
}

/* For frames that were claimed, or taken, in area @number. */
static inline void frames_unclaim(uint32_t number, unsigned n)
{
	if (area_unclaim(area_count(number), n))
		stele_area_emptied(number);
}

static inline void frames_return(uint32_t number, unsigned first, unsigned n)
{
	if (area_return(area_at(number), area_count(number), first, n))
		stele_area_emptied(number);
	stele_room_freed(number, first, n);
}

bool stele_page_fault_injected(void);

/* large.c for permanent.c: an empty area of this node for good, AREA_KEPT from then on, of which the
 * first STELE_MAP_UNIT is mapped and no more than these frames may be. Or -1. */
#define STELE_KEPT_FRAMES (unsigned)((AREA_SIZE - STELE_MAP_UNIT) / FRAME_SIZE)
int64_t stele_area_keep(unsigned node);
/* The same area, in which nothing was used. */
void stele_area_let_go(uint32_t number);
/* permanent.c: whether @p lies in memory that no program gets, or outside of the arena. */
bool stele_is_never_given(const void *p);

/* run.c for large.c: a descriptor without frames; taking a run off the map; changing its length. */
struct run *stele_descriptor_take(void);
void stele_run_begin(struct run *run, size_t bytes); /* in a descriptor; base is set already */
void stele_run_unmap(struct run *run);
/* Frames for one allocation, which are zero if @zero; up to an area, or (long) above. */
struct run *stele_run_take_block(unsigned where, unsigned frames, unsigned align, bool zero);
struct run *stele_run_take_long(unsigned where, unsigned frames, unsigned align, bool zero);
void stele_run_trim(struct run *run, unsigned frames);
void stele_run_extend(struct run *run, unsigned frames); /* frames are taken already */

#endif
