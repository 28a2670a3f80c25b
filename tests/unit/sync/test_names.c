/* SPDX-License-Identifier: MIT */
/*
 * Tests of sync/names.h: no thread is kept out by threads that are inside or died there, and none is lost sight of.
 */
#include "sync/names.h"

#include "../unit.h"
#include "os/os.h"
#include "sync/in_hand.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#define CROWD (3 * NAMES_PLACES)
#define DEAD 1000u /* and above */

static bool is_dead(uint32_t thread)
{
	return thread >= DEAD;
}

static bool nap(uint32_t thread)
{
	return !is_dead(thread);
}

static void enter(struct names *names, uint32_t first, unsigned n, struct name *entered)
{
	for (unsigned i = 0; i < n; i++) {
		assert_true(names_enter(names, first + i, &entered[i]));
		assert_non_null(entered[i].place);
	}
}

static void there_is_a_place_for_each_thread(void **state)
{
	static struct names names = { .is_gone = is_dead };
	static struct name entered[CROWD];

	(void)state;
	enter(&names, 1, CROWD, entered);
	assert_int_equal(names_count(&names), CROWD);
	for (unsigned i = 0; i < CROWD; i++) {
		assert_true(names_are_held(&names));
		names_leave(&entered[i]);
		assert_int_equal(names_count(&names), CROWD - 1 - i);
	}
	assert_false(names_are_held(&names));
}

static void threads_that_died_inside_take_no_places(void **state)
{
	static struct names names = { .is_gone = is_dead };
	static struct name entered[CROWD];

	(void)state;
	for (unsigned wave = 0; wave < 100; wave++)
		enter(&names, DEAD + wave * CROWD, CROWD, entered);
	assert_null(load_relaxed(&names.more));
	assert_int_equal(names_count(&names), 0);
	assert_false(names_are_held(&names));
}

/* liburcu's lock may be held there (rcu/rounds.c). */
static void dead_names_stay_where_nobody_asks(void **state)
{
	static struct names names;
	static struct name entered[CROWD];

	(void)state;
	enter(&names, DEAD, CROWD, entered);
	assert_int_equal(names_count(&names), CROWD);
	assert_true(names_are_held(&names));
}

static void a_name_that_came_later_is_not_freed_for_an_earlier_one(void **state)
{
	static struct names names = { .is_gone = is_dead };
	struct name before, after;
	uint64_t seen;

	(void)state;
	enter(&names, DEAD, 1, &before);
	seen = load_relaxed(before.place);
	assert_true(name_free(before.place, seen));
	enter(&names, DEAD, 1, &after);
	assert_ptr_equal(after.place, before.place);
	assert_false(name_free(before.place, seen));
	names_leave(&before);
	assert_int_equal((uint32_t)load_relaxed(after.place), DEAD);
	names_leave(&after);
	assert_false(names_are_held(&names));
}

static void a_barrier_waits_for_no_thread_that_is_gone(void **state)
{
	static struct names names = { .is_gone = is_dead };
	static struct name entered[CROWD];

	(void)state;
	enter(&names, DEAD, NAMES_PLACES, entered);
	in_hand_wait(&names, 1, nap, INT32_MAX);
	assert_false(names_are_held(&names));
}

static void a_barrier_gives_up_on_each_name_once(void **state)
{
	static struct names names = { .is_gone = is_dead };
	static struct name entered[CROWD];

	(void)state;
	enter(&names, 1, CROWD, entered);
	assert_true(in_hand_is_busy(&names, CROWD + 1));
	in_hand_wait(&names, CROWD + 1, nap, 1);
	assert_false(in_hand_is_busy(&names, CROWD + 1));
	in_hand_wait(&names, CROWD + 1, nap, INT32_MAX);
	for (unsigned i = 0; i < CROWD; i++)
		in_hand_leave(&entered[i]);
	assert_false(names_are_held(&names));
}

static void a_thread_that_was_thrown_out_frees_all_its_places(void **state)
{
	static struct names names = { .is_gone = is_dead };
	struct name other, mine[3];

	(void)state;
	enter(&names, 7, 1, &other);
	for (int i = 0; i < 3; i++)
		enter(&names, 5, 1, &mine[i]);
	in_hand_give_up(mine[1].place, mine[1].word);
	names_leave_all(&names, 5);
	assert_int_equal(names_count(&names), 1);
	names_leave(&other);
	assert_false(names_are_held(&names));
}

static void a_child_forgets_all_and_its_thread_leaves_nobody_s_place(void **state)
{
	static struct names names = { .is_gone = is_dead };
	static struct name entered[CROWD], later;

	(void)state;
	enter(&names, 1, CROWD, entered);
	names_after_fork(&names);
	assert_false(names_are_held(&names));
	enter(&names, 1, 1, &later);
	for (unsigned i = 0; i < CROWD; i++)
		names_leave(&entered[i]);
	assert_int_equal(names_count(&names), 1);
	names_leave(&later);
}

/* ---- threads ---- */

#define THREADS 4
#define ROUNDS 2000

static struct names shared = { .is_gone = stele_os_thread_is_gone };
static _Atomic uint32_t wrong;

static void *come_and_go(void *unused)
{
	static _Thread_local struct name entered[NAMES_PLACES / 2];

	for (int round = 0; round < ROUNDS; round++) {
		for (unsigned i = 0; i < NAMES_PLACES / 2; i++)
			if (!names_enter(&shared, stele_os_thread(), &entered[i]))
				add_relaxed(&wrong, 1);
		for (unsigned i = 0; i < NAMES_PLACES / 2; i++)
			if ((uint32_t)load_relaxed(entered[i].place) != stele_os_thread())
				add_relaxed(&wrong, 1);
		if (round % 2)
			names_leave_all(&shared, stele_os_thread());
		for (unsigned i = 0; i < NAMES_PLACES / 2; i++)
			names_leave(&entered[i]);
	}
	for (unsigned i = 0; i < NAMES_PLACES / 2; i++)
		names_enter(&shared, stele_os_thread(), &entered[i]);
	return unused; /* it never leaves */
}

static void no_name_is_lost_while_the_table_grows(void **state)
{
	pthread_t threads[THREADS];

	(void)state;
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, come_and_go, NULL), 0);
	for (int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(load_relaxed(&wrong), 0);
	/* The kernel may say so a moment after the join. */
	while (names_count(&shared))
		usleep(1000);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(there_is_a_place_for_each_thread),
		cmocka_unit_test(threads_that_died_inside_take_no_places),
		cmocka_unit_test(dead_names_stay_where_nobody_asks),
		cmocka_unit_test(a_name_that_came_later_is_not_freed_for_an_earlier_one),
		cmocka_unit_test(a_barrier_waits_for_no_thread_that_is_gone),
		cmocka_unit_test(a_barrier_gives_up_on_each_name_once),
		cmocka_unit_test(a_thread_that_was_thrown_out_frees_all_its_places),
		cmocka_unit_test(a_child_forgets_all_and_its_thread_leaves_nobody_s_place),
		cmocka_unit_test(no_name_is_lost_while_the_table_grows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
