/* SPDX-License-Identifier: MIT */
/*
 * Tests of os/nodes.c: this machine's nodes are found as the C library's calls tell them, refusals
 * are return values, errno is nobody's business.
 */
#include "os/nodes.h"
#include "base/layout.h"

#include "../unit.h"

#include <unistd.h>

#define NOT_OURS 4711

static void a_missing_file_is_an_error_and_leaves_errno(void **state)
{
	static uint64_t mask[64];
	uint16_t distance[4];

	(void)state;
	errno = NOT_OURS;
	assert_int_equal(stele_os_nodes("no_such_list"), 0);
	assert_true(stele_os_node_cpus(63, mask) < 0);
	assert_true(stele_os_node_distances(63, distance, 4) < 0);
	assert_int_equal(errno, NOT_OURS);
}

static bool sys_has_nodes(void)
{
	return access("/sys/devices/system/node/node0/cpulist", R_OK) == 0;
}

/* A machine without /sys/devices/system/node says so; one with it has a node and its CPUs. */
static void this_machine_has_the_nodes_it_has(void **state)
{
	static uint64_t cpus[64];
	uint64_t online = stele_os_nodes("online");
	uint16_t distance[STELE_NODES_MAX];
	int n;

	(void)state;
	assert_int_equal(online != 0, sys_has_nodes());
	if (!online)
		return;
	assert_true(stele_os_node_cpus(0, cpus) > 0);
	n = stele_os_node_distances(0, distance, STELE_NODES_MAX);
	assert_int_equal(n, __builtin_popcountll(online));
	for (int i = 0; i < n; i++)
		assert_true(distance[i] >= 10);
}

static void the_cpu_is_one_this_thread_may_run_on(void **state)
{
	cpu_set_t set;

	(void)state;
	assert_int_equal(sched_getaffinity(0, sizeof(set), &set), 0);
	assert_true(CPU_ISSET(stele_os_cpu(), &set));
}

/* Allowed or refused (a container's filter), the memory is as usable. */
static void a_preference_never_takes_memory_away(void **state)
{
	static char memory[8192] __attribute__((aligned(4096)));
	uint64_t allowed;
	int error;

	(void)state;
	errno = NOT_OURS;
	error = stele_os_prefer_node(memory, sizeof(memory), 0);
	assert_true(error <= 0);
	memset(memory, 1, sizeof(memory));
	allowed = stele_os_nodes_allowed();
	if (!error)
		assert_true(allowed != 0);
	assert_int_equal(errno, NOT_OURS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_missing_file_is_an_error_and_leaves_errno),
		cmocka_unit_test(this_machine_has_the_nodes_it_has),
		cmocka_unit_test(the_cpu_is_one_this_thread_may_run_on),
		cmocka_unit_test(a_preference_never_takes_memory_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
