/* SPDX-License-Identifier: MIT */
/*
 * cache/debug.c - checks all objects of a cache, or of all caches, on demand
 *
 * Idea      The call looks at all descriptors, and checks those that are slabs of the cache. The
 *           cache's slabs do not end meanwhile (slab/watch.c); a slab that is new may be missed. A
 *           cache that another thread validates just now is left to that thread.
 * Context   ordinary threads. Other threads may use the cache, except during stele_cache_debug().
 * Locks     list, for the caches; none while objects are looked at.
 * Tests     tests/contract/test_debug.c
 */
#include "cache/chores.h"
#include "cache/caches.h"
#include "os/os.h"
#include "page/run.h"
#include "percpu/percpu.h"
#include "slab/checks.h"
#include "slab/geometry.h"
#include "slab/slab_look.h"
#include <errno.h>
#include <stele/debug.h>

struct validation {
	struct kmem_cache *s; /* NULL: large blocks */
	long slabs;
	unsigned faults;
};

static void validate_run(struct run *run, void *arg)
{
	struct validation *v = arg;

	if (!slab_is_shown(&run->watched, v->s))
		return;
	v->slabs++;
	v->faults += stele_watch_slab(v->s, run);
}

static void validate_cache(struct kmem_cache *s, void *arg)
{
	struct validation *v = arg;
	uint64_t signals;

	v->s = s;
	if (!s->meta)
		return;
	signals = stele_os_signals_hold();
	if (stele_watch_begin(s)) {
		stele_run_each(validate_run, v);
		stele_watch_end(s);
	}
	stele_os_signals_release(signals);
}

long validate_slab_cache(struct kmem_cache *s)
{
	struct validation v = { 0 };

	validate_cache(s, &v);
	return v.slabs;
}

static STELE_RACY_LOOK void validate_large(struct run *run, void *arg)
{
	struct validation *v = arg;

	v->faults += stele_watch_large_look(run, (struct stele_call){ "validate", NULL });
}

long stele_slab_validate(void)
{
	struct validation v = { 0 };

	if (!stele_heap_started() || !watching())
		return 0;
	stele_cache_each(validate_cache, &v);
	if (stele_watch_large())
		stele_run_each(validate_large, &v);
	return v.faults;
}

/* ---- flags at run time ---- */

#define ANY_TIME (SLAB_CONSISTENCY_CHECKS | SLAB_TRACE)

/* The cache is empty: its sheaves go, or it gets some, and objects lie as the flags want it. */
static void lay_out_anew(struct kmem_cache *s, uint32_t flags)
{
	uint64_t words = s->words;

	s->words = s->fast_recip = s->fast_limit = s->capacity = 0;
	if (words)
		stele_pcpu_free(words);
	stele_slab_geometry(s, cache_object_size(s), s->align, flags);
	stele_cache_sheaves(s, 0);
}

int stele_cache_debug(struct kmem_cache *s, unsigned int flags)
{
	uint32_t before = s->flags & SLAB_DEBUG_FLAGS, rest = s->flags & ~before;
	uint64_t signals;

	if (flags & ~SLAB_DEBUG_FLAGS || s->refcount > 1 || s->is_static ||
	    s->flags & (SLAB_OWN | SLAB_KEPT | SLAB_RUNS))
		return -EINVAL;
	if (before && flags && !((before ^ flags) & ~ANY_TIME)) {
		s->flags = rest | flags;
		return 0;
	}
	stele_cache_empty(s);
	/* ORDER(SLABS) acquire */
	if (load_acquire(&s->slabs))
		return -EBUSY;
	signals = stele_os_signals_hold();
	lay_out_anew(s, rest | flags);
	stele_os_signals_release(signals);
	return 0;
}
