/* SPDX-License-Identifier: MIT */
/*
 * Tests of sync/ranks.h and sync/held.c: a lock waited for out of order, or where nothing may be
 * waited for, is told with both stacks; nothing else is told; children of a fork work in order.
 */
#include "base/basics.h"
#include "sync/mutex.h"

#include "../base/stderr_of.h"
#include "../unit.h"
#include "base/options.h"
#include "os/os.h"
#include "sync/held.h"
#include "sync/ranks.h"

#include <fnmatch.h>
#include <signal.h>
#include <stdio.h>
#include <sys/syscall.h>
#include <sys/wait.h>

/* ---- children ---- */

static int order[4], works;

static void outer_work(void)
{
	order[works++] = STELE_RANK_CPUS;
}

static void middle_work(void)
{
	order[works++] = STELE_RANK_LIST;
}

static void inner_work(void)
{
	order[works++] = STELE_RANK_HEAP;
}

static void a_child_mends_the_innermost_first(void **state)
{
	(void)state;
	stele_rank_in_child(STELE_RANK_LIST, middle_work);
	stele_rank_in_child(STELE_RANK_HEAP, inner_work);
	stele_rank_in_child(STELE_RANK_CPUS, outer_work);
	stele_ranks_after_fork();
	assert_int_equal(works, 3);
	assert_int_equal(order[0], STELE_RANK_HEAP);
	assert_int_equal(order[1], STELE_RANK_LIST);
	assert_int_equal(order[2], STELE_RANK_CPUS);
}

#if STELE_DEBUG

extern const char __ehdr_start[] __attribute__((visibility("hidden")));

#define AS_MUTEX(NAME, ...) [STELE_RANK_##NAME] = STELE_MUTEX(NAME),
static struct stele_mutex locks[] = { STELE_RANK_TABLE(AS_MUTEX) };
static struct stele_mutex other_taking = STELE_MUTEX(TAKING), unranked;
static struct stderr_text text;
static uintptr_t site; /* of the last call of wait_for() */

/* Apart, so that the caller is in the stack. */
static __attribute__((noinline)) void wait_for(struct stele_mutex *mutex)
{
	site = (uintptr_t)__builtin_return_address(0) - (uintptr_t)__ehdr_start;
	if (stele_lock(mutex) != 0)
		abort();
}

static void listen(void)
{
	assert_true(stderr_begin(&text));
}

static void assert_nothing_said(void)
{
	stderr_end(&text);
	assert_string_equal(text.text, "");
}

static void assert_said(const char *pattern)
{
	stderr_end(&text);
	if (fnmatch(pattern, text.text, 0) != 0)
		fail_msg("expected: %ssaid: %s", pattern, text.text);
}

static void wait_in_rank_order_and_leave(void)
{
	for (int rank = STELE_RANK_CPUS; rank < STELE_NR_RANKS; rank++)
		if (rank % 2 == 0)
			wait_for(&locks[rank]);
	for (int rank = STELE_RANK_CPUS; rank < STELE_NR_RANKS; rank++)
		if (rank % 2 == 0)
			stele_unlock(&locks[rank]);
}

static void the_right_order_is_silent(void **state)
{
	uint32_t before = stele_held_reports();

	(void)state;
	listen();
	wait_in_rank_order_and_leave();
	assert_nothing_said();
	assert_int_equal(stele_held_count(), 0);
	assert_int_equal(stele_held_reports(), before);
}

static void the_wrong_order_is_told_with_both_stacks(void **state)
{
	char pattern[512];
	uintptr_t held;

	(void)state;
	listen();
	wait_for(&locks[STELE_RANK_TAKING]);
	held = site;
	wait_for(&locks[STELE_RANK_LIST]);
	snprintf(pattern, sizeof(pattern),
		 "stele: lock order: 'list' (rank %d) is waited for while 'taking' (rank %d) is "
		 "held\n"
		 "stele: lock order: 'taking' was taken by +0x* +0x%lx *\n"
		 "stele: lock order: 'list' is waited for by +0x* +0x%lx *\n",
		 STELE_RANK_LIST, STELE_RANK_TAKING, held, site);
	assert_int_equal(stele_held_count(), 2);
	stele_unlock(&locks[STELE_RANK_TAKING]);
	stele_unlock(&locks[STELE_RANK_LIST]);
	assert_said(pattern);
	assert_int_equal(stele_held_count(), 0);
}

static void a_pair_is_told_once(void **state)
{
	uint32_t before;

	(void)state;
	listen();
	wait_for(&locks[STELE_RANK_TAKING]);
	wait_for(&locks[STELE_RANK_CPUS]);
	stele_unlock(&locks[STELE_RANK_CPUS]);
	assert_said("stele: lock order: 'cpus'*'taking'*");
	before = stele_held_reports();
	listen();
	wait_for(&locks[STELE_RANK_CPUS]);
	stele_unlock(&locks[STELE_RANK_CPUS]);
	stele_unlock(&locks[STELE_RANK_TAKING]);
	assert_nothing_said();
	assert_int_equal(stele_held_reports(), before);
}

static void two_of_one_kind_are_told(void **state)
{
	char pattern[256];

	(void)state;
	listen();
	wait_for(&locks[STELE_RANK_TAKING]);
	wait_for(&other_taking);
	stele_unlock(&other_taking);
	stele_unlock(&locks[STELE_RANK_TAKING]);
	snprintf(pattern, sizeof(pattern),
		 "stele: lock order: 'taking' (rank %d) is waited for while 'taking' (rank %d) is "
		 "held\n*",
		 STELE_RANK_TAKING, STELE_RANK_TAKING);
	assert_said(pattern);
}

static void trying_needs_no_order(void **state)
{
	(void)state;
	listen();
	wait_for(&locks[STELE_RANK_RUNNER]);
	assert_true(stele_trylock(&locks[STELE_RANK_STEPS]));
	assert_int_equal(stele_held_count(), 2);
	stele_unlock(&locks[STELE_RANK_STEPS]);
	stele_unlock(&locks[STELE_RANK_RUNNER]);
	assert_nothing_said();
}

static void a_lock_that_was_tried_and_got_counts_as_held(void **state)
{
	(void)state;
	listen();
	assert_true(stele_trylock(&locks[STELE_RANK_TRACE]));
	wait_for(&locks[STELE_RANK_STEPS]);
	stele_unlock(&locks[STELE_RANK_STEPS]);
	stele_unlock(&locks[STELE_RANK_TRACE]);
	assert_said("stele: lock order: 'steps'*'trace'*");
}

static void waiting_for_oneself_is_an_error_and_no_report(void **state)
{
	(void)state;
	listen();
	wait_for(&locks[STELE_RANK_STEPS]);
	wait_for(&locks[STELE_RANK_LIST]);
	assert_int_equal(stele_lock(&locks[STELE_RANK_STEPS]), -EDEADLK);
	assert_int_equal(stele_held_count(), 2);
	stele_unlock(&locks[STELE_RANK_LIST]);
	stele_unlock(&locks[STELE_RANK_STEPS]);
	assert_nothing_said();
}

static void locks_without_rank_are_left_alone(void **state)
{
	(void)state;
	listen();
	wait_for(&unranked);
	assert_int_equal(stele_held_count(), 0);
	wait_for(&locks[STELE_RANK_HEAP]);
	stele_unlock(&unranked);
	stele_unlock(&locks[STELE_RANK_HEAP]);
	assert_nothing_said();
}

static void *wait_for_the_outermost(void *arg)
{
	wait_for(&locks[STELE_RANK_CPUS]);
	stele_unlock(&locks[STELE_RANK_CPUS]);
	return arg;
}

static void locks_of_another_thread_do_not_count(void **state)
{
	(void)state;
	listen();
	wait_for(&locks[STELE_RANK_HEAP]);
	in_threads(1, wait_for_the_outermost);
	stele_unlock(&locks[STELE_RANK_HEAP]);
	assert_nothing_said();
}

static void locks_beyond_the_room_cause_no_wrong_report(void **state)
{
	static struct stele_mutex many[100];

	(void)state;
	listen();
	for (int i = 0; i < 100; i++) {
		many[i].rank = STELE_RANK_TRACE;
		assert_true(stele_trylock(&many[i]));
	}
	assert_in_range(stele_held_count(), 8, 99);
	wait_for(&locks[STELE_RANK_TAKING]);
	stele_unlock(&locks[STELE_RANK_TAKING]);
	for (int i = 0; i < 100; i++)
		stele_unlock(&many[i]);
	assert_nothing_said();
	assert_int_equal(stele_held_count(), 0);
	the_right_order_is_silent(state);
}

/* ---- where nothing may be waited for ---- */

static sigjmp_buf out;
static uintptr_t never_site;

static STELE_NEVER_WAITS void never(void (*body)(void))
{
	never_site = (uintptr_t)__builtin_return_address(0) - (uintptr_t)__ehdr_start;
	body();
}

static void wait_for_list(void)
{
	wait_for(&locks[STELE_RANK_LIST]);
	stele_unlock(&locks[STELE_RANK_LIST]);
}

static void try_list(void)
{
	if (stele_trylock(&locks[STELE_RANK_LIST]))
		stele_unlock(&locks[STELE_RANK_LIST]);
}

static void wait_for_start(void)
{
	wait_for(&locks[STELE_RANK_CLASSES]);
	wait_for(&locks[STELE_RANK_HEAP]);
	stele_unlock(&locks[STELE_RANK_HEAP]);
	stele_unlock(&locks[STELE_RANK_CLASSES]);
}

static void leave_for_good(void)
{
	siglongjmp(out, 1);
}

static void waiting_where_nothing_may_is_told(void **state)
{
	char pattern[512];

	(void)state;
	listen();
	never(wait_for_list);
	snprintf(pattern, sizeof(pattern),
		 "stele: lock order: 'list' (rank %d) is waited for in a call that never waits\n"
		 "stele: lock order: 'list' may not be, as the call was made by +0x%lx *\n"
		 "stele: lock order: 'list' is waited for by +0x* +0x%lx *\n",
		 STELE_RANK_LIST, never_site, site);
	assert_said(pattern);
	listen();
	never(wait_for_list);
	assert_nothing_said();
}

static void trying_and_starting_may_be_anywhere(void **state)
{
	(void)state;
	listen();
	never(try_list);
	never(wait_for_start);
	assert_nothing_said();
}

/* As when a handler interrupts such a call and never comes back. */
static void a_call_that_was_left_is_over(void **state)
{
	(void)state;
	listen();
	if (!sigsetjmp(out, 1))
		never(leave_for_good);
	wait_for(&locks[STELE_RANK_STEPS]);
	stele_unlock(&locks[STELE_RANK_STEPS]);
	assert_nothing_said();
}

/* ---- fork ---- */

/* TSan loses a child that it did not make. */
#ifdef __SANITIZE_THREAD__
#define NATIVE false
#else
#define NATIVE true
#endif

static _Atomic bool holds, may_leave;

static void *hold_heap(void *arg)
{
	wait_for(&locks[STELE_RANK_HEAP]);
	atomic_store(&holds, true);
	while (!atomic_load(&may_leave))
		usleep(1000);
	stele_unlock(&locks[STELE_RANK_HEAP]);
	return arg;
}

/* @fork_now is fork(), whose child runs the library's handler, or a bare system call, whose child
 * runs none. */
static int in_child(pid_t (*fork_now)(void), int (*look)(void))
{
	int status = -1;
	pid_t pid = fork_now();

	if (pid == 0) {
		alarm(20);
		_exit(look());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static pid_t raw(void)
{
	return (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);
}

static pid_t with_handler(void)
{
	pid_t pid = fork();

	if (pid == 0) {
		stele_os_process_forked();
		stele_mutex_after_fork(&locks[STELE_RANK_RUNNER]);
	}
	return pid;
}

static int nothing_is_held(void)
{
	return stele_held_count() != 0;
}

/* The locks of the parent are free here, and may be taken in any order. */
static int takes_the_outermost(void)
{
	uint32_t before = stele_held_reports();

	if (stele_held_count() != 0)
		return 2;
	wait_for(&locks[STELE_RANK_CPUS]);
	wait_for(&locks[STELE_RANK_RUNNER]);
	if (stele_held_count() != 2)
		return 3;
	stele_unlock(&locks[STELE_RANK_RUNNER]);
	stele_unlock(&locks[STELE_RANK_CPUS]);
	return stele_held_reports() != before || stele_held_count() != 0;
}

static int still_holds_its_own(void)
{
	uint32_t before = stele_held_reports();

	if (stele_held_count() != 1)
		return 2;
	wait_for(&locks[STELE_RANK_CPUS]);
	stele_unlock(&locks[STELE_RANK_CPUS]);
	stele_unlock(&locks[STELE_RANK_RUNNER]);
	return stele_held_reports() != before + 1 || stele_held_count() != 0;
}

static void a_child_holds_nothing_of_other_threads(void **state)
{
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, hold_heap, NULL), 0);
	while (!atomic_load(&holds))
		usleep(1000);
	assert_int_equal(in_child(with_handler, nothing_is_held), 0);
	assert_int_equal(in_child(raw, nothing_is_held), 0);
	atomic_store(&may_leave, true);
	pthread_join(thread, NULL);
}

static void a_child_holds_the_locks_it_has_taken_over(void **state)
{
	(void)state;
	listen();
	wait_for(&locks[STELE_RANK_RUNNER]);
	assert_int_equal(in_child(raw, takes_the_outermost), 0);
	assert_int_equal(in_child(with_handler, still_holds_its_own), 0);
	assert_int_equal(stele_held_count(), 1);
	stele_unlock(&locks[STELE_RANK_RUNNER]);
	assert_said("stele: lock order: 'cpus'*'runner'*");
}

static int run_debug_tests(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_right_order_is_silent),
		cmocka_unit_test(the_wrong_order_is_told_with_both_stacks),
		cmocka_unit_test(a_pair_is_told_once),
		cmocka_unit_test(two_of_one_kind_are_told),
		cmocka_unit_test(trying_needs_no_order),
		cmocka_unit_test(a_lock_that_was_tried_and_got_counts_as_held),
		cmocka_unit_test(waiting_for_oneself_is_an_error_and_no_report),
		cmocka_unit_test(locks_without_rank_are_left_alone),
		cmocka_unit_test(locks_of_another_thread_do_not_count),
		cmocka_unit_test(waiting_where_nothing_may_is_told),
		cmocka_unit_test(trying_and_starting_may_be_anywhere),
		cmocka_unit_test(a_call_that_was_left_is_over),
		cmocka_unit_test(locks_beyond_the_room_cause_no_wrong_report),
	};
	const struct CMUnitTest native[] = {
		cmocka_unit_test(a_child_holds_nothing_of_other_threads),
		cmocka_unit_test(a_child_holds_the_locks_it_has_taken_over),
	};
	int failed = cmocka_run_group_tests(tests, NULL, NULL);

	return failed || (NATIVE && cmocka_run_group_tests(native, NULL, NULL));
}
#else
static int run_debug_tests(void)
{
	return 0;
}
#endif

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_child_mends_the_innermost_first),
	};

	return cmocka_run_group_tests(tests, NULL, NULL) || run_debug_tests();
}
