/* SPDX-License-Identifier: MIT */
/*
 * page/run.h - the floor's door: runs and their descriptors, the page map, large blocks, the heap
 *
 * Idea      Every run of frames that is in use has a descriptor; the page map has, per
 *           frame, a 32-bit reference to it, and a 64-bit tag that the slab floor chooses:
 *           all that a fast free needs, so that it does not touch the descriptor. A tag of
 *           0 fails the fast path's test, so that "nothing there" needs no branch of its
 *           own. Reference and tag are found from an address by arithmetic. The maker of a run
 *           writes its entries, and the thread that gives the run back clears them before the
 *           frames go, so that an entry is never changed by two.
 * Objects   descriptors never leave memory and are only ever descriptors, so a stale one
 *           may be read (sync/atomic.h). Line 0 is fixed, line 1 changes with every flush, line 2 is
 *           the slab's bitmap: apart, so that frees on other CPUs do not disturb it.
 * Order     PAGEMAP: a descriptor is complete before the map shows it, and both before an address in
 *           the run is told to anyone; a later change to the descriptor is complete before the
 *           address is told again. The thread that has an address reaches the entry and the
 *           descriptor through it (a dependency; an acquire fence in C11's terms).
 * Context   any; the caller owns a run that it changes.
 * Tests     tests/model/pagemap.c
 */
#ifndef STELE_PAGE_RUN_H
#define STELE_PAGE_RUN_H

#include "base/basics.h"
#include "base/layout.h"
#include "sync/atomic.h"
#include "sync/stack.h"

struct kmem_cache;

/* ---- the descriptor ---- */

enum run_kind {
	RUN_NONE = 0,
	RUN_SLAB,	     /* objects of a cache */
	RUN_LARGE,	     /* one allocation of exact frames */
	RUN_HUGE,	     /* one allocation of whole areas */
	RUN_PAGES_FLAG = 16, /* added to the last two: pages of alloc_pages(), not for kfree() */
	RUN_OWN_FLAG = 32,   /* added to them: the library's own, for no call of the user */
};

struct run {
	/* Line 0: fixed while the run exists. */
	uintptr_t base;
	uint64_t recip; /* 2^64 / object size, rounded up; 0 when this is not a slab */
	uint64_t tag;	/* of its frames; 0 when this is not a slab */
	struct kmem_cache *cache;
	size_t bytes;	  /* length of the run, or of the allocation in it */
	uint32_t kind;	  /* enum run_kind */
	uint32_t objects; /* slab: how many */
	uint32_t frames;  /* areas of a huge one */
	uint32_t size;	  /* slab: of one object; huge: not 0 when it is a mapping of its own */
	_Atomic uint64_t rests; /* large: free, but kept whole in a slot (cache/resting.c) */
	/* Line 1: the slab floor's, see slab/bitmap.h; free descriptors use the link too. */
	struct stele_link link;
	_Atomic uint64_t state;
	struct stele_later later;      /* noted: a thread shall look whether the slab is idle */
	struct stele_grace_call grace; /* slab or large: waits for readers */
	uintptr_t first;	       /* slab: the first object */
	_Atomic uint64_t watched;      /* 0, or for validations: slab/{slab,large}_look.h */
	/* Line 2: a set bit is a free object. */
	_Atomic uint64_t free[8];
};
_Static_assert(sizeof(struct run) == 192, "three cache lines");

static inline struct run *run_of_link(struct stele_link *link)
{
	return STELE_CONTAINER_OF(link, struct run, link);
}

/* The start of what @p points into, of a slab or large. */
static inline void *run_start_of(const struct run *run, const void *p)
{
	uint64_t size = run->size;

	if (run->kind != RUN_SLAB || !size)
		return (void *)run->base;
	return (void *)(run->first + ((uintptr_t)p - run->first) / size * size);
}

/* ---- from an address to its run ---- */

/* Read while others raise it, a word at once. */
static inline size_t stele_span(void)
{
	return __atomic_load_n(&stele_hot.span, __ATOMIC_RELAXED);
}

/* For an address that seems to lie beyond it: the span was raised before the heap gave it out. */
static inline size_t stele_span_now(void)
{
	/* ORDER(SPAN) acquire: pairs with the release of the run at that address. */
	fence_acquire();
	return stele_span();
}

/* The descriptor of the run that holds @p, or NULL when no run of ours does. */
static inline struct run *stele_run_of(const void *p)
{
	uint64_t offset = (uintptr_t)p - (uintptr_t)stele_hot.first;
	uint32_t ref;

	if (stele_unlikely(offset >= stele_span()) && offset >= stele_span_now())
		return NULL;
	/* ORDER(PAGEMAP) acquire is not needed: reached only through the address. */
	ref = load_relaxed(&((_Atomic uint32_t *)stele_hot.refs)[offset >> FRAME_SHIFT]);
	return ref ? (struct run *)(stele_hot.base + (uint64_t)ref * 8) : NULL;
}

/* The same for an address that lies in the heap; where no run is, the descriptor of "not ours", which is
 * of no kind. */
static inline struct run *stele_run_within(const void *p)
{
	uint64_t offset = (uintptr_t)p - (uintptr_t)stele_hot.first;

	/* ORDER(PAGEMAP): reached through the address. */
	return (struct run *)(stele_hot.base +
			      (uint64_t)load_relaxed(&(
				      (_Atomic uint32_t *)stele_hot.refs)[offset >> FRAME_SHIFT]) *
				      8);
}

/* ---- runs ---- */

/*
 * Takes a run of @frames (1..512) aligned to @align frames (a power of two, at most 512), with
 * a descriptor whose base, bytes and frames are set. *clean says that it reads as zero.
 * The caller fills the rest and calls stele_run_publish(). NULL: no memory.
 */
struct run *stele_run_take_from(unsigned where, unsigned frames, unsigned align, bool *clean);
void stele_run_publish(struct run *run);

/*
 * The same for a run that is never returned: its memory is nobody else's for good, so that racy
 * reads may reach it (sync/atomic.h). Whole system pages. Of this node, or NULL. Unless
 * @vital no more than a share of all memory is kept (permanent.c).
 */
struct run *stele_run_keep(unsigned where, unsigned frames, bool vital);
/* Gives the pages of such a run back, while its owner uses nothing there: they read as zero. False:
 * the system refuses, and they are as they were. */
bool stele_run_empty(struct run *run);

static inline bool run_is_pages(const struct run *run)
{
	return run->kind & RUN_PAGES_FLAG;
}

static inline bool run_is_large(const struct run *run)
{
	return (run->kind & ~(uint32_t)(RUN_PAGES_FLAG | RUN_OWN_FLAG)) == RUN_LARGE;
}

/* Gives a run and its descriptor back. */
void stele_run_return(struct run *run);

/* The two halves: a slab's descriptor may have to stay on a stack after its frames are gone. The
 * call purges if too much is free. With EFFORT_BOUNDED it leaves that to the next call that returns
 * frames, and to stele_purge_due(). */
void stele_run_return_frames(struct run *run, enum effort effort);
void stele_run_return_descriptor(struct run *run);
/* Registers two functions. A call that would answer NULL calls them first, in any context. Each says
 * whether it freed descriptors, or memory. */
void stele_run_when_short(bool (*descriptors)(void), bool (*memory)(void));
/* Calls the second of them. */
bool stele_run_find_memory(void);

/* ---- large blocks ---- */

/* One allocation of its own: exact frames below an area, whole areas above. Page aligned,
 * or to @align (a power of two). NULL: no memory. Size 0 is not for here. */
void *stele_large_alloc(size_t bytes, size_t align, bool zero);
/* The same with the flags and the node that were asked for; __GFP_ZERO clears. */
void *stele_large_take(size_t bytes, size_t align, unsigned gfp, int node);
void stele_large_free(struct run *run);
void stele_large_free_later(struct run *run); /* EFFORT_BOUNDED: short, no system call */
/* Grows or shrinks in place, or (may_move) by moving pages. NULL: not possible, @p untouched. */
void *stele_large_resize(void *p, size_t bytes, bool may_move);
/* A block of @old bytes is to have @bytes. Returns the size that it gets. A block that grows by a small
 * step, within an area, gets an eighth to spare. So a block that grows step by step is copied a
 * bounded number of times for each doubling. Spare frames cost memory only if they were dirty. */
static inline size_t large_roomy(size_t old, size_t bytes)
{
	size_t most = (AREA_FRAMES - 1) * FRAME_SIZE, roomy = bytes + bytes / 8;

	if (bytes <= old || bytes - old > old / 4 || bytes >= most)
		return bytes;
	return roomy < most ? roomy : most;
}

/* Whether a block of @old bytes keeps them when it shrinks to @bytes: it may grow again. */
static inline bool large_stays(size_t old, size_t bytes)
{
	return bytes <= old && old < AREA_SIZE && bytes >= old - old / 8;
}

/* The bytes that a large block can hold; stele_usable() in cache/ is for all sizes. */
size_t stele_large_usable(const struct run *run);

/* Reports mm_page_alloc and mm_page_free for a run of @bytes. */
void stele_pages_taken(const void *p, size_t bytes_req, size_t bytes, unsigned gfp);
void stele_pages_given(const void *p, size_t bytes);

/* ---- giving back, the heap, counts ---- */

/* Returns free frames that were touched to the system until at most @keep_bytes stay. */
void stele_purge(size_t keep_bytes);
uint64_t stele_dirty_free(void); /* frames */
/* Whether more is free than may stay, or time has passed. The second purges in that case. */
bool stele_purge_is_due(void);
void stele_purge_due(void);
/* Starts the heap at the first call. 0 or -ENOMEM. Any context. */
int stele_heap_start(void);
size_t stele_page_size(void);
bool stele_heap_started(void);
/* The heap could not be started, and never will be: there was no address space or memory. */
bool stele_heap_failed(void);

/* For a callback that looks at runs while they are made and taken apart: the values may be out of
 * date, and are only counted or printed. */
#define STELE_RACY_LOOK __attribute__((no_sanitize("thread")))

/* Calls @each for every descriptor ever used; control path, the callback looks at `kind`. */
void stele_run_each(void (*each)(struct run *, void *), void *arg);

/* Counts for statistics: bytes of runs in use, free but resident, areas in use. */
struct stele_page_stats {
	uint64_t used, dirty_free, areas;
};
struct stele_page_stats stele_page_stats(void);
uint64_t stele_areas_of_node(unsigned node);

/* Tests: 0 off; n > 0: the n-th request for frames from now on and all after it fail, -1: all fail. */
extern int stele_inject_page_fail;

/* ---- the page map ---- */

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
