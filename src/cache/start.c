/* SPDX-License-Identifier: MIT */
/*
 * cache/start.c - what happens when the library is loaded, at fork and at exit
 *
 * Idea      Constructors may run after the first allocation, so no allocation needs this file. A
 *           clean fork and the reports at exit need it. A report names its program and its process,
 *           because the program's children write reports as well, unless the option at_exit_of
 *           names one process.
 * Tests     tests/tools/test_stele.sh  tests/stress/forks.c
 */
#include "cache/start.h"
#include "base/auxv.h"
#include "base/fmt.h"
#include "base/options.h"
#include "cache/chores.h"
#include "cache/cold.h"
#include "cache/destroy.h"
#include "cache/list.h"
#include "cache/rcu.h"
#include "cache/short.h"
#include "cache/slots.h"
#include "os/os.h"
#include "page/run.h"
#include "percpu/cpus.h"
#include "percpu/nodes.h"
#include "percpu/percpu.h"
#include "slab/deferred.h"
#include "sync/grace.h"
#include "sync/held.h"
#include "sync/mutex.h"
#include "trace/fault.h"
#include "trace/trace.h"
#include <pthread.h>
#include <stele/debug.h>
#include <stele/stats.h>
#include <unistd.h>

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

static void ask_for_children(void)
{
	stele_rank_in_child(STELE_RANK_WATCH, stele_cpu_watch_after_fork);
	stele_rank_in_child(STELE_RANK_CPUS, stele_cpus_after_fork);
	stele_rank_in_child(STELE_RANK_STEPS, stele_cpu_steps_after_fork);
	stele_rank_in_child(STELE_RANK_WALKING, stele_walking_in_child);
	stele_rank_in_child(STELE_RANK_LIST, list_in_child);
	stele_rank_in_child(STELE_RANK_TRACE, stele_trace_after_fork);
	stele_rank_in_child(STELE_RANK_TAKING, taking_in_child);
}

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

/* Nothing is done before a fork: it may come from a handler that interrupted anything here. */
static __attribute__((constructor)) void start_with_process(void)
{
	stele_cache_start();
	ask_for_children();
	pthread_atfork(NULL, NULL, after_fork_child);
	stele_slots_watch();
	stele_cache_watch_memory();
	stele_cpus_left = stele_cache_finish_put_off;
}

/* ---- at exit ---- */

#define PROCESS "stele: %.31s (pid %d): "

static void write_rcu(const struct stele_stats *stats)
{
	stele_say(PROCESS "waiting for readers %lu KiB, at most %lu KiB, in %lu rounds\n",
		  stele_program(), stele_os_pid(), stats->rcu_bytes >> 10,
		  stats->rcu_bytes_most >> 10, stats->rcu_rounds);
}

static void write_node(int node)
{
	struct stele_node_stats stats;

	if (stele_node_stats_read(node, &stats) == 0)
		stele_say(PROCESS "node %d: slabs %lu KiB (%lu KiB free in them), large %lu KiB, "
				  "address space opened %lu MiB\n",
			  stele_program(), stele_os_pid(), node, stats.slab_bytes >> 10,
			  stats.slab_free_bytes >> 10, stats.large_bytes >> 10,
			  stats.areas * AREA_SIZE >> 20);
}

static void write_stats(void)
{
	struct stele_stats stats;

	stele_stats_read(&stats);
	stele_say(PROCESS "slabs %lu KiB (%lu KiB free in them), large %lu KiB in %lu, "
			  "free resident %lu KiB, address space opened %lu MiB, "
			  "sheaves %lu (%lu out), bad frees %lu\n",
		  stele_program(), stele_os_pid(), stats.slab_bytes >> 10,
		  stats.slab_free_bytes >> 10, stats.large_bytes >> 10, stats.large_count,
		  stats.dirty_free_bytes >> 10, stats.areas * AREA_SIZE >> 20, stats.sheaves,
		  stats.sheaves_out, stats.reports);
	for (unsigned node = 0; nodes_several() && node < stele_nodes.count; node++)
		write_node((int)node);
	if (stele_grace_used())
		write_rcu(&stats);
}

static __attribute__((destructor)) void report_at_exit(void)
{
	if (stele_opt.debug || stele_opt.profile == STELE_PROFILE_DEBUG)
		stele_slab_validate();
	if (stele_opt.at_exit_of && stele_opt.at_exit_of != stele_os_pid())
		return;
	if (stele_opt.stats_at_exit)
		write_stats();
	if (stele_opt.slabinfo_at_exit) {
		stele_say(PROCESS "caches at exit\n", stele_program(), stele_os_pid());
		stele_slabinfo_write(STDERR_FILENO);
	}
}
