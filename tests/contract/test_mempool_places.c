/* SPDX-License-Identifier: MIT */
/*
 * Threads leave calls of a pool again and again, until the table of waiters and the reserve have no
 * free place. Calls of other threads still come back, and are served.
 */
#include "left_pool.h"

#include <time.h>

/* ---- many that leave, and pools that end ---- */

static unsigned entered;

/* Without a place it does not enter, and is late. */
static void wait_with_a_place(void)
{
	assert_null(mempool_alloc_timeout(&pool, GFP_KERNEL, &(struct timespec){ 0 }));
}

static void jump_from_each_wait(const char *point)
{
	if (!leaving_may || strcmp(point, "mempool:waits") != 0)
		return;
	entered++;
	pthread_kill(pthread_self(), LEAVING_SIGNAL);
}

/* Takes all places, and waits in none. */
static void *leave_all_places(void *arg)
{
	volatile unsigned n = 0;

	while (n++ < WAIT_PLACES) {
		leaving_may = true;
		if (sigsetjmp(leaving_out, 1) == 0)
			wait_with_a_place();
		leaving_may = false;
	}
	return arg;
}

static void one_more_has_a_place(void)
{
	make_pool(1);
	entered = 0;
	leaving_may = true;
	if (sigsetjmp(leaving_out, 1) == 0)
		wait_with_a_place();
	leaving_may = false;
	assert_int_equal(entered, 1);
	mempool_free(mine[0], &pool);
	end_pool();
}

static void all_leave(bool in_a_thread_that_ends)
{
	pthread_t thread;

	make_pool(1);
	leaving.way = LEAVING_JUMPS;
	stele_inject = jump_from_each_wait;
	entered = 0;
	if (!in_a_thread_that_ends)
		leave_all_places(NULL);
	else if (pthread_create(&thread, NULL, leave_all_places, NULL) == 0)
		pthread_join(thread, NULL);
	assert_in_range(entered, 1, WAIT_PLACES);
	mempool_free(mine[0], &pool);
	end_pool();
}

static void places_in_pools_that_ended_are_used_again(void **state)
{
	(void)state;
	all_leave(true);
	one_more_has_a_place();
	all_leave(false);
	one_more_has_a_place();
}

/* It was told, and died; nothing was freed since, for longer than half of what the clock tells. */
static void a_waiter_that_was_told_weeks_ago_is_passed_over(void **state)
{
	struct wait_place place = { .told = 1 };

	(void)state;
	assert_false(place_is_passed(&place, 1 + WAIT_PATIENCE));
	assert_false(place_is_passed(&place, 1u - 10)); /* by a thread that was slow */
	assert_true(place_is_passed(&place, 0x90000001u));
	assert_int_equal(place.told, WAIT_PASSED);
}

/* ---- elements that threads are owed, and leave ---- */

static void *new_element(gfp_t gfp, void *data)
{
	(void)data;
	return kmalloc(64, gfp);
}

static void free_element(void *p, void *data)
{
	(void)data;
	kfree(p);
}

static void take_one(void)
{
	(void)!mempool_alloc_preallocated(&pool);
}

/* Each leaves an element in its place, until no place is free. The pool has fewer elements then. */
static void filling_a_pool_without_places_ends(void **state)
{
	(void)state;
	assert_int_equal(mempool_init(&pool, MOST, new_element, free_element, NULL), 0);
	alarm(SECONDS_AT_MOST);
	for (unsigned i = 0; i < 2 * (RESERVE_FIRST + MOST); i++) {
		leaving_at("reserve:owed", LEAVING_JUMPS);
		leaving_body((void *)take_one);
		assert_int_equal(mempool_resize(&pool, MOST), 0);
	}
	alarm(0);
	assert_true(stele_mempool_curr_nr(&pool) < MOST);
	mempool_exit(&pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(places_in_pools_that_ended_are_used_again),
		cmocka_unit_test(a_waiter_that_was_told_weeks_ago_is_passed_over),
		cmocka_unit_test(filling_a_pool_without_places_ends),
	};

	return cmocka_run_group_tests(tests, begin_leaving, NULL);
}
