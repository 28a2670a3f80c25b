/* SPDX-License-Identifier: MIT */
/*
 * Tests of percpu/nodes.c, on machines that are pretended: which node is near to which, whose
 * memory a slot takes, what a node without memory stands for.
 */
#include "base/options.h"
#include "os/os.h"
#include "percpu/percpu.h"
#include "percpu/system.h"

#include "../unit.h"

static void pretend(int nodes, int late)
{
	stele_nodes_keep(1);
	stele_nodes.pretended = false;
	stele_opt.nodes = nodes;
	stele_opt.nodes_late = late;
	stele_nodes_choose();
}

static void there_is_one_node_unless_the_system_tells_of_more(void **state)
{
	(void)state;
	pretend(1, 0);
	assert_int_equal(stele_nodes.count, 1);
	assert_false(nodes_several());
	assert_true(node_has_memory(0));
	assert_false(node_has_memory(1));
	assert_int_equal(stele_node_here(), 0);
}

static void assert_farther(unsigned node, const int *expected)
{
	unsigned which = 0;
	int other;

	do {
		other = stele_node_farther(node, &which);
		assert_int_equal(other, *expected);
		expected++;
	} while (other >= 0);
}

static void every_other_node_comes_once(void **state)
{
	(void)state;
	for (unsigned n = 2; n <= STELE_NODES_MAX; n += 1 + n / 3) {
		pretend((int)n, 0);
		for (unsigned node = 0; node < n; node++) {
			uint64_t met = 1ull << node;
			unsigned which = 0, times = 0;
			int other;

			for (; (other = stele_node_farther(node, &which)) >= 0; times++)
				met |= 1ull << other;
			assert_int_equal(times, n - 1);
			assert_int_equal(__builtin_popcountll(met), n);
		}
	}
}

static void the_nearest_comes_first(void **state)
{
	(void)state;
	pretend(5, 0);
	assert_farther(3, (const int[]){ 2, 4, 0, 1, -1 });
	pretend(1, 0);
	assert_farther(0, (const int[]){ -1 });
}

static void nodes_without_memory_are_passed_over(void **state)
{
	(void)state;
	pretend(5, 3);
	assert_farther(3, (const int[]){ 0, 1, -1 });
	stele_nodes_look();
	stele_node_shown(4);
	assert_farther(3, (const int[]){ 4, 0, 1, -1 });
}

static void a_node_without_memory_stands_for_the_nearest(void **state)
{
	(void)state;
	pretend(4, 2);
	assert_int_equal(load_relaxed(&stele_nodes.memory), 3);
	assert_int_equal(stele_node_with_memory(0), 0);
	assert_int_equal(stele_node_with_memory(1), 1);
	assert_int_equal(stele_node_with_memory(2), 1);
	assert_int_equal(stele_node_with_memory(3), 0);
	assert_int_equal(stele_nodes_look(), 15);
	assert_int_equal(stele_node_with_memory(3), 0);
	stele_node_shown(3);
	assert_int_equal(stele_node_with_memory(3), 3);
	assert_int_equal(stele_node_with_memory(2), 1);
}

/* Those with memory are found as before, and all others stand for one of them. */
static void where_there_is_no_room_nodes_without_memory_go(void **state)
{
	(void)state;
	pretend(6, 4);
	stele_nodes_keep(2);
	assert_int_equal(stele_nodes.count, 2);
	assert_int_equal(load_relaxed(&stele_nodes.memory), 3);
	for (unsigned node = 0; node < 2; node++) {
		const int other[] = { !node, -1 };

		assert_farther(node, other);
	}
	for (unsigned node = 0; node < 6; node++)
		assert_true(node_has_memory(stele_node_with_memory(node)));
	assert_int_equal(stele_nodes_look(), 3);
	stele_nodes_keep(1);
	assert_false(nodes_several());
}

/* Slots are dealt out to the nodes that have memory. */
static void a_slot_has_a_node_with_memory(void **state)
{
	(void)state;
	pretend(3, 1);
	for (unsigned cpu = 0; cpu < STELE_OS_CPUS; cpu++)
		assert_int_equal(stele_node_of_cpu(cpu), cpu % 2);
	assert_int_equal(stele_node_of_cpu(STELE_OS_CPUS), 0);
	assert_int_equal(stele_node_of_cpu(~0u), 0);
	stele_nodes_look();
	for (unsigned cpu = 0; cpu < STELE_OS_CPUS; cpu++)
		assert_int_equal(stele_node_of_cpu(cpu), cpu % 3);
}

static void some_node_is_never_without_memory(void **state)
{
	(void)state;
	pretend(2, 63);
	assert_int_equal(load_relaxed(&stele_nodes.memory), 1);
}

/* Slots are CPUs then, whose node never changes. */
static void several_nodes_number_slots_by_cpu(void **state)
{
	(void)state;
	pretend(2, 0);
	stele_opt.rseq = -1;
	stele_system_choose();
	assert_int_not_equal(stele_system_facts.mode, STELE_MODE_MM_CID);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_is_one_node_unless_the_system_tells_of_more),
		cmocka_unit_test(every_other_node_comes_once),
		cmocka_unit_test(the_nearest_comes_first),
		cmocka_unit_test(nodes_without_memory_are_passed_over),
		cmocka_unit_test(a_node_without_memory_stands_for_the_nearest),
		cmocka_unit_test(where_there_is_no_room_nodes_without_memory_go),
		cmocka_unit_test(a_slot_has_a_node_with_memory),
		cmocka_unit_test(some_node_is_never_without_memory),
		cmocka_unit_test(several_nodes_number_slots_by_cpu),
	};

	stele_options_parse(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
