/* SPDX-License-Identifier: MIT */
/*
 * Slots follow the affinity of the process where they are numbered by it, and the watcher runs
 * where the other threads do.
 */
#include "cpus.h"

#include "percpu/system.h"

#include <dirent.h>
#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

/* The threads of this process. */
#define THREADS_MOST 64

static int threads(int numbers[THREADS_MOST])
{
	DIR *dir = opendir("/proc/self/task");
	struct dirent *entry;
	int n = 0;

	assert_non_null(dir);
	while ((entry = readdir(dir)) && n < THREADS_MOST)
		if (atoi(entry->d_name))
			numbers[n++] = atoi(entry->d_name);
	closedir(dir);
	return n;
}

/* A thread of that list may have ended since. */
static void set_cpus_of(const int numbers[], int n, const cpu_set_t *set)
{
	for (int i = 0; i < n; i++)
		if (sched_setaffinity(numbers[i], sizeof(*set), set) != 0)
			assert_int_equal(errno, ESRCH);
}

static void set_cpus(const cpu_set_t *set)
{
	int numbers[THREADS_MOST], n = threads(numbers);

	set_cpus_of(numbers, n, set);
}

static void the_set_follows_affinity_where_numbers_do(void **state)
{
	unsigned before = num_online_cpus();
	cpu_set_t one;

	(void)state;
	CPU_ZERO(&one);
	for (int i = 0; CPU_COUNT(&one) == 0; i++)
		if (CPU_ISSET(i, &allowed))
			CPU_SET(i, &one);
	assert_int_equal(stele_cpu_refresh(), 0);
	set_cpus(&one);
	assert_true(stele_cpu_refresh() >= 0);
	if (stele_system()->mode == STELE_MODE_MM_CID)
		assert_int_equal(num_online_cpus(), 1);
	else
		assert_int_equal(num_online_cpus(), before);
	set_cpus(&allowed);
	assert_true(stele_cpu_refresh() >= 0);
	assert_int_equal(num_online_cpus(), before);
}

static void a_slot_taken_down_stays_down_whatever_the_system_has(void **state)
{
	unsigned slot = take_mine_down();

	(void)state;
	assert_int_equal(stele_cpu_refresh(), 0);
	assert_false(cpu_online(slot));
	assert_int_equal(stele_cpu_up(slot), 0);
}

static void the_watcher_comes_and_goes(void **state)
{
	(void)state;
	for (int i = 0; i < 5; i++) {
		assert_int_equal(stele_cpu_watch(true), 0);
		assert_int_equal(stele_cpu_watch(true), 0);
		assert_int_equal(stele_cpu_watch(false), 0);
		assert_int_equal(stele_cpu_watch(false), 0);
	}
}

/* ---- where the watcher runs ---- */

static int one_not_in(const int known[], int n)
{
	int now[THREADS_MOST], count = threads(now);

	for (int i = 0; i < count; i++) {
		bool is_known = false;

		for (int j = 0; j < n; j++)
			is_known |= now[i] == known[j];
		if (!is_known)
			return now[i];
	}
	return 0;
}

/* Else a program that keeps to one processor would be said to run wherever its watcher may. */
static void the_watcher_goes_where_the_others_do(void **state)
{
	int others[THREADS_MOST], n = threads(others), watcher;
	cpu_set_t one, its;

	(void)state;
	CPU_ZERO(&one);
	for (int i = 0; CPU_COUNT(&one) == 0; i++)
		if (CPU_ISSET(i, &allowed))
			CPU_SET(i, &one);
	assert_int_equal(stele_cpu_watch(true), 0);
	watcher = one_not_in(others, n);
	assert_true(watcher > 0);
	set_cpus_of(others, n, &one);
	for (int i = 0; i < 6000; i++) {
		assert_int_equal(sched_getaffinity(watcher, sizeof(its), &its), 0);
		if (CPU_EQUAL(&its, &one))
			break;
		usleep(10000);
	}
	assert_true(CPU_EQUAL(&its, &one));
	assert_int_equal(stele_cpu_watch(false), 0);
	set_cpus(&allowed);
	assert_true(stele_cpu_refresh() >= 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_set_follows_affinity_where_numbers_do),
		cmocka_unit_test(a_slot_taken_down_stays_down_whatever_the_system_has),
		cmocka_unit_test(the_watcher_comes_and_goes),
	};
	/* An emulator has threads of its own, and does not keep to an affinity. */
	const struct CMUnitTest native[] = {
		cmocka_unit_test(the_watcher_goes_where_the_others_do),
	};
	int failed = cmocka_run_group_tests(tests, setup, NULL);

	return failed || STELE_TEST_EMULATED ? failed : cmocka_run_group_tests(native, NULL, NULL);
}
