/* SPDX-License-Identifier: MIT */
/*
 * cache/walk.c - a walk over all caches, which may create and destroy some
 *
 * Idea      The walker pins the cache that it is at, and holds the CPU set, so that no slot goes. If
 *           the last reference to a cache was its own, it ends that cache.
 * Locks     the CPU set for reading, walking; the list between two caches only.
 * Context   ordinary threads; signals are held back. Another thread's walk may call a destructor, for
 *           as long as that likes: while a thread waits for its end, signals come in, and the CPU set
 *           may change.
 * Tests     tests/contract/test_cache_create.c  tests/contract/test_cpus_races.c
 *           tests/contract/test_signals_come.c
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

/* Waits until no other thread walks. False: this thread does. */
static bool wait_for_walk(void)
{
	if (!stele_list_begin_walking(true))
		return false;
	stele_list_end_walking();
	return true;
}

/* False: a destructor wants to walk from within a walk, which does its work as well. Otherwise signals
 * are held back; *signals is as they were. */
static bool begin_walk(uint64_t *signals)
{
	do {
		*signals = stele_cpus_read_held();
		if (stele_list_begin_walking(false))
			return true;
		stele_cpus_let_go();
		stele_os_signals_release(*signals);
	} while (wait_for_walk());
	return false;
}

void stele_cache_each_that(cache_question that, void (*each)(struct kmem_cache *, void *),
			   void *arg)
{
	struct kmem_cache *s = NULL;
	uint64_t signals;

	if (!begin_walk(&signals))
		return;
	while ((s = walk_on(s, that))) {
		STELE_POINT("walk:at");
		each(s, arg);
	}
	stele_list_end_walking();
	stele_cpus_let_go();
	stele_os_signals_release(signals);
	stele_cpus_catch_up();
}

void stele_cache_each(void (*each)(struct kmem_cache *, void *), void *arg)
{
	stele_cache_each_that(NULL, each, arg);
}
