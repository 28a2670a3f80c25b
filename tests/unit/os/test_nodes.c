/* SPDX-License-Identifier: MIT */
/*
 * Tests of os/nodes.c: lists of any form and length are read, this machine's nodes are found as
 * the C library's calls tell them, refusals are return values, errno is nobody's business.
 */
#include "os/nodes.h"

#include "../unit.h"

#include <stdio.h>
#include <unistd.h>

#define NOT_OURS 4711

/* The list in a file with this text, in the first 64 * @words numbers. */
static int list_of(const char *text, uint64_t *mask, unsigned words)
{
	char path[] = "/tmp/stele-test-nodes-XXXXXX";
	int fd = mkstemp(path), n;
	size_t length = strlen(text);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, length), length);
	close(fd);
	memset(mask, 0, words * sizeof(*mask));
	n = stele_os_read_list(path, mask, words);
	unlink(path);
	return n;
}

static void lists_are_read_as_the_kernel_writes_them(void **state)
{
	static const struct {
		const char *text;
		int count;
		uint64_t mask;
	} lists[] = {
		{ "", 0, 0 },
		{ "\n", 0, 0 },
		{ "0\n", 1, 1 },
		{ "0-3\n", 4, 0xf },
		{ "0-1,8-11\n", 6, 0xf03 },
		{ "0,2,63", 3, 1 | 4 | 1ull << 63 },
		{ "5-5\n", 1, 0x20 },
		{ "3-1\n", 0, 0 },
		{ "62-65\n", 4, 3ull << 62 },
		{ "1000000\n", 1, 0 },
		{ "abc,4,-,7\n", 2, 0x90 },
	};
	uint64_t mask;

	(void)state;
	for (size_t i = 0; i < sizeof(lists) / sizeof(lists[0]); i++) {
		assert_int_equal(list_of(lists[i].text, &mask, 1), lists[i].count);
		assert_int_equal(mask, lists[i].mask);
	}
}

/* Longer than what is read at a time: every second of 4096. */
static void a_long_list_is_read_to_its_end(void **state)
{
	static char text[4096 * 5];
	static uint64_t mask[64];
	size_t at = 0;

	(void)state;
	for (unsigned i = 0; i < 4096; i += 2)
		at += (size_t)snprintf(text + at, sizeof(text) - at, "%u%s", i,
				       i < 4094 ? "," : "\n");
	assert_int_equal(list_of(text, mask, 64), 2048);
	for (unsigned i = 0; i < 64; i++)
		assert_int_equal(mask[i], 0x5555555555555555);
}

static void what_is_not_there_is_an_error_and_leaves_errno(void **state)
{
	static uint64_t mask[64];
	uint16_t distance[4];

	(void)state;
	errno = NOT_OURS;
	assert_int_equal(stele_os_read_list("/nowhere/at/all", mask, 64), -ENOENT);
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
		cmocka_unit_test(lists_are_read_as_the_kernel_writes_them),
		cmocka_unit_test(a_long_list_is_read_to_its_end),
		cmocka_unit_test(what_is_not_there_is_an_error_and_leaves_errno),
		cmocka_unit_test(this_machine_has_the_nodes_it_has),
		cmocka_unit_test(the_cpu_is_one_this_thread_may_run_on),
		cmocka_unit_test(a_preference_never_takes_memory_away),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
