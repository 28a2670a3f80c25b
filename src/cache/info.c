/* SPDX-License-Identifier: MIT */
/*
 * cache/info.c - the figures of stele_stats_read() and stele_node_stats_read()
 *
 * Idea      The figures are counted from the descriptors, so that the data path counts nothing.
 * Bound     One look at each run and each cache, and as many system calls however many there are.
 * Context   ordinary threads. The figures are a racy look.
 * Tests     tests/contract/test_cache_create.c  tests/growth/costs.c
 */
#include "cache/sheaves.h"
#include "cache/caches.h"
#include "cache/rcu.h"
#include "os/os.h"
#include "os/report.h"
#include "page/where.h"
#include "percpu/cpus.h"
#include "percpu/percpu.h"
#include "slab/bitmap.h"
#include "slab/object.h"
#include "slab/parts.h"
#include "sync/grace.h"
#include <errno.h>
#include <stele/stats.h>
#include <string.h>

/* A slab with something in it, or whose memory others can have: not one that is kept empty. */
static STELE_RACY_LOOK bool is_live_slab(const struct run *run)
{
	const struct kmem_cache *s = run->cache;

	racy_target(s);
	return run->kind == RUN_SLAB && run->recip && s &&
	       (!(s->flags & SLAB_KEPT) || state_free(&((struct run *)run)->state) != run->objects);
}

static STELE_RACY_LOOK void sum_run(struct run *run, void *arg)
{
	struct stele_stats *stats = arg;

	if (is_live_slab(run)) {
		uint64_t free = state_free(&run->state);

		stats->slab_bytes += run->bytes;
		stats->slab_free_bytes += free * run->size;
		if (stele_is_sheaf_cache(run->cache))
			stats->sheaves += run->objects - free;
	} else if (run_rests(run)) {
		stats->dirty_free_bytes += run->bytes;
	} else if (run->kind == RUN_LARGE || run->kind == RUN_HUGE) {
		stats->large_bytes += run->bytes;
		stats->large_count++;
	}
}

struct node_sum {
	unsigned node;
	struct stele_node_stats *stats;
};

static STELE_RACY_LOOK void sum_run_of_node(struct run *run, void *arg)
{
	const struct node_sum *sum = arg;
	bool slab = is_live_slab(run);

	if (run->kind == RUN_NONE || node_at((void *)run->base) != sum->node)
		return;
	if (slab) {
		sum->stats->slab_bytes += run->bytes;
		sum->stats->slab_free_bytes += (uint64_t)state_free(&run->state) * run->size;
	} else if (run->kind != RUN_SLAB && !run_rests(run)) {
		sum->stats->large_bytes += run->bytes;
	}
}

int stele_node_stats_read(int node, struct stele_node_stats *stats)
{
	struct node_sum sum = { (unsigned)node, stats };

	memset(stats, 0, sizeof(*stats));
	if (stele_heap_start() != 0 || node < 0 || !node_has_memory((unsigned)node))
		return -EINVAL;
	stele_run_each(sum_run_of_node, &sum);
	stats->areas = stele_areas_of_node((unsigned)node);
	return 0;
}

static void sum_resting(struct kmem_cache *s, void *arg)
{
	uint64_t *resting = arg;

	*resting += stele_pcpu_sheaves(s->words);
	for (unsigned node = 0; node < stele_nodes.count; node++)
		if (cache_has_node(s, node))
			*resting += barn_depth(&cache_barn(s, node)->full) +
				    barn_depth(&cache_barn(s, node)->empty);
}

/* However many caches there are, the list is locked once. No slot goes meanwhile. */
static uint64_t sheaves_resting(void)
{
	uint64_t resting = 0, signals = stele_cpus_read_held();

	stele_list_look(sum_resting, &resting);
	stele_cpus_let_go();
	stele_os_signals_release(signals);
	stele_cpus_catch_up();
	return resting;
}

static void sum_graces(struct stele_stats *stats)
{
	for (int i = 0; i < STELE_GRACES; i++) {
		stats->rcu_bytes += load_relaxed(&stele_graces[i].waiting);
		stats->rcu_bytes_most += load_relaxed(&stele_graces[i].most);
		stats->rcu_rounds += load_relaxed(&stele_graces[i].done);
	}
}

void stele_stats_read(struct stele_stats *stats)
{
	struct stele_page_stats pages;
	uint64_t resting;

	memset(stats, 0, sizeof(*stats));
	if (!stele_heap_started())
		return;
	stele_run_each(sum_run, stats);
	resting = sheaves_resting() + stele_rcu_sheaves();
	stats->sheaves_out = stats->sheaves - STELE_MIN(resting, stats->sheaves);
	pages = stele_page_stats();
	stats->dirty_free_bytes += pages.dirty_free;
	stats->areas = pages.areas;
	stats->reports = stele_reports();
	sum_graces(stats);
}
