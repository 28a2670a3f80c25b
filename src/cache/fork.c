/* SPDX-License-Identifier: MIT */
/*
 * cache/fork.c - what the child of a fork does
 *
 * Idea      Nothing is done before a fork: it may come from a handler that interrupted anything here.
 *           The child makes each lock's data whole again, in the order of their ranks.
 * Context   the child's one thread.
 * Promise   contract 14 (docs/contract.md)
 * Tests     tests/stress/forks.c
 */
#include "base/basics.h"
#include "cache/caches.h"
#include "cache/chores.h"
#include "cache/rcu.h"
#include "os/os.h"
#include "page/run.h"
#include "percpu/cpus.h"
#include "percpu/percpu.h"
#include "slab/slabs.h"
#include "sync/ranks.h"
#include "trace/trace.h"
#include <pthread.h>

STELE_NEVER_WAITS static void after_fork_child(void)
{
	stele_os_process_forked();
	stele_ranks_after_fork();
}

static void list_in_child(void)
{
	stele_list_in_child();
	stele_deferred_after_fork();
	stele_rcu_after_fork();
	stele_cold_after_fork();
}

static void taking_in_child(void)
{
	if (stele_heap_started())
		stele_pcpu_after_fork();
}

void stele_cache_watch_forks(void)
{
	stele_rank_in_child(STELE_RANK_WATCH, stele_cpu_watch_after_fork);
	stele_rank_in_child(STELE_RANK_CPUS, stele_cpus_after_fork);
	stele_rank_in_child(STELE_RANK_STEPS, stele_cpu_steps_after_fork);
	stele_rank_in_child(STELE_RANK_LIST, list_in_child);
	stele_rank_in_child(STELE_RANK_TRACE, stele_trace_after_fork);
	stele_rank_in_child(STELE_RANK_TAKING, taking_in_child);
	pthread_atfork(NULL, NULL, after_fork_child);
}
