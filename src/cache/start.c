/* SPDX-License-Identifier: MIT */
/*
 * cache/start.c - what happens when the library is loaded, at fork and at exit
 *
 * Idea      Constructors may run after the first allocation; nothing here is needed for
 *           allocating, only for a clean fork and for the reports at exit. Those name the
 *           program and the process: a program's children inherit the wish for them, unless the
 *           option at_exit_of names one process.
 */
#include "base/auxv.h"
#include "base/fmt.h"
#include "base/options.h"
#include "os/os.h"
#include "slab/slab.h"
#include <pthread.h>
#include <stele/stats.h>
#include <unistd.h>

/* Nothing is done before a fork: it may come from a handler that interrupted anything here. */
void stele_slab_watch_fork(void)
{
	pthread_atfork(NULL, NULL, stele_slab_after_fork_child);
}

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
	if (stele_opt.at_exit_of && stele_opt.at_exit_of != stele_os_pid())
		return;
	if (stele_opt.stats_at_exit)
		write_stats();
	if (stele_opt.slabinfo_at_exit) {
		stele_say(PROCESS "caches at exit\n", stele_program(), stele_os_pid());
		stele_slabinfo_write(STDERR_FILENO);
	}
}
