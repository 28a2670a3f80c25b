/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/areas.c where a mapping that is not ours is in the way, and the system refuses to map
 * as well: a call answers, and each area's count says what is true.
 */
#include "os/map.h"
#include "pages.h"

#include <errno.h>
#include <stdio.h>

#define AREAS 64u /* of the arena */
#define CALLS_MOST 1000u

static unsigned calls;	       /* since the last step of a test */
static size_t room = SIZE_MAX; /* a mapping that is longer is refused */
static int refusal = -ENOMEM;
static bool keeps; /* the system refuses to unmap */

int __wrap_stele_os_map(void *p, size_t size);
int __real_stele_os_map(void *p, size_t size);
int __wrap_stele_os_unmap(void *p, size_t size);
int __real_stele_os_unmap(void *p, size_t size);

/* In place of the system's (-Wl,--wrap). As the system, it tells of a mapping in the way before all else. */
int __wrap_stele_os_map(void *p, size_t size)
{
	int error = __real_stele_os_map(p, size);

	if (++calls > CALLS_MOST) {
		printf("a call goes on for ever\n");
		fflush(stdout);
		_exit(1);
	}
	if (!error && size > room) {
		__real_stele_os_unmap(p, size);
		return refusal;
	}
	return error;
}

int __wrap_stele_os_unmap(void *p, size_t size)
{
	return keeps ? -ENOMEM : __real_stele_os_unmap(p, size);
}

static uint32_t state_of(uint32_t number)
{
	return load_relaxed(area_count(number));
}

static char *take(size_t bytes)
{
	calls = 0;
	return stele_large_alloc(bytes, AREA_SIZE, false);
}

static void give_back(char *p)
{
	if (p)
		stele_large_free(stele_run_of(p));
}

/* All areas are closed: somebody else's mapping in one of them. */
static char *map_in_the_way(uint32_t number)
{
	char *at = area_memory(number), *p;

	stele_purge(0);
	p = mmap(at, FRAME_SIZE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_equal(p, at);
	*p = 0x3c;
	return p;
}

/* @other: where the foreign mapping is. */
static void assert_closed_are_unmapped(const char *other)
{
	for (uint32_t i = 0; i < AREAS; i++) {
		if (state_of(i) != AREA_CLOSED || area_memory(i) == other)
			continue;
		assert_int_equal(__real_stele_os_map(area_memory(i), AREA_SIZE), 0);
		assert_int_equal(__real_stele_os_unmap(area_memory(i), AREA_SIZE), 0);
	}
}

/* The foreign mapping goes, and all areas are free again. */
static void end(char *other)
{
	room = SIZE_MAX;
	refusal = -ENOMEM;
	keeps = false;
	assert_int_equal(*other, 0x3c);
	munmap(other, FRAME_SIZE);
	stele_areas_look_again(&stele_heap.zones[0]);
	stele_purge(0);
	assert_int_equal(load_relaxed(&stele_heap.foreign), 0);
	assert_int_equal(load_relaxed(&stele_heap.mapped), 0);
	assert_false(stele_areas_busy());
	assert_closed_are_unmapped(NULL);
}

/* Both: the system refuses a part of the row, with or without the foreign mapping. */
static void a_block_answers(size_t areas)
{
	char *other = map_in_the_way(5), *p;

	room = areas * AREA_SIZE;
	assert_null(take(16 * AREA_SIZE));
	assert_closed_are_unmapped(other);
	room = SIZE_MAX;
	p = take(16 * AREA_SIZE);
	assert_ptr_equal(p, area_memory(6));
	assert_int_equal(state_of(5), AREA_FOREIGN);
	give_back(p);
	end(other);
}

static void a_block_answers_where_no_memory_is_left(void **state)
{
	(void)state;
	a_block_answers(0);
}

static void a_block_answers_where_little_memory_is_left(void **state)
{
	(void)state;
	for (size_t areas = 1; areas < 16; areas++)
		a_block_answers(areas);
}

/* The system's own error for a program that may lock no more memory. */
static void a_block_answers_where_no_more_may_be_locked(void **state)
{
	char *other = map_in_the_way(40);

	(void)state;
	refusal = -EAGAIN;
	room = AREA_SIZE;
	assert_null(take(16 * AREA_SIZE));
	give_back(take(AREA_SIZE));
	end(other);
}

/* Several areas are opened at once; where that is refused, one is. */
static void frames_answer_where_little_is_left(void **state)
{
	char *other = map_in_the_way(35), *block = take(32 * AREA_SIZE), *p[8];

	(void)state;
	assert_ptr_equal(block, area_memory(0));
	room = AREA_SIZE;
	for (int i = 0; i < 8; i++) {
		calls = 0;
		p[i] = stele_large_alloc(MIB, 1, false);
		assert_non_null(p[i]);
	}
	assert_int_equal(state_of(35), AREA_FOREIGN);
	room = 0;
	calls = 0;
	assert_null(stele_large_alloc(2 * MIB - FRAME_SIZE, 1, false));
	for (int i = 0; i < 8; i++)
		give_back(p[i]);
	give_back(block);
	end(other);
}

/* ---- the system does not unmap ---- */

static void areas_that_cannot_be_unmapped_are_open(void **state)
{
	char *other = map_in_the_way(13), *p;

	(void)state;
	keeps = true;
	p = take(16 * AREA_SIZE);
	assert_ptr_equal(p, area_memory(14));
	assert_int_equal(state_of(13), AREA_FOREIGN);
	for (uint32_t i = 0; i < 12; i++)
		assert_int_equal(state_of(i), AREA_OPEN);
	assert_closed_are_unmapped(other);
	give_back(p);
	end(other);
}

static void an_area_that_was_foreign_is_not_lost(void **state)
{
	char *other = map_in_the_way(2), *p = take(4 * AREA_SIZE);

	(void)state;
	assert_int_equal(state_of(2), AREA_FOREIGN);
	give_back(p);
	stele_purge(0);
	munmap(other, FRAME_SIZE);
	keeps = true;
	assert_true(stele_areas_look_again(&stele_heap.zones[0]));
	assert_int_equal(state_of(2), AREA_OPEN);
	keeps = false;
	p = take(4 * AREA_SIZE);
	assert_ptr_equal(p, area_memory(0));
	memset(p, 1, 4 * AREA_SIZE);
	give_back(p);
	end(map_in_the_way(2));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		page_test(a_block_answers_where_no_memory_is_left),
		page_test(a_block_answers_where_little_memory_is_left),
		page_test(a_block_answers_where_no_more_may_be_locked),
		page_test(frames_answer_where_little_is_left),
		page_test(areas_that_cannot_be_unmapped_are_open),
		page_test(an_area_that_was_foreign_is_not_lost),
	};

	return small_arena("128m") != 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
