/* SPDX-License-Identifier: MIT */
/*
 * slab/dead.h - descriptors of slabs that are gone, on partial stacks
 */
#ifndef STELE_SLAB_DEAD_H
#define STELE_SLAB_DEAD_H

#include <stdbool.h>

struct kmem_cache;
struct run;
struct stele_stack;

/* A slab of this stack was buried while it was listed: it, or another dead one, may be on top. */
void stele_dead_buried(struct stele_stack *stack);
/* Whether descriptors wait on partial stacks; a glance. */
bool stele_dead_waiting(void);
/* A dead slab was taken off a stack: its descriptor is free again. */
void stele_dead_return(struct run *run);
/* Frees descriptors on the stacks of one cache, DEAD_MOST at most: how many. Any context. */
unsigned stele_dead_sweep(struct kmem_cache *s);

#endif
