/* SPDX-License-Identifier: MIT */
/*
 * slab/slabs.h - objects from slabs and back
 *
 * Idea      take.c takes objects from the partial stacks, and makes slabs (new.c); give.c gives them
 *           back; retire.c ends a slab that became empty, and tidies the stacks.
 * Context   any, but for stele_slabs_tidy().
 */
#ifndef STELE_SLAB_SLABS_H
#define STELE_SLAB_SLABS_H

#include "base/effort.h"
#include <stdint.h>

struct kmem_cache;
struct run;
struct stele_grace;

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
/* Returns one object. EFFORT_BOUNDED: its slab is not retired, but noted (deferred.h). */
void stele_slabs_give_one(struct kmem_cache *s, void *p, enum effort effort);

/* ---- retire.c ---- */
/* Puts a slab with free objects on the partial stack. */
void stele_slab_list(struct kmem_cache *s, struct run *run);
/* A slab that became empty, and that the caller owns. */
void stele_slab_retire(struct kmem_cache *s, struct run *run, enum effort effort);
/* Pops descriptors of dead slabs, retires idle ones; fuller slabs come to the top. Ordinary
 * threads. */
void stele_slabs_tidy(struct kmem_cache *s);
/* The grace periods of the cache's readers. */
struct stele_grace *stele_grace_of(const struct kmem_cache *s);

#endif
