/* SPDX-License-Identifier: MIT */
/*
 * cache/object.h - the slow ways of allocating and freeing objects
 *
 * Idea      A fast step did not serve (fast.h). free.c frees any pointer, miss.c works on the slot's
 *           sheaf.
 * Failing   The slow way of a user's call asks whether its object is to fail on purpose, and passes the
 *           place of that call. Calls that are EFFORT_BOUNDED do not ask, nor does the library when it
 *           takes objects for itself.
 * Clearing  Under init_on_alloc or init_on_free the fast paths are closed (stele_trace_watch()), so that
 *           every object passes here: when it is handed out, and when it is freed. An object that waits
 *           for readers is cleared when the wait is over. The caller owns the object.
 * Context   any.
 * Tests     tests/contract/test_fault.c, tests/contract/test_init.c, tests/preload/init.c
 */
#ifndef STELE_CACHE_OBJECT_H
#define STELE_CACHE_OBJECT_H

#include "base/basics.h"
#include "slab/kmem_cache.h"
#include "trace/trace.h"
#include <stdbool.h>
#include <stddef.h>
#include <stele/gfp.h>
#include <string.h>

/* ---- free.c: freeing any pointer ---- */

struct run;

/*
 * False: @p was bad or damaged and has been reported under the name of @call; or it is a checked large
 * block that is freed later (stele_watch_large_give()). NULL is the caller's to test.
 * @site: the caller, for the event kfree and for the report; NULL where the library frees an object of
 * its own.
 */
bool stele_free(const char *call, void *p, const void *site);
/* The same after the fast step failed. EFFORT_BOUNDED: short, unless it is traced; not for large runs. */
bool stele_free_any(const char *call, void *p, const void *site, enum effort effort);
/* @call, which names the cache, after its fast step failed. NULL @site: as above. */
void stele_free_into(const char *call, struct kmem_cache *s, void *p, const void *site);
/* Whether @p, the start of an object in @run, is seen to be free: a look, which misses many free ones. */
bool stele_seen_free(const struct run *run, const void *p);
/* Whether @p lies in an object of the library's own, which is reported then. */
bool stele_refuse_own(const char *call, const void *p, const void *site);
size_t stele_usable(const void *p);

/* ---- miss.c: the slot's sheaf does not serve ---- */

/* An object of any node; of the slot's sheaves first. NULL: no memory. */
void *stele_alloc_anywhere(struct kmem_cache *s, gfp_t gfp);
/* The same with the node that was asked for. EFFORT_BOUNDED: short; anything else is as usual. */
void *stele_alloc_at(struct kmem_cache *s, gfp_t gfp, int node, enum effort effort);
void *stele_zero_object(struct kmem_cache *s, void *p); /* @p */
/* Always true, so that a caller can end with `return stele_free_object(...)`: a jump, which frees
 * the stack of the caller. */
bool stele_free_object(struct kmem_cache *s, void *p, enum effort effort);

/* stele_alloc_at() for a call of kmem_cache_alloc() or its kin from @site, with its event. */
void *stele_cache_alloc_at(struct kmem_cache *s, gfp_t gfp, int node, enum effort effort,
			   const void *site);
/* Reports kmem_cache_alloc. */
void stele_cache_alloc_event(struct kmem_cache *s, void *p, gfp_t gfp, int node, const void *site);

/* ---- flags of the _nolock calls ---- */

#define NOLOCK_FLAGS (__GFP_ZERO | __GFP_ACCOUNT | __GFP_NOWARN | __GFP_NOMEMALLOC)

/*
 * Any other bit could ask for waiting or reclaim, which these calls never do. The fast ways serve
 * no call with such a bit. So they need not ask for a node either: __GFP_THISNODE is such a bit.
 */
static inline bool nolock_permits(gfp_t gfp)
{
	return stele_likely(!(gfp & ~NOLOCK_FLAGS));
}

#define NOLOCK_WARN_FLAGS(call, gfp, site)                                                         \
	do {                                                                                       \
		if (!nolock_permits(gfp))                                                          \
			STELE_WARN_SITE_ONCE(site,                                                 \
					     "stele: " call ": flags 0x%x are not for this call",  \
					     (gfp) & ~NOLOCK_FLAGS);                               \
	} while (0)

/* ---- objects that fail on purpose ---- */

/* fault.c, out of line: the callers are deep. */
bool stele_slab_fault_hits(const struct kmem_cache *s, gfp_t gfp, const void *site);

static inline bool slab_fails(const struct kmem_cache *s, gfp_t gfp, const void *site)
{
	return trace_asked(WATCH_FAIL_SLAB) && stele_slab_fault_hits(s, gfp, site);
}

/* ---- objects that are cleared ---- */

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
