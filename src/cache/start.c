/* SPDX-License-Identifier: MIT */
/*
 * cache/start.c - what happens when the library is loaded, and when the program ends
 *
 * Idea      Constructors may run after the first allocation, so no allocation needs this file. A
 *           clean fork (fork.c) and the reports at exit (at_exit.c) need it.
 * Context   the thread that loads the library, and the one that ends the process. stele_cache_start():
 *           any; a second call does no harm.
 * Tests     tests/tools/test_stele.sh  tests/stress/forks.c
 */
#include "cache/caches.h"
#include "base/options.h"
#include "cache/chores.h"
#include "percpu/cpus.h"
#include "trace/trace.h"

/* Once the options are known. */
static void watch_for_options(void)
{
	uint32_t watch = (stele_opt.init_on_alloc ? WATCH_CLEAR_NEW : 0) |
			 (stele_opt.init_on_free ? WATCH_CLEAR_FREED : 0);

	if (watch && !trace_asked(watch))
		stele_trace_watch(watch, 0);
	stele_fault_by_options();
}

void stele_cache_start(void)
{
	stele_chores_watch_slabs();
	watch_for_options();
}

static __attribute__((constructor)) void start_with_process(void)
{
	stele_cache_start();
	stele_cache_watch_forks();
	stele_slots_watch();
	stele_cache_watch_memory();
	stele_cpus_left = stele_cache_finish_put_off;
}

static __attribute__((destructor)) void end_with_process(void)
{
	stele_cache_at_exit();
}
