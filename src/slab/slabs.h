/* SPDX-License-Identifier: MIT */
/*
 * slab/slabs.h - objects from slabs and back, slabs that end, and the events of both
 *
 * Idea      take.c takes objects from the partial stacks, and makes slabs (new.c); give.c gives them
 *           back; retire.c ends a slab that became empty, and tidies the stacks. A call that must not
 *           retire a slab leaves it to others (deferred.c). Slabs of a cache with SLAB_KEPT stay
 *           (kept.c). A descriptor whose slab is gone may wait on a stack (dead.c).
 * Context   any, but for what is said otherwise.
 */
#ifndef STELE_SLAB_SLABS_H
#define STELE_SLAB_SLABS_H

#include "base/basics.h"
#include "trace/trace.h"
#include <stdbool.h>
#include <stdint.h>

struct kmem_cache;
struct run;
struct stele_grace;
struct stele_stack;

/* ---- take.c ---- */
/* Up to @n objects into @out, highest address first where it can. How many; 0: there is no memory,
 * however long one looks. EFFORT_BOUNDED: looks at few slabs, while there is memory. */
unsigned stele_slabs_take(struct kmem_cache *s, unsigned where, uint64_t *out, unsigned n,
			  enum effort effort);
/* One of them, or NULL. */
static inline void *stele_slabs_take_one(struct kmem_cache *s, unsigned where, enum effort effort)
{
	uint64_t object;

	return stele_slabs_take(s, where, &object, 1, effort) ? (void *)(uintptr_t)object : NULL;
}

/* ---- new.c ---- */
/* A new slab; up to @want of its objects go to @out, the rest to the partial stack. How many. */
unsigned stele_slab_new(struct kmem_cache *s, unsigned where, uint64_t *out, unsigned want);

/* ---- give.c ---- */
/* Returns objects to their slabs; reports those that were free already. Reorders @objects. */
void stele_slabs_give(struct kmem_cache *s, uint64_t *objects, unsigned n);
/* Returns one object. EFFORT_BOUNDED: its slab is not retired, but noted (deferred.c). */
void stele_slabs_give_one(struct kmem_cache *s, void *p, enum effort effort);

/* ---- retire.c ---- */
/* Ends a slab that became empty, and that the caller owns. */
void stele_slab_retire(struct kmem_cache *s, struct run *run, enum effort effort);
/* Pops descriptors of dead slabs, retires idle ones; fuller slabs come to the top. Ordinary
 * threads. */
void stele_slabs_tidy(struct kmem_cache *s);
/* The grace periods of the cache's readers. */
struct stele_grace *stele_grace_of(const struct kmem_cache *s);

/* ---- deferred.c: slabs that became empty in a call which must not retire them ---- */

#define PATIENCE 1000 /* naps, a second or so, of a wait for slabs in the hands of others */

/* Notes a slab that may be idle. Any context. */
void stele_deferred_note(struct run *run);
bool stele_deferred_noted(void);
/* Retires some of those that were noted. EFFORT_BOUNDED: no system call. Any context. */
void stele_deferred_retire(enum effort effort);
/* Retires all of them. Ordinary threads. */
void stele_deferred_retire_all(void);
/* The same; the slabs that other threads have in hand are done as well. Ordinary threads. */
void stele_deferred_wait(void);
void stele_deferred_after_fork(void);

/* ---- kept.c: slabs of caches with SLAB_KEPT, whose memory never leaves the library ---- */

/* The slab in this descriptor has just become idle. */
void stele_kept_idle(struct run *run);
/* Parks @run, which the caller owns (state_take_idle()), and in which all objects are free: gives the
 * pages back, unless the effort is bounded, and lets go of the slab. */
void stele_kept_park(struct kmem_cache *s, struct run *run, enum effort effort);
/* Parks the slabs that are noted and still idle. */
void stele_kept_purge(void);

/* ---- dead.c: descriptors of slabs that are gone, on partial stacks ---- */

/* A slab of this stack was buried while it was listed: it, or another dead one, may be on top. */
void stele_dead_buried(struct stele_stack *stack);
/* Whether descriptors wait on partial stacks; a glance. */
bool stele_dead_waiting(void);
/* A dead slab was taken off a stack: its descriptor is free again. */
void stele_dead_return(struct run *run);
/* Frees descriptors on the stacks of one cache, DEAD_MOST at most: how many. Any context. */
unsigned stele_dead_sweep(struct kmem_cache *s);

/* ---- events of slabs and sheaves ---- */

/*
 * Each is a probe, and a call if a callback asked for it. It stands where a signal might strike as well,
 * since a callback does what a handler may.
 */

/* An event about a sheaf (bytes: 0) or a slab of @s, with @n objects in it. */
#define CACHE_EVENT(kind, probe, s, at, n, bytes)                                                  \
	do {                                                                                       \
		PROBE_OF_CACHE(probe, at, (s)->name, n);                                           \
		if (trace_asked(STELE_TRACE_##kind))                                               \
			stele_trace_of_cache(STELE_TRACE_##kind, at, (s)->name, n, bytes);         \
	} while (0)
#define SHEAF_EVENT(kind, probe, s, sheaf, n) CACHE_EVENT(kind, probe, s, sheaf, n, 0)

#endif
