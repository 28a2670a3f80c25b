/* SPDX-License-Identifier: MIT */
/*
 * cache/at_exit.c - what is said when the program ends, if options ask for it
 *
 * Idea      A report names its program and its process, because the program's children write reports
 *           as well, unless the option at_exit_of names one process.
 * Context   the thread that ends the process.
 * Tests     tests/tools/test_stele.sh
 */
#include "cache/caches.h"
#include "cache/leaks.h"
#include "base/auxv.h"
#include "base/fmt.h"
#include "base/layout.h"
#include "base/options.h"
#include "os/os.h"
#include "percpu/percpu.h"
#include "sync/grace.h"
#include <stele/debug.h>
#include <stele/stats.h>
#include <unistd.h>

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

void stele_cache_at_exit(void)
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
	if (stele_opt.leak_check)
		stele_leaks_at_exit(); /* may end the process */
}
