/* SPDX-License-Identifier: MIT */
/*
 * slab/slab.h - a cache, and the fast paths of allocating and freeing
 *
 * Idea      alloc: pop from the slot's sheaf. free: address -> descriptor -> the cache's
 *           words -> push. Everything else is in the slow files of this folder:
 *             slow.c    sheaves: swap, barn, refill, flush
 *             slabs.c   slabs: refill from bitmaps, free into bitmaps, new, retire
 *             cache.c   create, destroy, shrink, merge
 *             decay.c   giving memory back while the program frees
 *             bulk.c    bulk calls and sheaves held by the user
 *             report.c  bad pointers
 *             info.c    slabinfo
 * Context   fast and slow paths any; cache.c ordinary threads.
 */
#ifndef STELE_SLAB_SLAB_H
#define STELE_SLAB_SLAB_H

#include "page/run.h"
#include "slab/sheaf.h"
#include <stele/slab.h>
#include <string.h>

#define CACHE_NAME_MAX 64
#define SLAB_NO_SHEAVES 0x80000000u /* internal: every call goes to the slabs */

struct kmem_cache {
	/* Fixed at create; the first line is what the fast path needs. */
	uint64_t words;	      /* per-CPU words; 0: no sheaves */
	uint32_t object_size; /* what the user asked for (the largest of merged ones) */
	uint32_t size;	      /* distance of objects */
	uint32_t align;
	uint32_t flags;
	uint64_t recip;	     /* 2^64 / size, rounded up */
	uint32_t objects;    /* per slab */
	uint16_t frames;     /* per slab */
	uint16_t run_align;  /* frames */
	uint16_t capacity;   /* entries of a sheaf; 0: none */
	uint16_t sheaf_size; /* bytes of a sheaf */
	uint32_t barn_max;   /* upper bound of barn.limit */
	void (*ctor)(void *);
	void (*dtor)(void *);

	/* Any thread, ORDER(STACK). */
	struct stele_stack partial __attribute__((aligned(64)));
	_Atomic uint64_t slabs; /* exist now; statistics and destroy */
	struct barn barn __attribute__((aligned(64)));

	/* Under the list lock (cache.c). */
	struct kmem_cache *next __attribute__((aligned(64)));
	int refcount;
	bool is_static;
	char name[CACHE_NAME_MAX];
};

/* ---- slow.c ---- */
void *stele_slab_alloc_slow(struct kmem_cache *s, gfp_t gfp);
void stele_zero_object(struct kmem_cache *s, void *p);
void stele_slab_free_slow(struct kmem_cache *s, void *p);
/* Empties every slot and the barn into the slabs; @wait as in stele_pcpu_take_all(). */
void stele_slab_flush_all(struct kmem_cache *s, bool wait);

/* ---- slabs.c ---- */
/* Up to @n objects into @out, highest address first where it can. How many. */
unsigned stele_slabs_take(struct kmem_cache *s, uint64_t *out, unsigned n);
/* Returns objects to their slabs; reports those that were free already. Reorders @objects. */
void stele_slabs_give(struct kmem_cache *s, uint64_t *objects, unsigned n);
/* Pops descriptors of dead slabs; fuller slabs come to the top. Ordinary threads. */
void stele_slabs_tidy(struct kmem_cache *s);
/* The object's number in its slab; whether its bit says free (a look, may change at once). */
bool stele_object_is_free(const struct run *run, const void *p);

/* ---- decay.c ---- */
void stele_decay_grown(unsigned frames);
void stele_decay_shrunk(unsigned frames);

/* ---- report.c ---- */
/* Says what is wrong with freeing @p and counts it; dies if the option says so. */
void stele_report_free(const char *call, const void *p, const char *what, const char *cache);
/* The same for kmem_cache_free() with the wrong cache. */
void stele_report_cache(const void *p, const char *owner, const char *given);
uint64_t stele_reports(void);

/* ---- cache.c ---- */
/* A cache in static memory, for the floors above; no lock, no list. */
void stele_cache_boot(struct kmem_cache *s, const char *name, uint32_t size, uint32_t align,
		      uint32_t flags);
/* Shows a booted cache in slabinfo and to shrink-all. Ordinary threads. */
void stele_cache_list(struct kmem_cache *s);
void stele_cache_each(void (*each)(struct kmem_cache *, void *), void *arg);
/* The same without waiting: nothing happens when somebody holds the list. Any context. */
void stele_cache_try_each(void (*each)(struct kmem_cache *, void *), void *arg);
/* Flushes every cache and purges; what malloc_trim() does. */
void stele_shrink_all(size_t keep_bytes);
void stele_slab_after_fork_child(void);

/* ---- start.c ---- */
void stele_slab_watch_fork(void);

/* ---- free.c: any object, slab or large ---- */
/* False: @p was bad and has been reported under the name of @call. NULL is the caller's to test. */
bool stele_free(const char *call, void *p);
bool stele_free_slow(const char *call, void *p);
size_t stele_usable(const void *p);

static inline __attribute__((always_inline)) void *slab_alloc(struct kmem_cache *s, gfp_t gfp)
{
	void *p = pcpu_pop(s->words);

	if (stele_unlikely(!p))
		return stele_slab_alloc_slow(s, gfp);
	if (stele_unlikely(gfp & __GFP_ZERO))
		stele_zero_object(s, p);
	return p;
}

/* True when @p is the start of an object: its offset times the reciprocal wraps to below it. */
static inline __attribute__((always_inline)) bool run_has_object_at(const struct run *run,
								    const void *p)
{
	uint64_t offset = (uint32_t)((uintptr_t)p - run->base);

	return offset * run->recip < run->recip;
}

static inline bool in_heap(const void *p)
{
	return (uintptr_t)p - (uintptr_t)stele_hot.base < stele_hot.span;
}

/* The descriptor for an address in the heap; "not ours" has a recip of 0: no object starts there. */
static inline __attribute__((always_inline)) struct run *run_at(const void *p)
{
	uint64_t offset = (uintptr_t)p - (uintptr_t)stele_hot.base;
	_Atomic uint32_t *map = (_Atomic uint32_t *)(stele_hot.base + STELE_MAP_OFFSET);

	/* ORDER(PAGEMAP): reached through the object's address. */
	return (struct run *)(stele_hot.base +
			      (uint64_t)load_relaxed(&map[offset >> FRAME_SHIFT]) * 8);
}

/* Frees an object of any cache. False: take the slow way. */
static inline __attribute__((always_inline)) bool slab_free_fast(void *p)
{
	struct run *run;

	if (stele_unlikely(!in_heap(p)))
		return false;
	run = run_at(p);
	if (stele_unlikely(!run_has_object_at(run, p)))
		return false;
	return pcpu_push(&run->words, p);
}

#endif
