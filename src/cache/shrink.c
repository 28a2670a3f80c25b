/* SPDX-License-Identifier: MIT */
/*
 * cache/shrink.c - gives back what caches do not need: of one cache, or of all
 *
 * Bound     a trim asks each cache what it has to give, under the list lock and without a system call.
 *           It makes system calls only for those that have something.
 * Context   ordinary threads.
 * Order     SLABS
 * Tests     tests/contract/test_cache_create.c  tests/unit/cache/test_trim.c
 *           tests/growth/costs.c
 */
#include "cache/chores.h"
#include "cache/caches.h"
#include "cache/rcu.h"
#include "cache/sheaves.h"
#include "page/run.h"
#include "slab/slabs.h"
#include "slab/parts.h"
#include "slab/checks.h"
#include "sync/grace.h"
#include "sync/stack.h"
#include <stele/stats.h>

static int shrink_cache(struct kmem_cache *s)
{
	uint64_t slabs;

	if (STELE_DEBUG && s->destroyed) {
		stele_report_destroyed((struct stele_call){ "kmem_cache_shrink", NULL }, s);
		return 0;
	}
	if (stele_grace_used())
		stele_rcu_flush(s);
	stele_cache_empty(s);
	/* ORDER(SLABS) acquire */
	slabs = load_acquire(&s->slabs);
	return (uint32_t)slabs > slabs / SLAB_DYING ? 1 : 0;
}

/* Frames that were free before may stay; those that the cache gives up go back at once. */
int kmem_cache_shrink(struct kmem_cache *s)
{
	uint64_t before = stele_dirty_free();
	int left = shrink_cache(s);

	stele_kept_purge();
	stele_purge(STELE_MAX(before * FRAME_SIZE, FRAME_SIZE));
	return left;
}

static void shrink_each(struct kmem_cache *s, void *arg)
{
	(void)arg;
	shrink_cache(s);
}

/* An empty slab that is listed was noted (slab/deferred.c), so all that a cache can give up is in
 * sheaves, is a slab that was kept for want of a thread that waits for readers, or is a descriptor
 * of a dead slab. */
static bool has_to_give(struct kmem_cache *s)
{
	bool listed = false, dead = stele_dead_waiting();

	for (unsigned node = 0; dead && node < stele_nodes.count; node++)
		listed |= cache_has_node(s, node) &&
			  STELE_STACK_INDEX(load_relaxed(&cache_partial(s, node)->head));
	return listed || s->meta || (stele_grace_used() && load_relaxed(&s->idle_kept)) ||
	       stele_cache_has_sheaves(s);
}

void stele_shrink_all(size_t keep_bytes)
{
	if (STELE_DEBUG)
		stele_destroyed_forget();
	stele_deferred_retire_all();
	stele_purge_due();
	stele_cache_each_that(has_to_give, shrink_each, NULL);
	stele_kept_purge();
	stele_purge(keep_bytes);
}

size_t stele_trim(size_t keep_bytes)
{
	size_t before, after;

	if (!stele_heap_started())
		return 0;
	before = stele_page_stats().dirty_free + stele_page_stats().used;
	stele_shrink_all(keep_bytes);
	after = stele_page_stats().dirty_free + stele_page_stats().used;
	return before > after ? before - after : 0;
}
