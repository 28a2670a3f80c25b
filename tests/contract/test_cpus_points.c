/* SPDX-License-Identifier: MIT */
/*
 * Slots that go and come in the middle of other work: steps and handlers that allocate at every
 * named point, handlers that never come back, and children of fork() (contract 24, 30, 31).
 */
#include "cpus.h"

#include "base/options.h"
#include "cache/chores.h"
#include "slab/kmem_cache.h"
#include "sync/atomic.h"

#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- in the middle of it ---- */

static struct kmem_cache *inner;
static _Thread_local bool within;

static void allocate_within(void)
{
	void *p;

	if (within)
		return;
	within = true;
	p = kmem_cache_alloc(inner, GFP_KERNEL);
	if (!p)
		wrong++;
	kfree(kmalloc(300, GFP_KERNEL));
	kmem_cache_free(inner, p);
	within = false;
}

static int step_allocates(unsigned cpu)
{
	(void)cpu;
	allocate_within();
	return 0;
}

#if STELE_DEBUG
static _Atomic bool hooked;
static _Thread_local bool within_jump;
static _Atomic unsigned points;

static const char *left_at;
static sigjmp_buf back;

static void never_come_back(int signal)
{
	(void)signal;
	siglongjmp(back, 1);
}

/* A signal there. */
static void leave_at(const char *point)
{
	if (!left_at || strcmp(point, left_at) != 0)
		return;
	left_at = NULL;
	raise(SIGUSR1);
}

/* Not every time: a step that is tried again until nobody came between must get through. */
static void point_allocates(const char *point)
{
	static _Thread_local unsigned seed;

	if (within_jump)
		leave_at(point);
	if (!hooked)
		return;
	points++;
	seed = seed * 1664525 + 1013904223;
	if (seed >> 16 & 1)
		allocate_within();
}

/* The pointer is set before there are other threads, and stays. */
static void hook(bool on)
{
	hooked = on;
}

static void hook_start(void)
{
	stele_inject = point_allocates;
}

static bool hook_was_called(void)
{
	return points > 0;
}

static void walk_by_trim(void)
{
	stele_trim(0);
}

static int no_step(unsigned cpu)
{
	(void)cpu;
	return 0;
}

static void step_comes_and_goes(void)
{
	int step = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "jumped", no_step, no_step);

	if (step > 0)
		cpuhp_remove_state((enum cpuhp_state)step);
}

static void read_a_little(void)
{
	if (cpus_read_trylock())
		cpus_read_unlock();
	stele_cold_look();
}

/* Whether a handler that came at @point, and left for good, came there. */
static bool jump_out(const char *point, void (*work)(void))
{
	left_at = point;
	within_jump = true;
	if (sigsetjmp(back, 1) == 0)
		work();
	within_jump = false;
	return !left_at;
}

/* ThreadSanitizer keeps signals, and delivers them where they are held back. */
static __attribute__((unused)) void a_handler_that_never_comes_back_leaves_no_reader(void **state)
{
	(void)state;
	signal(SIGUSR1, never_come_back);
	assert_true(jump_out("cpus:counted", walk_by_trim));
	assert_int_equal(stele_cpu_up(take_mine_down()), 0);
	assert_true(jump_out("cpus:counted", step_comes_and_goes));
	assert_int_equal(stele_cpu_up(take_mine_down()), 0);
	for (int i = 0; i < 2; i++)
		assert_true(jump_out("cpus:looking", read_a_little));
	assert_int_equal(stele_cpu_up(take_mine_down()), 0);
	signal(SIGUSR1, SIG_DFL);
}
#else
static void hook(bool on)
{
	(void)on;
}

static void hook_start(void) {}

static bool hook_was_called(void)
{
	return true;
}
#endif

static void steps_and_handlers_may_allocate_at_every_point(void **state)
{
	int prepare, online;
	unsigned slot;

	(void)state;
	inner = make("inner");
	use(inner);
	prepare =
		cpuhp_setup_state(CPUHP_BP_PREPARE_DYN, "prepare", step_allocates, step_allocates);
	online = cpuhp_setup_state(CPUHP_AP_ONLINE_DYN, "online", step_allocates, step_allocates);
	assert_true(prepare > 0 && online > 0);
	hook(true);
	for (int i = 0; i < 10; i++) {
		use(inner);
		slot = take_mine_down();
		use(inner);
		assert_int_equal(stele_cpu_up(slot), 0);
	}
	hook(false);
	assert_true(hook_was_called());
	cpuhp_remove_state((enum cpuhp_state)online);
	cpuhp_remove_state((enum cpuhp_state)prepare);
	assert_int_equal(wrong, 0);
	destroy(inner);
}

/* ---- fork ---- */

static int in_child(struct kmem_cache *s)
{
	unsigned slot = num_possible_cpus() - 1;

	use(s);
	if (stele_cpu_watch(false) != 0)
		return 2;
	if (cpu_online(slot) && stele_cpu_down(slot) != 0)
		return 3;
	if (stele_cpu_up(slot) != 0)
		return 4;
	if (num_online_cpus() != num_possible_cpus())
		return 5;
	use(s);
	kmem_cache_shrink(s);
	return wrong ? 6 : 0;
}

static __attribute__((unused)) void a_child_goes_on_whatever_was_under_way(void **state)
{
	struct kmem_cache *s = make("forked");
	pthread_t flapper;
	int status;

	(void)state;
	stele_opt.quiet = 1;
	over = false;
	pthread_create(&flapper, NULL, flap, NULL);
	for (int i = 0; i < (STELE_TEST_EMULATED ? 5 : 60); i++) {
		pid_t child = fork();

		if (child == 0)
			_exit(in_child(s));
		assert_int_equal(waitpid(child, &status, 0), child);
		assert_int_equal(status, 0);
	}
	over = true;
	pthread_join(flapper, NULL);
	stele_opt.quiet = 0;
	assert_int_equal(wrong, 0);
	destroy(s);
}

static int start_with_hook(void **state)
{
	hook_start();
	return setup(state);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(steps_and_handlers_may_allocate_at_every_point),
#if STELE_DEBUG && !defined(__SANITIZE_THREAD__)
	cmocka_unit_test(a_handler_that_never_comes_back_leaves_no_reader),
#endif
#ifndef __SANITIZE_THREAD__
	cmocka_unit_test(a_child_goes_on_whatever_was_under_way),
#endif
};

int main(void)
{
	return cmocka_run_group_tests(tests, start_with_hook, NULL);
}
