/* SPDX-License-Identifier: MIT */
/*
 * bench/cpus.c - bench-cpus MEASURE BATCHES: what a cache's life costs, and a slot's
 *
 * Idea      cache-life: an empty cache is made and destroyed. slot-down: a slot in which 100 caches
 *           keep sheaves is taken down; filling them again and bringing it up is not counted.
 */
#include "bench.h"

#include <string.h>

#include <stele/cpu.h>
#include <stele/slab.h>

#define LIVES 2000
#define CACHES 100
#define OBJECTS 200
#define DOWNS 20

static double cache_life(void)
{
	uint64_t start = bench_now_ns();

	for (int i = 0; i < LIVES; i++) {
		struct kmem_cache *s = kmem_cache_create("bench", 96, 0, SLAB_NO_MERGE, NULL);

		if (!s)
			bench_die("kmem_cache_create");
		kmem_cache_destroy(s);
	}
	return (double)(bench_now_ns() - start) / LIVES;
}

static struct kmem_cache *caches[CACHES];

static void make_caches(void)
{
	for (int i = 0; i < CACHES && !caches[i]; i++) {
		char name[] = "bench-00";

		name[6] = (char)('0' + i / 10);
		name[7] = (char)('0' + i % 10);
		caches[i] = kmem_cache_create(name, 96, 0, SLAB_NO_MERGE, NULL);
		if (!caches[i])
			bench_die("kmem_cache_create");
	}
}

static void fill_slot(void)
{
	void *p[OBJECTS];

	for (int i = 0; i < CACHES; i++) {
		for (int j = 0; j < OBJECTS; j++)
			p[j] = kmem_cache_alloc(caches[i], GFP_KERNEL);
		for (int j = 0; j < OBJECTS; j++)
			kmem_cache_free(caches[i], p[j]);
	}
}

static double slot_down(void)
{
	uint64_t spent = 0, start;

	make_caches();
	for (int i = 0; i < DOWNS; i++) {
		unsigned int slot;

		fill_slot();
		slot = raw_smp_processor_id();
		start = bench_now_ns();
		if (stele_cpu_down(slot) != 0)
			bench_die("stele_cpu_down");
		spent += bench_now_ns() - start;
		if (stele_cpu_up(slot) != 0)
			bench_die("stele_cpu_up");
	}
	return (double)spent / DOWNS;
}

static const struct bench_measure measures[] = {
	{ "cache-life", cache_life },
	{ "slot-down", slot_down },
};

int main(int argc, char **argv)
{
	for (size_t i = 0; argc == 3 && i < sizeof(measures) / sizeof(measures[0]); i++) {
		if (!strcmp(argv[1], measures[i].name)) {
			bench_run(&measures[i], bench_number(argv[2]));
			return 0;
		}
	}
	bench_die("usage: bench-cpus cache-life|slot-down BATCHES");
}
