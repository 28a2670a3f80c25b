/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/zones.c and page/place.c, and of what frames.c and rows.c do where memory has
 * several nodes: two that are pretended, and a third without memory. An address is of the node that
 * was asked for.
 */
#include "pages.h"

#include <stele/page.h>
#include <stele/topology.h>
#include "page/place.h"
#include "page/where.h"

#define MANY 8192

static struct run *take(unsigned where, unsigned frames)
{
	bool clean;
	struct run *run = stele_run_take_from(where, frames, 1, &clean);

	if (!run)
		return NULL;
	run->kind = RUN_LARGE;
	stele_run_publish(run);
	return run;
}

static void *memory_of(struct run *run)
{
	return (void *)run->base;
}

static void a_run_is_of_the_node_it_is_wanted_of(void **state)
{
	(void)state;
	for (unsigned node = 0; node < 2; node++) {
		for (unsigned frames = 1; frames <= AREA_FRAMES; frames = frames * 2 + 1) {
			struct run *run = take(node, frames),
				   *only = take(node | WHERE_ONLY, frames);

			assert_int_equal(node_at(memory_of(run)), node);
			assert_int_equal(node_at(memory_of(only)), node);
			assert_int_equal(page_to_nid(virt_to_page(memory_of(run))), node);
			stele_run_return(run);
			stele_run_return(only);
		}
	}
}

/* All that there is of one node, for nobody else. */
static unsigned take_all_of(unsigned node, struct run **runs, unsigned frames)
{
	unsigned n = 0;

	while (n < MANY && (runs[n] = take(node | WHERE_ONLY, frames)))
		assert_int_equal(node_at(memory_of(runs[n++])), node);
	return n;
}

static void return_all(struct run **runs, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		stele_run_return(runs[i]);
}

static void a_full_node_is_helped_out_unless_the_caller_wants_no_other(void **state)
{
	static struct run *runs[MANY];
	static const unsigned lengths[] = { 1, 40, 512 };

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		unsigned n = take_all_of(1, runs, lengths[i]);
		struct run *other = take(1, lengths[i]);
		void *huge = stele_large_take(3 * AREA_SIZE, 1, 0, 1);

		assert_true(n > 0);
		assert_null(take(1 | WHERE_ONLY, lengths[i]));
		assert_null(stele_large_take(3 * AREA_SIZE, 1, __GFP_THISNODE, 1));
		assert_int_equal(node_at(memory_of(other)), 0);
		assert_int_equal(node_at(huge), 0);
		stele_run_return(other);
		stele_large_free(stele_run_of(huge));
		return_all(runs, n);
		assert_int_equal(take_all_of(1, runs, lengths[i]), n);
		return_all(runs, n);
	}
}

static void large_and_huge_blocks_are_of_their_node(void **state)
{
	(void)state;
	for (int node = 0; node < 2; node++) {
		for (size_t bytes = FRAME_SIZE; bytes <= 4 * AREA_SIZE; bytes *= 2) {
			char *p = stele_large_take(bytes, 1, 0, node);

			assert_non_null(p);
			assert_int_equal(node_at(p), node);
			assert_int_equal(node_at(p + bytes - 1), node);
			memset(p, 1, bytes);
			stele_large_free(stele_run_of(p));
		}
	}
}

/* The last block of a node's stretch ends there: the areas behind are another node's. */
static void a_block_never_grows_into_another_nodes_memory(void **state)
{
	uint32_t end = stele_heap.zones[0].end;
	size_t room = (size_t)(end - stele_heap.zones[0].first) * AREA_SIZE;
	char *p = stele_large_take(room - AREA_SIZE, AREA_SIZE, 0, 0), *q;

	(void)state;
	assert_non_null(p);
	assert_int_equal(node_at(p + room - AREA_SIZE - 1), 0);
	q = stele_large_resize(p, room, false);
	assert_ptr_equal(q, p);
	assert_null(stele_large_resize(p, room + AREA_SIZE, false));
	stele_large_free(stele_run_of(p));
	/* The same with frames: all of node 0 but the last. */
	p = stele_large_take(room, AREA_SIZE, 0, 0);
	assert_non_null(stele_large_resize(p, room - AREA_SIZE, false));
	q = stele_large_take(AREA_SIZE - FRAME_SIZE, 1, __GFP_THISNODE, 0);
	assert_non_null(q);
	assert_null(stele_large_resize(q, AREA_SIZE + FRAME_SIZE, false));
	stele_large_free(stele_run_of(q));
	stele_large_free(stele_run_of(p));
}

static void pages_are_of_the_node_asked_for(void **state)
{
	(void)state;
	for (int node = 0; node < 2; node++) {
		struct page *page = alloc_pages_node(node, GFP_KERNEL | __GFP_THISNODE, 2);
		void *p = alloc_pages_exact_nid(node, 5 * PAGE_SIZE, GFP_KERNEL | __GFP_ZERO);

		assert_int_equal(page_to_nid(page), node);
		assert_int_equal(page_to_nid(virt_to_page(p)), node);
		__free_pages(page, 2);
		free_pages_exact(p, 5 * PAGE_SIZE);
		page = alloc_pages_nolock(0, node, 0);
		assert_int_equal(page_to_nid(page), node);
		free_pages_nolock(page, 0);
	}
	assert_null(alloc_pages_exact_nid(1, 0, GFP_KERNEL));
	assert_null(alloc_pages_exact_nid(1, SIZE_MAX, GFP_KERNEL));
}

/* Node 2 is there without memory; the others are not there at all. */
static void numbers_without_memory_stand_for_the_nearest(void **state)
{
	static const int numbers[] = { 2, 3, 63, 64, 1000, INT32_MAX };

	(void)state;
	for (unsigned i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++) {
		struct page *page = alloc_pages_node(numbers[i], GFP_KERNEL, 0);

		assert_non_null(page);
		assert_true(page_to_nid(page) < 2);
		__free_page(page);
		assert_null(alloc_pages_node(numbers[i], GFP_KERNEL | __GFP_THISNODE, 0));
	}
	for (int node = -1; node > -4; node--) {
		struct page *page = alloc_pages_node(node, GFP_KERNEL, 0);

		assert_int_equal(page_to_nid(page), numa_mem_id());
		__free_page(page);
	}
}

static void a_foreign_address_is_of_no_node(void **state)
{
	int here;

	(void)state;
	assert_int_equal(page_to_nid(NULL), NUMA_NO_NODE);
	assert_int_equal(page_to_nid(virt_to_page(&here)), NUMA_NO_NODE);
	assert_int_equal(page_to_nid(virt_to_page(stele_hot.base)), NUMA_NO_NODE);
	assert_int_equal(cpu_to_node(-1), NUMA_NO_NODE);
	assert_int_equal(cpu_to_node(1 << 20), 0);
	assert_int_equal(cpu_to_node(1), 1);
}

/* Purging and counting reach every node's memory. */
static void free_memory_of_all_nodes_goes_back(void **state)
{
	(void)state;
	for (int node = 0; node < 2; node++) {
		void *p = stele_large_take(MIB, 1, 0, node);

		memset(p, 1, MIB);
		stele_large_free(stele_run_of(p));
	}
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
	assert_int_equal(dirty_by_counting(), 0);
	for (unsigned node = 0; node < 2; node++)
		assert_int_equal(
			resident_bytes(area_memory(stele_heap.zones[node].first),
				       (size_t)(load_relaxed(&stele_heap.zones[node].high) -
						stele_heap.zones[node].first) *
					       AREA_SIZE),
			0);
}

static void areas_are_walked_each_once_from_the_highest(void **state)
{
	uint64_t n = 0;
	uint32_t last = AREA_NONE;

	(void)state;
	stele_run_return(take(1, 1));
	for (uint32_t i = areas_below(AREA_NONE); i != AREA_NONE; i = areas_below(i), n++) {
		assert_true(i < last);
		last = i;
	}
	assert_int_equal(n, stele_page_stats().areas);
}

#define GIB (1ul << 30)
#define ALL(n) (~0ull >> (64 - (n)))

/* Neither by nodes that may come one day nor by rounding. */
static void no_memory_is_out_of_reach_for_being_divided(void **state)
{
	static const struct {
		uint64_t arena, memory, ram;
		unsigned count, divided;
	} machines[] = {
		{ 2048 * GIB, ALL(2), 256 * GIB, 2, 2 },  { 4032 * GIB, ALL(8), 2000 * GIB, 8, 8 },
		{ 4032 * GIB, ALL(8), 3000 * GIB, 8, 1 }, { 4032 * GIB, ALL(2), 3000 * GIB, 2, 1 },
		{ 4032 * GIB, ALL(2), 512 * GIB, 64, 2 }, { 4032 * GIB, ALL(2), 60 * GIB, 64, 2 },
		{ 4032 * GIB, ALL(2), 32 * GIB, 64, 64 }, { 4032 * GIB, 0x101, 400 * GIB, 64, 9 },
		{ 35 * GIB, ALL(2), 256 * GIB, 2, 2 },	  { 35 * GIB, ALL(2), 256 * GIB, 64, 2 },
		{ 35 * GIB, ALL(3), 256 * GIB, 3, 1 },	  { 2 * GIB, ALL(2), 256 * GIB, 2, 2 },
		{ 2 * GIB - 1, ALL(2), 256 * GIB, 2, 1 }, { AREA_SIZE, ALL(64), 256 * GIB, 64, 1 },
	};

	(void)state;
	for (unsigned i = 0; i < sizeof(machines) / sizeof(machines[0]); i++)
		assert_int_equal(stele_zones_fit(machines[i].arena, machines[i].count,
						 machines[i].memory, machines[i].ram),
				 machines[i].divided);
}

/* Last: from here on node 2 has memory. */
static void a_node_gets_memory_later(void **state)
{
	struct page *page;

	(void)state;
	stele_zones_look();
	stele_zones_look();
	page = alloc_pages_node(2, GFP_KERNEL | __GFP_THISNODE, 0);
	assert_int_equal(page_to_nid(page), 2);
	__free_page(page);
}

#define TEST(name) cmocka_unit_test_teardown(name, nothing_in_use)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(a_run_is_of_the_node_it_is_wanted_of),
		TEST(a_full_node_is_helped_out_unless_the_caller_wants_no_other),
		TEST(large_and_huge_blocks_are_of_their_node),
		TEST(a_block_never_grows_into_another_nodes_memory),
		TEST(pages_are_of_the_node_asked_for),
		TEST(numbers_without_memory_stand_for_the_nearest),
		TEST(a_foreign_address_is_of_no_node),
		TEST(free_memory_of_all_nodes_goes_back),
		TEST(areas_are_walked_each_once_from_the_highest),
		TEST(no_memory_is_out_of_reach_for_being_divided),
		TEST(a_node_gets_memory_later),
	};

	setenv("STELE_NODES", "3", 1);
	setenv("STELE_NODES_LATE", "1", 1);
	return small_arena("96m") != 0 || stele_nodes.count != 3 ||
	       cmocka_run_group_tests(tests, NULL, NULL);
}
