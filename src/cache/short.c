/* SPDX-License-Identifier: MIT */
/*
 * cache/short.c - memory that caches give up before a call answers NULL
 *
 * Idea      Memory that no program uses lies in caches: objects in sheaves keep their slabs, slabs
 *           that calls like kfree_nolock() emptied wait for the next slow call, and descriptors of
 *           slabs that are gone wait on partial stacks (slab/dead.c). A call that would answer NULL
 *           takes all of that back first, from all caches, and tries again. The page floor asks for
 *           descriptors by itself, in any call; for memory only in calls that may take long, so not
 *           in alloc_pages_nolock() and its kin.
 * Context   any. It waits for nothing: slots that are busy stay as they are, and a thread that finds
 *           the list of caches taken looks again a few times. Then the answer may be NULL although
 *           memory is there.
 * Bound     a walk over all caches, at most TRIES times, only where the answer would be NULL.
 * Limits    Caches with a destructor keep what they have: it would run under the list's lock. A call
 *           that names a node takes back what lies on other nodes as well.
 * Promise   contract 20 (docs/contract.md)
 * Tests     tests/unit/cache/test_short.c, tests/contract/test_node.c
 */
#include "cache/chores.h"
#include "cache/caches.h"
#include "cache/sheaves.h"
#include "os/os.h"
#include "page/run.h"
#include "slab/slabs.h"

#define TURNS 100u
#define TRIES 3u

static bool find_descriptors(void)
{
	for (unsigned i = 0; i < TURNS && stele_dead_waiting(); i++) {
		if (stele_cache_try_sweep())
			return true;
		stele_os_yield();
	}
	return false;
}

static void empty_short(struct kmem_cache *s, void *came)
{
	*(bool *)came = true;
	if (!s->dtor && stele_cache_has_sheaves(s))
		stele_cache_flush(s, EFFORT_USUAL);
}

static bool find_memory(void)
{
	uint64_t used = stele_page_stats().used;
	bool came = false;

	if (stele_inject_page_fail)
		return false;
	stele_chores_do(EFFORT_USUAL);
	for (unsigned i = 0; i < TURNS && !came; i++) {
		if (i)
			stele_os_yield();
		stele_cache_try_each(empty_short, &came);
	}
	return !came || stele_page_stats().used < used;
}

void *stele_cache_alloc_short(struct kmem_cache *s, unsigned where,
			      void *(*alloc)(struct kmem_cache *s, unsigned where))
{
	void *p = NULL;

	for (unsigned i = 0; !p && i < TRIES && find_memory(); i++)
		p = alloc(s, where);
	return p;
}

void stele_cache_watch_memory(void)
{
	stele_run_when_short(find_descriptors, find_memory);
}
