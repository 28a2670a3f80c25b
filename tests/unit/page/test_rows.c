/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/rows.c and page/long.c: blocks that fill the arena have room in it, whatever another
 * thread does between two steps of a search. At a named point the test does what that thread would do.
 */
#include "pages.h"

#define AREAS 8u /* of the arena */
#define HALF (4 * AREA_SIZE - MIB)

static const char *where; /* the point, and how often it is passed by before */
static unsigned passes;
static void (*act)(void);

static char *taken[2];

/* Aligned to an area: whole areas, and no row of frames. */
static char *take(size_t bytes)
{
	return stele_large_alloc(bytes, AREA_SIZE, false);
}

static void give_back(char *p)
{
	if (p)
		stele_large_free(stele_run_of(p));
}

static void act_there(const char *point)
{
	if (strcmp(point, where) != 0 || passes--)
		return;
	stele_inject = NULL;
	act();
}

static void act_at(const char *point, unsigned after, void (*what)(void))
{
	where = point;
	passes = after;
	act = what;
	stele_inject = act_there;
}

static void take_half(void)
{
	taken[0] = take(HALF);
}

static void give_half(void)
{
	give_back(taken[0]);
	taken[0] = NULL;
}

static void assert_both_and_give_back(unsigned after)
{
	stele_inject = NULL;
	if (!taken[0] || !taken[1])
		fail_msg("after %u: %p and %p", after, (void *)taken[0], (void *)taken[1]);
	give_back(taken[0]);
	give_back(taken[1]);
}

/* All areas are open and empty, and their frames are dirty. */
static void dirty_all(void)
{
	char *p = take(AREAS * AREA_SIZE);

	assert_non_null(p);
	give_back(p);
	assert_int_equal(stele_dirty_free(), AREAS * AREA_FRAMES);
}

static void two_that_grab_at_the_same_time_find_room(void **state)
{
	(void)state;
	for (unsigned after = 0; after < 4; after++) {
		act_at("rows:grabbed", after, take_half);
		taken[1] = take(HALF);
		assert_both_and_give_back(after);
	}
}

static void a_row_that_comes_free_behind_the_search_is_found(void **state)
{
	(void)state;
	for (unsigned after = 0; after < 4; after++) {
		char *lower = take(HALF), *upper = take(HALF);

		assert_true(lower && lower < upper);
		give_back(lower); /* the next search looks at its areas again */
		taken[0] = take(HALF);
		assert_ptr_equal(taken[0], lower);
		give_back(upper);
		act_at("open:hint", after, give_half);
		taken[1] = take(HALF);
		assert_null(stele_inject);
		taken[0] = take(HALF);
		assert_both_and_give_back(after);
	}
}

/* The areas behind were never opened. */
static void a_purger_pushes_no_row_aside_at_the_end(void **state)
{
	char *p = take(HALF);

	(void)state;
	assert_non_null(p);
	give_back(p);
	assert_int_equal(load_relaxed(&stele_heap.zones[0].high), AREAS / 2);
	act_at("purge:owned", 1, take_half);
	stele_purge(FRAME_SIZE);
	assert_null(stele_inject);
	taken[1] = take(HALF);
	assert_both_and_give_back(1);
}

static void a_purger_pushes_no_row_aside(void **state)
{
	(void)state;
	for (unsigned after = 0; after < AREAS; after++) {
		dirty_all();
		act_at("purge:owned", after, take_half);
		stele_purge(FRAME_SIZE);
		assert_null(stele_inject);
		taken[1] = take(HALF);
		assert_both_and_give_back(after);
	}
}

static void take_both_beside_the_purger(void)
{
	taken[0] = take(HALF);
	taken[1] = take(3 * AREA_SIZE);
}

static void a_purger_that_stays_costs_its_area_alone(void **state)
{
	(void)state;
	dirty_all();
	act_at("purge:owned", AREAS - 1, take_both_beside_the_purger);
	stele_purge(FRAME_SIZE);
	assert_both_and_give_back(AREAS - 1);
}

/* ---- rows of frames ---- */

#define LONG (1300 * FRAME_SIZE) /* three of them have room in the arena, to a third of one */

static char *take_long(void)
{
	return stele_large_alloc(LONG, 1, false);
}

static bool is_exact(const char *p)
{
	return p && stele_run_of(p)->kind == RUN_LARGE;
}

static void open_all(void)
{
	give_back(take(AREAS * AREA_SIZE));
}

static void take_a_long_one(void)
{
	taken[0] = take_long();
}

static void give_a_long_one(void)
{
	give_half();
}

/* A block of whole areas is not possible, and no row is free in areas that are open. */
static void a_row_goes_on_in_areas_that_are_closed(void **state)
{
	char *first, *low, *hole, *middle, *p;

	(void)state;
	open_all();
	first = take(AREA_SIZE);
	low = stele_large_alloc(3 * FRAME_SIZE, 1, false);
	hole = stele_large_alloc((AREA_FRAMES - 3 + AREA_FRAMES) * FRAME_SIZE, 1, false);
	middle = stele_large_alloc(5 * AREA_SIZE / 2, 1, false);
	assert_true(is_exact(middle) && middle == first + 3 * AREA_SIZE);
	give_back(hole);
	stele_areas_close_empty();
	p = stele_large_alloc(5 * AREA_SIZE / 2, 1, true);
	assert_true(is_exact(p) && p == middle + 5 * AREA_SIZE / 2);
	memset(p, 0x11, 5 * AREA_SIZE / 2);
	give_back(p);
	p = stele_large_alloc(5 * AREA_SIZE / 2 - FRAME_SIZE, 1, false);
	assert_ptr_equal(p, middle + 5 * AREA_SIZE / 2);
	give_back(p);
	give_back(middle);
	give_back(low);
	give_back(first);
}

/* The areas behind were never opened. */
static void a_row_goes_on_behind_the_last_area(void **state)
{
	char *low, *high, *p;

	(void)state;
	stele_areas_close_empty();
	low = stele_large_alloc(FRAME_SIZE, 1, false);
	high = take((AREAS - 3) * AREA_SIZE);
	assert_true(low && high == low + AREA_SIZE);
	p = take_long();
	assert_null(p); /* two areas are left */
	give_back(high);
	high = stele_large_alloc((AREAS - 3) * AREA_SIZE - AREA_SIZE / 2, 1, false);
	p = take_long();
	assert_non_null(p);
	give_back(p);
	give_back(high);
	give_back(low);
}

static void give_half_and_close(void)
{
	give_half();
	stele_areas_close_empty();
}

/* The row begins in an area that is closed when the thread gets there. The frames below it are found. */
static void the_start_of_an_area_that_was_closed_is_found(void **state)
{
	unsigned below = 100;
	char *block, *p;
	uint32_t number;

	(void)state;
	stele_areas_close_empty();
	block = take((AREAS - 3) * AREA_SIZE);
	taken[0] = stele_large_alloc(below * FRAME_SIZE, 1, false);
	number = area_of((uintptr_t)taken[0]);
	assert_int_equal(number, AREAS - 3);
	act_at("open:show", 0, give_half_and_close);
	p = take_long();
	assert_null(stele_inject);
	assert_ptr_equal(p, area_memory(number) + below * FRAME_SIZE);
	assert_int_equal(room_next(area_rooms(), 0, AREAS, room_class(below)), number);
	give_back(p);
	give_back(block);
}

static void three_that_take_at_the_same_time_find_room(void **state)
{
	(void)state;
	for (unsigned after = 0; after < 3; after++) {
		char *third;

		open_all();
		act_at("row:taken", after, take_a_long_one);
		taken[1] = take_long();
		assert_null(stele_inject);
		third = take_long();
		assert_true(is_exact(third) && is_exact(taken[0]) && is_exact(taken[1]));
		give_back(third);
		assert_both_and_give_back(after);
	}
}

static void frames_that_come_free_behind_the_search_are_found(void **state)
{
	bool acted = true;

	(void)state;
	for (unsigned after = 0; acted; after++) {
		char *low;

		open_all();
		low = take_long();
		taken[0] = take_long();
		act_at("room:step", after, give_a_long_one);
		taken[1] = take_long();
		acted = !stele_inject;
		stele_inject = NULL;
		if (acted)
			taken[0] = take_long();
		give_back(low);
		assert_both_and_give_back(after);
	}
}

/* Nothing is purged but on request. */
static int start(void)
{
	int error = small_arena("16m");

	stele_opt.dirty_min = 1l << 30;
	return error;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		page_test(a_purger_pushes_no_row_aside_at_the_end), /* the first one */
		page_test(two_that_grab_at_the_same_time_find_room),
		page_test(a_row_that_comes_free_behind_the_search_is_found),
		page_test(a_purger_pushes_no_row_aside),
		page_test(a_purger_that_stays_costs_its_area_alone),
		page_test(a_row_goes_on_in_areas_that_are_closed),
		page_test(a_row_goes_on_behind_the_last_area),
		page_test(the_start_of_an_area_that_was_closed_is_found),
		page_test(three_that_take_at_the_same_time_find_room),
		page_test(frames_that_come_free_behind_the_search_are_found),
	};

	return start() != 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
