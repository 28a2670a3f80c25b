/* SPDX-License-Identifier: MIT */
/*
 * tests/contract/nodes.h - what the tests on a machine with several nodes share
 *
 * Nodes     The environment pretends three, of which the third gets its memory late
 *           (tests/meson.build). The tests see the place of addresses; only a real machine shows
 *           whether pages follow.
 * Included  by one file of a program, whose main() ends with run_on_nodes().
 */
#ifndef STELE_TESTS_CONTRACT_NODES_H
#define STELE_TESTS_CONTRACT_NODES_H

#include "contract.h"

#include "page/heap.h"
#include "percpu/system.h"

#include <sched.h>

#include <stele/page.h>
#include <stele/topology.h>

#define NODES 2
#define MANY 500

static inline int node_of(const void *p)
{
	return page_to_nid(virt_to_page(p));
}

static inline struct kmem_cache *cache(const char *name)
{
	struct kmem_cache *s = kmem_cache_create(name, 96, NULL, SLAB_NO_MERGE);

	assert_non_null(s);
	return s;
}

/* Runs on one CPU, so that the slot and its node stay the same; in the fallback they do anyway. */
static inline void stay_on(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	sched_setaffinity(0, sizeof(set), &set);
}

static inline int some_cpu(void)
{
	static cpu_set_t set;
	int cpu = 0;

	if (!CPU_COUNT(&set))
		sched_getaffinity(0, sizeof(set), &set);
	while (!CPU_ISSET(cpu, &set))
		cpu++;
	return cpu;
}

static inline int here(void)
{
	stay_on(some_cpu());
	return numa_mem_id();
}

/* A live object, and the pages that are used once it is gone. */
static inline uint64_t pages_used(void)
{
	stele_trim(0);
	return stele_page_stats().used;
}

#define run_on_nodes(tests) (three_nodes() ? cmocka_run_group_tests(tests, NULL, NULL) : 1)

static inline bool three_nodes(void)
{
	stele_heap_start();
	if (stele_nodes.count == 3 && load_relaxed(&stele_nodes.memory) == 3)
		return true;
	fputs("this test wants STELE_NODES=3 STELE_NODES_LATE=1\n", stderr);
	return false;
}

#endif
