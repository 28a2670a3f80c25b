/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/close.c: address space that a program has left is there for others, and the
 * other way round, at the cost of few system calls.
 */
#include "os/map.h"
#include "pages.h"

#include <errno.h>
#include <stdio.h>

#define SLACK                                                                                      \
	18u /* areas that may stay: 16, one in 16 of all, and one that the rest of dirty frames lies in */
#define BLOCK (100u << 10)
#define MOST (16 * 400u)

static unsigned calls;
static int refusal; /* for pages that are to go */

int __wrap_stele_os_unmap(void *p, size_t size);
int __real_stele_os_unmap(void *p, size_t size);
int __wrap_stele_os_purge(void *p, size_t size);
int __real_stele_os_purge(void *p, size_t size);

/* In place of the system's (-Wl,--wrap): counted. */
int __wrap_stele_os_unmap(void *p, size_t size)
{
	calls++;
	return __real_stele_os_unmap(p, size);
}

int __wrap_stele_os_purge(void *p, size_t size)
{
	calls++;
	return refusal ? refusal : __real_stele_os_purge(p, size);
}

static char *blocks[MOST];

static uint32_t mapped(void)
{
	return load_relaxed(&stele_heap.mapped);
}

static void take(unsigned n, size_t bytes, bool touch)
{
	for (unsigned i = 0; i < n; i++) {
		blocks[i] = stele_large_alloc(bytes, 1, false);
		assert_non_null(blocks[i]);
		for (size_t at = 0; touch && at < bytes; at += FRAME_SIZE)
			blocks[i][at] = 1;
	}
}

/* Blocks that are aligned to more than a page have areas of their own. */
static void take_whole_areas(unsigned n, size_t bytes)
{
	for (unsigned i = 0; i < n; i++)
		assert_non_null(blocks[i] = stele_large_alloc(bytes, 65536, false));
}

static void give_back(unsigned first, unsigned n, unsigned step)
{
	for (unsigned i = first; i < n; i += step)
		stele_large_free(stele_run_of(blocks[i]));
}

/* System calls for a burst of @n blocks that is freed. */
static unsigned calls_for(unsigned n, bool touch)
{
	stele_purge(0);
	take(n, BLOCK, touch);
	calls = 0;
	give_back(0, n, 1);
	assert_true(mapped() <= SLACK);
	return calls;
}

static void a_burst_leaves_no_address_space_behind(void **state)
{
	unsigned one = calls_for(MOST / 16, true), four = calls_for(MOST / 4, true),
		 sixteen = calls_for(MOST, true);

	(void)state;
	printf("system calls: %u, %u, %u\n", one, four, sixteen);
	/* A few for each area of 20 blocks, whatever else is there. */
	assert_true(one <= MOST / 16 / 4);
	assert_true(four <= MOST / 4 / 4);
	assert_true(sixteen <= MOST / 4 && sixteen <= 16 * one);
}

static void an_untouched_burst_leaves_no_address_space_behind(void **state)
{
	(void)state;
	calls_for(MOST / 4, false);
}

static void blocks_of_whole_areas_leave_no_address_space_behind(void **state)
{
	(void)state;
	stele_purge(0);
	take_whole_areas(300, 3 * MIB);
	assert_true(mapped() >= 600);
	calls = 0;
	give_back(0, 300, 1);
	assert_true(mapped() <= SLACK);
	assert_true(calls <= 250); /* less than one for each block */
}

/* Areas between survivors go as well, but for as many as are in use. */
static void survivors_do_not_hold_the_others(void **state)
{
	(void)state;
	stele_purge(0);
	take(200, 3 * MIB, false);
	for (int i = 0; i < 3; i++)
		give_back((unsigned)i, 200, 4);
	assert_true(mapped() <= 200 + 200 / 16 + SLACK);
	give_back(3, 200, 4);
	assert_true(mapped() <= SLACK);
	stele_purge(0);
	take(200, 3 * MIB, false);
	give_back(0, 200, 2);
	give_back(1, 200, 2);
	assert_true(mapped() <= SLACK);
}

/* A program that locks memory wants no page faults when it takes the same again. */
static void locked_areas_stay(void **state)
{
	uint32_t all, later;

	(void)state;
	stele_purge(0);
	take(MOST / 4, BLOCK, true);
	all = mapped();
	calls = 0;
	refusal = -EINVAL;
	give_back(0, MOST / 4, 1);
	later = mapped();
	refusal = 0;
	assert_int_equal(later, all);
	assert_true(calls <= MOST / 4 / 4);
	stele_purge(0);
	assert_true(mapped() <= SLACK);
}

/* Each area that is mapped ahead costs memory there. */
static void where_memory_is_locked_none_is_mapped_ahead(void **state)
{
	uint32_t before;
	unsigned n = MOST / 4, most = 0;

	(void)state;
	stele_purge(0);
	before = mapped();
	refusal = -EINVAL;
	for (unsigned i = 0; i < n; i++) {
		unsigned needed = (unsigned)((i + 1) * (BLOCK / FRAME_SIZE) / AREA_FRAMES) + 1;

		assert_non_null(blocks[i] = stele_large_alloc(BLOCK, 1, false));
		if (mapped() - before > needed + most)
			most = mapped() - before - needed;
	}
	refusal = 0;
	give_back(0, n, 1);
	printf("areas mapped ahead: %u\n", most);
	assert_true(most <= 2);
	take(n, BLOCK, false); /* the first step finds that nothing is locked any more */
	give_back(0, n, 1);
	stele_purge(0);
}

/* Threads that left between a step and its count made the number of empty areas too small. */
static void a_trim_counts_anew(void **state)
{
	(void)state;
	atomic_fetch_sub(&stele_heap.empty, 40);
	stele_purge(0);
	calls_for(MOST / 4, false);
}

/* A program that uses the same memory again and again is not made to map it each time. */
static void a_steady_program_makes_no_calls(void **state)
{
	(void)state;
	stele_purge(0);
	for (int round = 0; round < 4; round++) {
		take(100, BLOCK, true);
		calls = 0;
		give_back(0, 100, 1);
	}
	assert_true(calls <= 8);
}

static void areas_that_others_left_can_be_had_again(void **state)
{
	uint32_t number = 100;
	char *other;
	unsigned n = 0;

	(void)state;
	stele_purge(0);
	while (load_relaxed(area_count(number)) != AREA_CLOSED)
		number++;
	assert_true(number + 40 <= stele_heap.areas_max);
	other = mmap(area_memory(number), 40 * AREA_SIZE, PROT_NONE,
		     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	assert_ptr_equal(other, area_memory(number));
	while (n < MOST && (blocks[n] = stele_large_alloc(MIB, 1, false)))
		n++;
	assert_true(n < MOST);
	if (RANGE_IS_OURS)
		assert_true(load_relaxed(&stele_heap.foreign) >= 40);
	munmap(other, 40 * AREA_SIZE);
	for (unsigned i = 0; i < 80; i++, n++)
		assert_non_null(blocks[n] = stele_large_alloc(MIB, 1, false));
	give_back(0, n, 1);
	if (RANGE_IS_OURS)
		assert_int_equal(load_relaxed(&stele_heap.foreign), 0);
}

/* A block's new place that another thread's mapping took away (page/huge.c), and left again. */
static void lost_areas_can_be_had_again(void **state)
{
	struct stele_zone *zone = &stele_heap.zones[0];
	int64_t first = stele_areas_take(zone, 4, 1, true);
	uint32_t foreign = load_relaxed(&stele_heap.foreign);

	(void)state;
	assert_true(first >= 0);
	stele_os_unmap(area_memory((uint32_t)first), 4 * AREA_SIZE);
	stele_areas_lost((uint32_t)first, 4);
	assert_int_equal(load_relaxed(&stele_heap.foreign), foreign + 4);
	assert_true(stele_areas_look_again(zone));
	for (uint32_t i = 0; i < 4; i++)
		assert_int_equal(load_relaxed(area_count((uint32_t)first + i)), AREA_CLOSED);
	assert_int_equal(load_relaxed(&stele_heap.foreign), foreign);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		page_test(a_burst_leaves_no_address_space_behind),
		page_test(an_untouched_burst_leaves_no_address_space_behind),
		page_test(blocks_of_whole_areas_leave_no_address_space_behind),
		page_test(survivors_do_not_hold_the_others),
		page_test(locked_areas_stay),
		page_test(where_memory_is_locked_none_is_mapped_ahead),
		page_test(a_trim_counts_anew),
		page_test(a_steady_program_makes_no_calls),
		page_test(areas_that_others_left_can_be_had_again),
		page_test(lost_areas_can_be_had_again),
	};

	setenv("STELE_DIRTY_MIN", "512k", 1);
	return small_arena("2g") != 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
