/* SPDX-License-Identifier: MIT */
/*
 * cache/fault.h - whether an object is to fail on purpose
 *
 * Idea      The slow way of a user's call asks here, and passes the place of that call. Calls that
 *           are EFFORT_BOUNDED do not ask, nor does the library when it takes objects for itself.
 * Context   any.
 * Tests     tests/contract/test_fault.c
 */
#ifndef STELE_CACHE_FAULT_H
#define STELE_CACHE_FAULT_H

#include "slab/kmem_cache.h"
#include "trace/fault.h"

/* fault.c, out of line: the callers are deep. */
bool stele_slab_fault_hits(const struct kmem_cache *s, gfp_t gfp, const void *site);

static inline bool slab_fails(const struct kmem_cache *s, gfp_t gfp, const void *site)
{
	return trace_asked(WATCH_FAIL_SLAB) && stele_slab_fault_hits(s, gfp, site);
}

#endif
