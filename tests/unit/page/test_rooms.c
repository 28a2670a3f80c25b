/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/rooms.h and page/rooms.c: a search for frames costs the same in a small and in a
 * large heap, and a row that is free is found.
 */
#include "pages.h"

#include <stdio.h>
#include "page/where.h"

static struct run *take(unsigned frames)
{
	bool clean;
	struct run *run = stele_run_take(frames, 1, &clean);

	if (!run)
		return NULL;
	run->kind = RUN_LARGE;
	stele_run_publish(run);
	return run;
}

static void classes_follow_each_other(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= AREA_FRAMES; n++) {
		unsigned class = room_class(n), above = room_class_above(n);

		assert_true(class < ROOM_CLASSES && room_least(class) <= n);
		assert_true(class == ROOM_WHOLE || room_least(class + 1) > n);
		assert_true(above == ROOM_WHOLE || room_least(above) >= n);
		assert_true(above <= class + 1);
		assert_int_equal(room_mask(n), ~0u >> (31 - class));
		assert_true(room_least(class) * 5 >= n * 4 - 4);
	}
	assert_int_equal(room_class(AREA_FRAMES), ROOM_WHOLE);
	assert_int_equal(room_class(AREA_FRAMES - 1), ROOM_WHOLE - 1);
	assert_int_equal(room_class(ROOM_BORDER), ROOM_BORDER_CLASS);
	assert_int_equal(room_mask(0), 0);
}

/* The longest free row in an area, frame by frame. */
static unsigned longest_by_counting(struct area *area)
{
	unsigned longest = 0, now = 0;

	for (unsigned i = 0; i < AREA_FRAMES; i++) {
		now = load_relaxed(&area->used[i / 64]) >> i % 64 & 1 ? 0 : now + 1;
		longest = now > longest ? now : longest;
	}
	return longest;
}

/* Every area whose row is of some class can be found by it. */
static void nothing_is_forgotten(void)
{
	uint32_t high = load_relaxed(&stele_heap.zones[0].high);

	for (uint32_t i = 0; i < high; i++) {
		unsigned longest;
		uint32_t found;

		if (area_claimed(load_relaxed(area_count(i))) > AREA_FRAMES)
			continue;
		longest = longest_by_counting(area_at(i));
		if (!longest)
			continue;
		found = room_next(area_rooms(), i, high, room_class(longest));
		assert_int_equal(found, i);
	}
}

#define ROUNDS 3000
#define MINE 64

static void *take_and_return(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg + 1;
	struct run *mine[MINE] = { NULL };

	for (int i = 0; i < ROUNDS; i++) {
		unsigned at = unit_random(&seed) % MINE;

		if (mine[at])
			stele_run_return(mine[at]);
		mine[at] = take(1 + unit_random(&seed) % (i % 8 ? 20 : 500));
		if (i % 512 == 0)
			stele_purge(0);
	}
	for (int i = 0; i < MINE; i += 2) {
		if (mine[i])
			stele_run_return(mine[i]);
		mine[i] = NULL;
	}
	nothing_is_forgotten();
	for (int i = 0; i < MINE; i++)
		if (mine[i])
			stele_run_return(mine[i]);
	return NULL;
}

static void a_free_row_is_found(void **state)
{
	(void)state;
	take_and_return(NULL);
	nothing_is_forgotten();
}

static void *only_take_and_return(void *arg)
{
	uint32_t seed = (uint32_t)(uintptr_t)arg + 7;
	struct run *mine[8] = { NULL };

	for (int i = 0; i < ROUNDS; i++) {
		unsigned at = unit_random(&seed) % 8;

		if (mine[at])
			stele_run_return(mine[at]);
		mine[at] = take(1 + unit_random(&seed) % 300);
	}
	for (int i = 0; i < 8; i++)
		if (mine[i])
			stele_run_return(mine[i]);
	return NULL;
}

static void a_free_row_is_found_after_threads_met(void **state)
{
	(void)state;
	meet_inside_steps(true);
	in_threads(4, only_take_and_return);
	meet_inside_steps(false);
	nothing_is_forgotten();
}

/* ---- the cost ---- */

static unsigned steps;

#if STELE_DEBUG
static void count_steps(const char *point)
{
	if (strcmp(point, "room:step") == 0 || strcmp(point, "area:take") == 0 ||
	    strcmp(point, "room:clear") == 0)
		steps++;
}

static void count(bool on)
{
	steps = 0;
	stele_inject = on ? count_steps : NULL;
}
#else
static void count(bool on)
{
	steps = 0;
	(void)on;
}
#endif

#define MOST 512u
static struct run *runs[MOST][3];

/* The steps of a request that no hole fits, in @n areas that all have holes of forty frames. */
static unsigned steps_among(unsigned n)
{
	struct run *run, *small;
	unsigned most;

	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < 3; k++)
			assert_non_null(runs[i][k] = take(k < 2 ? 236 : 40));
	for (unsigned i = 0; i < n; i++)
		stele_run_return(runs[i][2]);
	run = take(60); /* opens an area, and clears what was out of date */
	stele_run_return(run);
	count(true);
	run = take(60);
	small = take(30);
	most = steps;
	count(false);
	assert_non_null(run);
	assert_non_null(small);
	stele_run_return(run);
	stele_run_return(small);
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < 2; k++)
			stele_run_return(runs[i][k]);
	stele_purge(0);
	return most;
}

static void the_cost_does_not_grow_with_the_heap(void **state)
{
	unsigned one, four, sixteen;

	(void)state;
	one = steps_among(MOST / 16);
	four = steps_among(MOST / 4);
	sixteen = steps_among(MOST);
	printf("steps: %u, %u, %u\n", one, four, sixteen);
	assert_true(one <= 150 && four <= 150); /* within a group of 64 */
	assert_true(sixteen <= four + 16);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		page_test(classes_follow_each_other),
		page_test(a_free_row_is_found),
		page_test(a_free_row_is_found_after_threads_met),
		page_test(the_cost_does_not_grow_with_the_heap),
	};

	return small_arena("4g") != 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
