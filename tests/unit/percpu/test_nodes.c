/* SPDX-License-Identifier: MIT */
/*
 * Tests of percpu/nodes.c, on machines that are pretended: who is near to whom, whose memory a
 * slot takes, what a node without memory stands for.
 */
#include "base/options.h"
#include "os/os.h"
#include "percpu/nodes.h"
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

static void one_node_is_what_there_is_where_nothing_is_said(void **state)
{
	(void)state;
	pretend(1, 0);
	assert_int_equal(stele_nodes.count, 1);
	assert_false(nodes_several());
	assert_true(node_has_memory(0));
	assert_false(node_has_memory(1));
	assert_int_equal(stele_node_here(), 0);
}

/* Each node is the nearest to itself, and every other comes exactly once. */
static void every_node_has_an_order_of_all(void **state)
{
	(void)state;
	for (unsigned n = 2; n <= STELE_NODES_MAX; n += 1 + n / 3) {
		pretend((int)n, 0);
		for (unsigned node = 0; node < n; node++) {
			uint64_t met = 0;

			assert_int_equal(stele_node_near(node, 0), node);
			for (unsigned i = 0; i < n; i++)
				met |= 1ull << stele_node_near(node, i);
			assert_int_equal(__builtin_popcountll(met), n);
		}
	}
}

static void the_nearest_comes_first(void **state)
{
	static const unsigned ring[] = { 3, 2, 4, 0, 1 };

	(void)state;
	pretend(5, 0);
	for (unsigned i = 0; i < 5; i++)
		assert_int_equal(stele_node_near(3, i), ring[i]);
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
		assert_int_equal(stele_node_near(node, 0), node);
		assert_int_equal(stele_node_near(node, 1), !node);
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
		cmocka_unit_test(one_node_is_what_there_is_where_nothing_is_said),
		cmocka_unit_test(every_node_has_an_order_of_all),
		cmocka_unit_test(the_nearest_comes_first),
		cmocka_unit_test(a_node_without_memory_stands_for_the_nearest),
		cmocka_unit_test(where_there_is_no_room_nodes_without_memory_go),
		cmocka_unit_test(a_slot_has_a_node_with_memory),
		cmocka_unit_test(some_node_is_never_without_memory),
		cmocka_unit_test(several_nodes_number_slots_by_cpu),
	};

	stele_options_parse(NULL);
	return cmocka_run_group_tests(tests, NULL, NULL);
}
