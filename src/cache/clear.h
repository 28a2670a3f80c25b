/* SPDX-License-Identifier: MIT */
/*
 * cache/clear.h - objects under the options init_on_alloc and init_on_free
 *
 * Idea      Under either option the fast paths are closed (stele_trace_watch()), so that every object
 *           passes here: when it is handed out, and when it is freed. An object that waits for readers
 *           is cleared when the wait is over.
 * Context   any; the caller owns the object.
 * Tests     tests/contract/test_init.c, tests/preload/init.c
 */
#ifndef STELE_CACHE_CLEAR_H
#define STELE_CACHE_CLEAR_H

#include "slab/kmem_cache.h"
#include "trace/trace.h"
#include <string.h>

static inline bool clears_new(const struct kmem_cache *s)
{
	return trace_asked(WATCH_CLEAR_NEW) && cache_may_clear(s);
}

static inline bool clears_freed(const struct kmem_cache *s)
{
	return trace_asked(WATCH_CLEAR_FREED) && cache_may_clear(s);
}

static inline void clear_freed(const struct kmem_cache *s, void *p)
{
	if (clears_freed(s))
		memset(p, 0, s->meta ? cache_object_size(s) : s->size);
}

#endif
