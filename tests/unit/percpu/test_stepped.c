/* SPDX-License-Identifier: MIT */
/*
 * Tests of percpu/steps.c for threads whose sequences are always interrupted: they work under a
 * lock in a slot of their own, and all threads that take find the objects that rest there.
 */
#include "base/options.h"
#include "os/os.h"
#include "percpu/slots.h"
#include "slots.h"

#include "../unit.h"

#define MANY 100000 /* more steps than a thread is taken for stepped */

static uint64_t words;
static struct test_sheaf sheaves[3];

static int start_with_words(void **state)
{
	if (slots_start(state) != 0)
		return -1;
	words = stele_pcpu_alloc();
	return words ? 0 : -1;
}

/* As a debugger makes it. */
static void be_stepped(void)
{
	for (int i = 0; i < 3; i++)
		stele_thread_step_failed();
}

static void be_free_again(void)
{
	for (int i = 0; i < MANY && stele_thread_is_stepped(); i++)
		;
	assert_false(stele_thread_is_stepped());
	stele_thread_step_done();
}

static void put_sheaves(void)
{
	assert_true(stele_pcpu_cas(words, WORD_MAIN, SHEAF_EMPTY, sheaf_start(&sheaves[0])));
	assert_true(stele_pcpu_cas(words, WORD_SPARE, 0, sheaf_start(&sheaves[1])));
	assert_true(stele_pcpu_cas(words, WORD_RCU, SHEAF_EMPTY, sheaf_start(&sheaves[2])));
}

static unsigned take_everything(void)
{
	unsigned taken = 0;

	assert_int_equal(stele_pcpu_take_all(words, EFFORT_WAITING, count_top, &taken), 0);
	assert_int_equal(stele_pcpu_take_rcu(words, count_top, &taken), 0);
	return taken;
}

static void every_step_works_by_lock(void **state)
{
	int a, b;

	(void)state;
	be_stepped();
	put_sheaves();
	assert_true(stele_pcpu_push(words, &a));
	assert_true(stele_pcpu_push(words, &b));
	assert_true(stele_pcpu_on_top(words, &b));
	assert_false(stele_pcpu_push(words, &b)); /* freed twice in a row */
	assert_true(stele_pcpu_push_rcu(words, &a));
	assert_true(stele_pcpu_on_top_rcu(words, &a));
	assert_ptr_equal(stele_pcpu_pop(words), &b);
	assert_ptr_equal(stele_pcpu_pop(words), &a);
	assert_null(stele_pcpu_pop(words));
	assert_int_equal(stele_pcpu_sheaves(words), 3);
	assert_int_equal(take_everything(), 3);
	assert_int_equal(stele_pcpu_sheaves(words), 0);
	be_free_again();
}

static void other_threads_find_what_a_stepped_thread_left(void **state)
{
	(void)state;
	be_stepped();
	put_sheaves();
	be_free_again();
	if (by_sequence())
		assert_int_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_EMPTY);
	assert_int_equal(take_everything(), 3);
}

static void a_line_is_not_given_out_while_something_rests_there(void **state)
{
	uint64_t line = stele_pcpu_alloc(), next;

	(void)state;
	be_stepped();
	assert_true(stele_pcpu_cas(line, WORD_MAIN, SHEAF_EMPTY, sheaf_start(&sheaves[0])));
	stele_pcpu_free(line);
	next = stele_pcpu_alloc();
	assert_int_not_equal(next, line);
	assert_int_equal(stele_pcpu_read(next, WORD_MAIN), SHEAF_EMPTY);
	stele_pcpu_free(next);
	be_free_again();
}

static void a_line_that_a_dead_child_of_vfork_held_is_freed(void **state)
{
	word_t *lock = word_at(slot_memory(stele_slot_locked()) + words, WORD_LOCK);

	(void)state;
	be_stepped();
	put_sheaves();
	assert_true(line_trylock(lock, 1234567));
	assert_null(stele_pcpu_pop(words));
	stele_pcpu_thread_gone(1234566);
	assert_int_equal(load_relaxed(lock), 1234567);
	stele_pcpu_thread_gone(1234567);
	assert_int_equal(load_relaxed(lock), 0);
	assert_int_equal(take_everything(), 3);
	be_free_again();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_step_works_by_lock),
		cmocka_unit_test(other_threads_find_what_a_stepped_thread_left),
		cmocka_unit_test(a_line_is_not_given_out_while_something_rests_there),
		cmocka_unit_test(a_line_that_a_dead_child_of_vfork_held_is_freed),
	};

	return cmocka_run_group_tests(tests, start_with_words, NULL);
}
