/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/plugins.c PLUGIN SECONDS - a plugin is loaded and unloaded while slots flap, the
 * loop that crashed the kernel in 2004; then caches are made and destroyed, and no memory is kept
 *
 * Idea      The program is linked with the shared library, as the plugin is. The library may write
 *           nothing on standard error but that a name is taken. It must count no bad free. Memory
 *           must not grow: the program compares the resident size after a tenth of the lives with
 *           the one at the end. The shared library does not export stele_caches_valid(), so the
 *           program does not ask it.
 */
#include <dlfcn.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "said.h"
#include "stress.h"
#include <stele/cpu.h>
#include <stele/slab.h>
#include <stele/stats.h>

#define GROWTH_MAX_KIB 512
#define ROUNDS_LEAST 200ul
#define LIVES_LEAST 20000ul

static atomic_bool over;
static atomic_ulong flaps, failed;

static void *flap(void *arg)
{
	unsigned int cpu = num_possible_cpus() - 1;

	(void)arg;
	while (!over) {
		if (stele_cpu_down(cpu) != 0 || stele_cpu_up(cpu) != 0)
			failed++;
		flaps++;
	}
	return NULL;
}

static int load_and_unload(const char *plugin, double seconds)
{
	double end = seconds_now() + seconds;
	unsigned long i;

	for (i = 0; i < ROUNDS_LEAST || seconds_now() < end; i++) {
		void *handle = dlopen(plugin, RTLD_NOW);

		if (!handle || dlclose(handle) != 0) {
			fprintf(stderr, "round %lu: %s\n", i, dlerror());
			return 1;
		}
	}
	printf("%lu rounds\n", i);
	return 0;
}

static long resident_kib(void)
{
	long size, pages = 0;
	FILE *file = fopen("/proc/self/statm", "r");

	if (!file || fscanf(file, "%ld %ld", &size, &pages) != 2)
		exit(2);
	fclose(file);
	return pages * (sysconf(_SC_PAGESIZE) / 1024);
}

/* How many caches lived. */
static unsigned long live_in_turn(double seconds, unsigned long least)
{
	double end = seconds_now() + seconds;
	unsigned long lives;

	for (lives = 0; lives < least || (lives % 256 || seconds_now() < end); lives++) {
		struct kmem_cache *s = kmem_cache_create("life", 72, 0, SLAB_NO_MERGE, NULL);
		void *p = s ? kmem_cache_alloc(s, GFP_KERNEL) : NULL;

		if (!p)
			exit(2);
		kmem_cache_free(s, p);
		kmem_cache_destroy(s);
	}
	return lives;
}

static int stays_flat(double seconds)
{
	unsigned long lives;
	long before, after;

	live_in_turn(seconds / 10, LIVES_LEAST / 10);
	before = resident_kib();
	lives = live_in_turn(seconds, LIVES_LEAST);
	after = resident_kib();
	printf("%lu lives: %ld KiB before, %ld KiB after\n", lives, before, after);
	return after - before > GROWTH_MAX_KIB;
}

/* Its stack stays with the C library when it ends. Behind a large one the system may put a huge
 * page at any time, and then the resident memory would not stay flat. */
static bool start_flapper(pthread_t *flapper)
{
	pthread_attr_t attr;
	int error;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 256 << 10);
	error = pthread_create(flapper, &attr, flap, NULL);
	pthread_attr_destroy(&attr);
	return !error;
}

int main(int argc, char **argv)
{
	struct stele_stats stats;
	pthread_t flapper;
	unsigned int cpu;
	double half;
	int wrong;

	if (argc != 3)
		return 2;
	half = strtod(argv[2], NULL) / 2;
	said_begin();
	for_each_possible_cpu(cpu) if (!cpu_online(cpu)) stele_cpu_up(cpu);
	if (num_possible_cpus() < 2 || !start_flapper(&flapper))
		return 2;
	wrong = load_and_unload(argv[1], half);
	over = true;
	pthread_join(flapper, NULL);
	wrong |= stays_flat(half);
	stele_stats_read(&stats);
	printf("%lu flaps, %lu failed, %lu bad frees\n", (unsigned long)flaps,
	       (unsigned long)failed, (unsigned long)stats.reports);
	wrong |= said_anything();
	return wrong || !flaps || failed || stats.reports;
}
