/* SPDX-License-Identifier: MIT */
/*
 * cache/walk.c - a walk over all caches, which may create and destroy some
 *
 * Idea      The walker pins the cache that it is at, and holds the CPU set, so that no slot goes. If
 *           the last reference to a cache was its own, it ends that cache. No lock is held while a
 *           cache is worked on, as that may call a destructor or report a fault.
 * Locks     the CPU set for reading; the list between two caches only.
 * Context   ordinary threads; signals are held back.
 * Tests     tests/contract/test_cache_create.c  tests/contract/test_cpus_races.c
 *           tests/contract/test_walk_left.c
 *           tests/contract/test_walk_pins.c
 */
#include "cache/caches.h"
#include "os/os.h"
#include "percpu/cpus.h"
#include "sync/atomic.h"

/* The next one, pinned; @s is let go. */
static struct kmem_cache *walk_on(struct kmem_cache *s, cache_question that)
{
	bool gone;
	struct kmem_cache *next = stele_list_next_pinned(s, that, &gone);

	if (gone)
		stele_cache_finish(s, __builtin_return_address(0));
	return next;
}

void stele_cache_each_that(cache_question that, void (*each)(struct kmem_cache *, void *),
			   void *arg)
{
	struct kmem_cache *s = NULL;
	uint64_t signals = stele_cpus_read_held();

	while ((s = walk_on(s, that))) {
		STELE_POINT("walk:at");
		each(s, arg);
	}
	stele_cpus_let_go();
	stele_os_signals_release(signals);
	stele_cpus_catch_up();
}

void stele_cache_each(void (*each)(struct kmem_cache *, void *), void *arg)
{
	stele_cache_each_that(NULL, each, arg);
}
