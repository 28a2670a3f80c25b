/* SPDX-License-Identifier: MIT */
/*
 * Threads walk over the caches while others destroy them, perhaps twice, or fork. Each cache ends once,
 * when no walk is at it any more. No walk waits for another one that waits for it.
 */
#include "walks.h"

#include <pthread.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define LONG_S 50   /* a child that takes so long hangs */
#define WALKERS 100 /* more than there are places for at first */

static sem_t there, go_on, turned;
static struct stderr_text said;

static void assert_refuses_twice(const struct kmem_cache *s)
{
	char text[100];

	snprintf(text, sizeof(text),
		 "stele: kmem_cache_destroy(%p): not a cache, or already destroyed\n",
		 (const void *)s);
	assert_string_equal(said.text, text);
}

/* ---- a thread whose walk stays at a cache ---- */

static struct kmem_cache *place; /* where it stays */
static _Atomic bool dies;	 /* there */

static void stay(struct kmem_cache *s, void *arg)
{
	(void)arg;
	if (s != place)
		return;
	sem_post(&there);
	wait_for(&go_on);
	if (dies)
		syscall(SYS_exit, 0);
}

static void *walk_and_stay(void *arg)
{
	stele_cache_each(stay, NULL);
	return arg;
}

static pthread_t walker;

static void begin_walker(struct kmem_cache *s)
{
	place = s;
	assert_int_equal(pthread_create(&walker, NULL, walk_and_stay, NULL), 0);
	wait_for(&there);
}

static void end_walker(void)
{
	sem_post(&go_on);
	pthread_join(walker, NULL);
}

/* ---- destroyed twice ---- */

static void a_cache_that_was_left_to_a_walk_is_not_ended_beside_it(void **state)
{
	struct kmem_cache *s = make_walked("left", NULL);

	(void)state;
	begin_walker(s);
	STDERR_OF(&said, kmem_cache_destroy(s));
	assert_says(&said, "kept until the walk goes on");
	for (int i = 0; i < 2; i++) {
		STDERR_OF(&said, kmem_cache_destroy(s));
		assert_refuses_twice(s);
		assert_true(is_listed(s));
	}
	end_walker();
	assert_false(is_listed(s));
}

static void a_cache_is_ended_if_the_thread_dies_that_it_was_left_to(void **state)
{
	struct kmem_cache *s = make_walked("left", NULL);

	(void)state;
	begin_walker(s);
	STDERR_OF(&said, kmem_cache_destroy(s));
	assert_says(&said, "kept until the walk goes on");
	dies = true;
	end_walker();
	dies = false;
	STDERR_OF(&said, stele_trim(0));
	assert_silent(&said);
	assert_false(is_listed(s));
}

/* A slab's end calls its cache's destructor for each object. NULL after the first time. */
static struct kmem_cache *once(struct kmem_cache **cache)
{
	struct kmem_cache *s = *cache;

	*cache = NULL;
	return s;
}

static struct kmem_cache *own;

static void destroy_own_twice(void *object)
{
	struct kmem_cache *s = once(&own);

	(void)object;
	if (!s)
		return;
	kmem_cache_destroy(s);
	STDERR_OF(&said, kmem_cache_destroy(s));
}

static void a_destructor_that_destroys_its_cache_twice_harms_no_walk(void **state)
{
	struct kmem_cache *other = make_walked("other", NULL),
			  *s = make_walked("own", destroy_own_twice);

	(void)state;
	own = s;
	use_once(other);
	use_once(s);
	stele_trim(0);
	assert_null(own);
	assert_refuses_twice(s);
	assert_false(is_listed(s));
	assert_true(is_empty(other));
	kmem_cache_destroy(other);
}

/* ---- two walks, each of which destroys the cache that the other one is at ---- */

static struct kmem_cache *first, *second;

static void destroy_second(void *object)
{
	struct kmem_cache *s = once(&second);

	(void)object;
	if (!s)
		return;
	sem_post(&turned);
	kmem_cache_destroy(s);
}

static void destroy_first(void *object)
{
	struct kmem_cache *s = once(&first);

	(void)object;
	if (!s)
		return;
	sem_post(&there);
	wait_for(&turned);
	kmem_cache_destroy(s);
}

static void *trim(void *arg)
{
	stele_trim(0);
	return arg;
}

/* The list begins with the cache that was made last. */
static void walks_do_not_wait_for_each_other(void **state)
{
	struct kmem_cache *a = make_walked("first", destroy_second),
			  *b = make_walked("second", destroy_first);
	pthread_t thread;

	(void)state;
	first = a;
	second = b;
	use_once(a);
	use_once(b);
	assert_int_equal(pthread_create(&thread, NULL, trim, NULL), 0);
	wait_for(&there);
	STDERR_OF(&said, stele_trim(0); pthread_join(thread, NULL));
	assert_silent(&said);
	assert_false(is_listed(a));
	assert_false(is_listed(b));
}

/* ---- many walks ---- */

static _Atomic unsigned at_once, seen_again;
static _Atomic bool returned; /* the call that destroys the cache */

static void look_again(struct kmem_cache *s, void *arg)
{
	(void)arg;
	if (s == place)
		add_relaxed(&seen_again, 1);
}

static void walk_within(struct kmem_cache *s, void *arg)
{
	(void)arg;
	if (s != place)
		return;
	add_relaxed(&at_once, 1);
	sem_post(&there);
	wait_for(&turned);
	stele_cache_each(look_again, NULL);
	while (!returned && !*(volatile bool *)&s->awaited)
		usleep(1000);
	sub_relaxed(&at_once, 1);
}

static void *walk_beside_others(void *arg)
{
	stele_cache_each(walk_within, NULL);
	return arg;
}

static void any_number_of_threads_may_be_at_a_cache(void **state)
{
	pthread_t threads[WALKERS];
	unsigned left;

	(void)state;
	place = make_walked("place", NULL);
	for (int i = 0; i < WALKERS; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, walk_beside_others, NULL), 0);
	for (int i = 0; i < WALKERS; i++)
		wait_for(&there);
	for (int i = 0; i < WALKERS; i++)
		sem_post(&turned);
	STDERR_OF(&said, kmem_cache_destroy(place));
	left = load_relaxed(&at_once);
	returned = true;
	for (int i = 0; i < WALKERS; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(left, 0);
	assert_int_equal(load_relaxed(&seen_again), 0);
	assert_silent(&said);
	assert_false(is_listed(place));
}

/* ---- forks ---- */

static void must_end_in_child(struct kmem_cache *s)
{
	alarm(LONG_S);
	STDERR_OF(&said, kmem_cache_destroy(s));
	_exit(said.text[0] || is_listed(s) ? 1 : 0);
}

static int status_of(pid_t child)
{
	int status = -1;

	assert_true(child > 0);
	assert_int_equal(waitpid(child, &status, 0), child);
	return status;
}

static void a_child_destroys_a_cache_that_another_thread_is_at(void **state)
{
	struct kmem_cache *s = make_walked("left", NULL);
	pid_t child;

	(void)state;
	begin_walker(s);
	child = fork();
	if (!child)
		must_end_in_child(s);
	assert_int_equal(status_of(child), 0);
	end_walker();
	kmem_cache_destroy(s);
	assert_false(is_listed(s));
}

static pid_t forked = -1;

static void fork_at(struct kmem_cache *s, void *arg)
{
	(void)arg;
	if (s == place)
		forked = fork();
}

static void a_child_goes_on_with_a_walk(void **state)
{
	(void)state;
	place = make_walked("place", NULL);
	stele_cache_each(fork_at, NULL);
	if (!forked)
		must_end_in_child(place);
	assert_int_equal(status_of(forked), 0);
	kmem_cache_destroy(place);
	assert_false(is_listed(place));
}

static int start(void **state)
{
	(void)state;
	return sem_init(&there, 0, 0) || sem_init(&go_on, 0, 0) || sem_init(&turned, 0, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_cache_that_was_left_to_a_walk_is_not_ended_beside_it),
		cmocka_unit_test(a_cache_is_ended_if_the_thread_dies_that_it_was_left_to),
		cmocka_unit_test(a_destructor_that_destroys_its_cache_twice_harms_no_walk),
		cmocka_unit_test(walks_do_not_wait_for_each_other),
		cmocka_unit_test(any_number_of_threads_may_be_at_a_cache),
		cmocka_unit_test(a_child_destroys_a_cache_that_another_thread_is_at),
		cmocka_unit_test(a_child_goes_on_with_a_walk),
	};

	return cmocka_run_group_tests(tests, start, NULL);
}
