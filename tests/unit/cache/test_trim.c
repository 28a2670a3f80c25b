/* SPDX-License-Identifier: MIT */
/*
 * Tests of cache/shrink.c and cache/decay.c. The cost of trimming does not grow with the number of
 * caches, only with the caches that have something to give. Statistics lock the list of caches once.
 * slabinfo looks at the runs once. One free of a shrinking program looks at a bounded number of caches.
 *
 * Measure   system calls: each hold of signals is two, each barrier one.
 */
#include "cache/caches.h"
#include "cache/chores.h"
#include "page/run.h"
#include "slab/kmem_cache.h"
#include "sync/grace.h"
#include <stele/stats.h>
#include <sys/mman.h>
#include <unistd.h>

#include "../unit.h"

#define MOST 512u
#define SIZE 512u
#define OBJECTS 16384u /* 8 MiB: well above the least that decay.c looks at */

uint64_t __real_stele_os_signals_hold(void);
uint64_t __wrap_stele_os_signals_hold(void);
int __real_stele_os_membarrier(void);
int __wrap_stele_os_membarrier(void);

static unsigned calls;

uint64_t __wrap_stele_os_signals_hold(void)
{
	calls += 2;
	return __real_stele_os_signals_hold();
}

int __wrap_stele_os_membarrier(void)
{
	calls++;
	return __real_stele_os_membarrier();
}

static struct kmem_cache caches[MOST], busy;
static unsigned made;
static void *objects[OBJECTS];

static int setup(void **state)
{
	(void)state;
	if (stele_heap_start() != 0)
		return -1;
	stele_cache_boot(&busy, "busy", SIZE, SIZE, SLAB_NO_MERGE);
	stele_cache_list(&busy, 1);
	return 0;
}

static void make_until(unsigned n)
{
	for (; made < n; made++) {
		stele_cache_boot(&caches[made], "one of many", 96, 32, SLAB_NO_MERGE);
		stele_cache_list(&caches[made], 1);
	}
}

/* One object that was freed and rests in a sheaf, keeping its slab alive. */
static void rest_one_of(struct kmem_cache *s)
{
	kmem_cache_free(s, kmem_cache_alloc(s, 0));
}

static unsigned calls_of_trim(unsigned n, unsigned active)
{
	make_until(n);
	stele_shrink_all(0);
	for (unsigned i = 0; i < active; i++) {
		rest_one_of(&caches[i]);
		assert_int_equal(load_relaxed(&caches[i].slabs), 1);
	}
	calls = 0;
	stele_shrink_all(0);
	for (unsigned i = 0; i < active; i++)
		assert_int_equal(load_relaxed(&caches[i].slabs), 0);
	return calls;
}

static void a_trim_with_nothing_to_give_is_cheap(void **state)
{
	unsigned few = calls_of_trim(MOST / 16, 0);

	(void)state;
	assert_in_range(few, 2, 24);
	assert_int_equal(calls_of_trim(MOST / 4, 0), few);
	assert_int_equal(calls_of_trim(MOST, 0), few);
}

/* Once readers may be waited for, caches without objects that wait cost no more than before. */
static void a_trim_is_as_cheap_where_rcu_is_used(void **state)
{
	unsigned before = calls_of_trim(MOST, 0);

	(void)state;
	stele_grace_use();
	assert_int_equal(calls_of_trim(MOST, 0), before);
}

/* A report about caches locks their list once. */
static void statistics_cost_the_same_with_many_caches(void **state)
{
	struct stele_stats stats;
	unsigned few;

	(void)state;
	make_until(4);
	calls = 0;
	stele_stats_read(&stats);
	few = calls;
	assert_in_range(few, 2, 24);
	make_until(MOST / 16);
	calls = 0;
	stele_stats_read(&stats);
	assert_int_equal(calls, few);
}

void __real_stele_run_each(void (*each)(struct run *, void *), void *arg);
void __wrap_stele_run_each(void (*each)(struct run *, void *), void *arg);
static unsigned looks_at_runs;

void __wrap_stele_run_each(void (*each)(struct run *, void *), void *arg)
{
	looks_at_runs++;
	__real_stele_run_each(each, arg);
}

static unsigned lines_with(const char *text, const char *part)
{
	unsigned n = 0;

	while ((text = strstr(text, part))) {
		n++;
		text += strlen(part);
	}
	return n;
}

static void slabinfo_looks_at_the_runs_once_for_all_caches(void **state)
{
	static char text[MOST * 256];
	int file = memfd_create("slabinfo", 0);
	void *ones[MOST], *two[2];

	(void)state;
	make_until(MOST);
	for (unsigned i = 0; i < MOST; i++)
		ones[i] = kmem_cache_alloc(&caches[i], 0);
	for (unsigned i = 0; i < 2; i++)
		two[i] = kmem_cache_alloc(&busy, 0);
	stele_shrink_all(0); /* objects that rest in sheaves count, too */
	looks_at_runs = 0;
	stele_slabinfo_write(file);
	assert_int_equal(looks_at_runs, 1);
	assert_true(pread(file, text, sizeof(text) - 1, 0) > 0);
	assert_int_equal(lines_with(text, "one of many            1 "), MOST);
	assert_int_equal(lines_with(text, "\nbusy                   2 "), 1);
	close(file);
	for (unsigned i = 0; i < 2; i++)
		kmem_cache_free(&busy, two[i]);
	for (unsigned i = 0; i < MOST; i++)
		kmem_cache_free(&caches[i], ones[i]);
}

static void a_trim_costs_in_proportion_to_its_gain(void **state)
{
	unsigned one, four;

	(void)state;
	one = calls_of_trim(MOST, 1);
	four = calls_of_trim(MOST, 4);
	assert_true(four <= 4 * one);
	assert_in_range(calls_of_trim(MOST, 16), four, 16 * one);
}

static uint64_t resting(unsigned n)
{
	uint64_t slabs = 0;

	for (unsigned i = 0; i < n; i++)
		slabs += load_relaxed(&caches[i].slabs);
	return slabs;
}

/* The most that are emptied by one free, and whether all are in the end. */
static void a_shrinking_program_empties_few_caches_at_once(void **state)
{
	uint64_t before, most = 0;

	(void)state;
	make_until(MOST);
	stele_shrink_all(0);
	for (unsigned i = 0; i < OBJECTS; i++) {
		objects[i] = kmem_cache_alloc(&busy, 0);
		assert_non_null(objects[i]);
	}
	for (unsigned i = 0; i < MOST; i++)
		rest_one_of(&caches[i]);
	before = resting(MOST);
	assert_int_equal(before, MOST);
	for (unsigned i = 0; i < OBJECTS; i++) {
		uint64_t now;

		kmem_cache_free(&busy, objects[i]);
		now = resting(MOST);
		most = STELE_MAX(most, before - now);
		before = now;
	}
	assert_int_equal(before, 0);
	assert_in_range(most, 1, MOST / 4);
	stele_shrink_all(0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(statistics_cost_the_same_with_many_caches),
		cmocka_unit_test(a_trim_with_nothing_to_give_is_cheap),
		cmocka_unit_test(a_trim_costs_in_proportion_to_its_gain),
		cmocka_unit_test(a_shrinking_program_empties_few_caches_at_once),
		cmocka_unit_test(slabinfo_looks_at_the_runs_once_for_all_caches),
		cmocka_unit_test(a_trim_is_as_cheap_where_rcu_is_used),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
