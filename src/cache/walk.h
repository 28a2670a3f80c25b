/* SPDX-License-Identifier: MIT */
/*
 * cache/walk.h - over all caches (walk.c)
 *
 * Context   ordinary threads.
 */
#ifndef STELE_CACHE_WALK_H
#define STELE_CACHE_WALK_H

#include "cache/list.h"

/* @each may create, shrink and destroy caches. */
void stele_cache_each(void (*each)(struct kmem_cache *, void *), void *arg);
/* Only those of which @that is true, a short look that calls nothing; NULL: all. */
void stele_cache_each_that(cache_question that, void (*each)(struct kmem_cache *, void *),
			   void *arg);

#endif
