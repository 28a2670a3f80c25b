/* SPDX-License-Identifier: MIT */
/*
 * A handler jumps out of a destructor that a walk over caches has called, and its thread lives on.
 * All threads must go on to walk, to create and to destroy caches; only the cache that the walk was at
 * may stay. While a walk does go on, destroying that cache waits for it.
 */
#include "walks.h"

#include <errno.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stele/debug.h>
#include <time.h>
#include <unistd.h>

#define LONG_S 50 /* a call that takes so long hangs */

static struct kmem_cache *left;		 /* a handler leaves its destructor */
static void (*in_destructor)(void);	 /* the next one calls it, once */
static _Thread_local sigjmp_buf jump_to; /* of the thread that leaves */

static void work_in_destructor(void *object)
{
	void (*work)(void) = in_destructor;

	(void)object;
	in_destructor = NULL;
	if (work)
		work();
}

/* ---- a walk that is left ---- */

static void on_trap(int number)
{
	(void)number;
	siglongjmp(jump_to, 1);
}

static void trap(void)
{
	raise(SIGTRAP);
}

static void leave_a_walk(void)
{
	left = make_walked("left", work_in_destructor);
	use_once(left);
	in_destructor = trap;
	if (sigsetjmp(jump_to, 1) == 0) {
		stele_trim(0);
		fail_msg("no destructor was called");
	}
	assert_null(in_destructor);
}

static sem_t has_left, may_end;

static void *leave_walk_and_live(void *arg)
{
	leave_a_walk();
	sem_post(&has_left);
	wait_for(&may_end);
	return arg;
}

static pthread_t leaver;

static void begin_leaver(void)
{
	assert_int_equal(pthread_create(&leaver, NULL, leave_walk_and_live, NULL), 0);
	wait_for(&has_left);
}

static void end_leaver(void)
{
	sem_post(&may_end);
	pthread_join(leaver, NULL);
}

/* ---- calls that must come back ---- */

static void walks(void)
{
	struct kmem_cache *s = make_walked("walked", NULL);

	use_once(s);
	stele_trim(0);
	assert_true(is_empty(s));
	kmem_cache_destroy(s);
	assert_false(is_listed(s));
}

static void creates_and_destroys(void)
{
	struct kmem_cache *s = make_walked("short", NULL);

	use_once(s);
	kmem_cache_destroy(s);
	assert_false(is_listed(s));
}

static void validates(void)
{
	assert_int_equal(stele_slab_validate(), 0);
}

static void prints(void)
{
	int pipe_ends[2];
	char text[20] = "";

	assert_int_equal(pipe(pipe_ends), 0);
	stele_slabinfo_write(pipe_ends[1]);
	assert_true(read(pipe_ends[0], text, sizeof(text) - 1) > 0);
	assert_true(!strncmp(text, "slabinfo", 8));
	close(pipe_ends[0]);
	close(pipe_ends[1]);
}

static void shrinks(void)
{
	kmem_cache_shrink(left);
}

static struct stderr_text said;

static void destroys_it(void)
{
	STDERR_OF(&said, kmem_cache_destroy(left));
}

static void *make_call(void *call)
{
	((void (*)(void))call)();
	return NULL;
}

/* In a thread of its own. A thread that hangs cannot be ended, so the process ends. */
static void comes_back(const char *name, void (*call)(void))
{
	struct timespec until;
	pthread_t thread;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += LONG_S;
	assert_int_equal(pthread_create(&thread, NULL, make_call, (void *)call), 0);
	if (pthread_timedjoin_np(thread, NULL, &until) == ETIMEDOUT) {
		print_message("%s hangs\n", name);
		_exit(1);
	}
}

static void others_go_on_while_a_thread_lives_that_left_a_walk(void **state)
{
	(void)state;
	begin_leaver();
	comes_back("stele_trim", walks);
	comes_back("kmem_cache_create and destroy", creates_and_destroys);
	comes_back("stele_slab_validate", validates);
	comes_back("stele_slabinfo_write", prints);
	comes_back("kmem_cache_shrink", shrinks);
	end_leaver();
}

/* The thread is gone then. The slab whose destructor it left is lost. */
static void the_cache_can_be_destroyed_once_the_thread_has_ended(void **state)
{
	(void)state;
	comes_back("kmem_cache_destroy", destroys_it);
	assert_false(is_listed(left));
	assert_says(&said, "another thread has a slab in its hands");
	assert_null(strstr(said.text, "walk"));
}

static void destroying_the_cache_that_a_walk_was_left_at_comes_back(void **state)
{
	(void)state;
	begin_leaver();
	comes_back("kmem_cache_destroy", destroys_it);
	assert_string_equal(said.text, "stele: kmem_cache_destroy left: a walk of another thread "
				       "stays at it; kept until the walk goes on\n");
	end_leaver();
}

static void a_thread_that_left_a_walk_walks_on(void **state)
{
	struct kmem_cache *s = make_walked("walked", NULL);

	(void)state;
	for (int i = 0; i < 3; i++)
		leave_a_walk();
	use_once(s);
	stele_trim(0);
	assert_true(is_empty(s));
}

/* ---- walks that go on ---- */

static struct kmem_cache *other;
static bool other_was_empty;

static void trim_within(void)
{
	stele_trim(0);
	other_was_empty = is_empty(other);
}

/* The list begins with the cache that was made last. */
static void a_destructor_walks_over_the_other_caches(void **state)
{
	struct kmem_cache *s;

	(void)state;
	other = make_walked("other", NULL);
	s = make_walked("walks", work_in_destructor);
	use_once(s);
	use_once(other);
	in_destructor = trim_within;
	stele_trim(0);
	assert_null(in_destructor);
	assert_true(other_was_empty);
	kmem_cache_destroy(s);
	kmem_cache_destroy(other);
}

static _Atomic bool ended;

/* Until a thread waits to destroy the cache. */
static void outlast_a_wait(void)
{
	sem_post(&has_left);
	for (int i = 0; i < LONG_S * 1000 && !*(volatile bool *)&left->awaited; i++)
		usleep(1000);
	ended = true;
}

static void *trim_once(void *arg)
{
	stele_trim(0);
	return arg;
}

static void destroying_a_cache_waits_for_a_walk_that_is_at_it(void **state)
{
	pthread_t thread;
	bool had_ended;

	(void)state;
	left = make_walked("left", work_in_destructor);
	use_once(left);
	in_destructor = outlast_a_wait;
	assert_int_equal(pthread_create(&thread, NULL, trim_once, NULL), 0);
	wait_for(&has_left);
	STDERR_OF(&said, kmem_cache_destroy(left));
	had_ended = ended;
	pthread_join(thread, NULL);
	assert_true(had_ended);
	assert_false(is_listed(left));
	assert_silent(&said);
}

static int start_with_traps(void **state)
{
	(void)state;
	signal(SIGTRAP, on_trap);
	return sem_init(&has_left, 0, 0) || sem_init(&may_end, 0, 0);
}

/* The last test but one leaves this thread in the set of CPUs. */
int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(others_go_on_while_a_thread_lives_that_left_a_walk),
		cmocka_unit_test(the_cache_can_be_destroyed_once_the_thread_has_ended),
		cmocka_unit_test(destroying_the_cache_that_a_walk_was_left_at_comes_back),
		cmocka_unit_test(a_destructor_walks_over_the_other_caches),
		cmocka_unit_test(destroying_a_cache_waits_for_a_walk_that_is_at_it),
		cmocka_unit_test(a_thread_that_left_a_walk_walks_on),
	};

	return cmocka_run_group_tests(tests, start_with_traps, NULL);
}
