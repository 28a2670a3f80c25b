/* SPDX-License-Identifier: MIT */
/*
 * Contract of grace periods in trouble: no thread can be made, destructors wait for the readers of
 * other flavours or fork, and bytes are counted for which nobody is there any more. Nothing of it
 * may hang: each test has a minute.
 */
#include "../toy_flavor.h"
#include "base/options.h"
#include "contract.h"
#include "no_threads.h"
#include "rcu/rcu.h"
#include "slab/slabs.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

struct item {
	unsigned long value[7];
	struct kvfree_rcu_head rcu;
};

#include "items.h"

/* Other readers than toy_flavor's, none of which ever reads. */
static int slow_ongoing(void)
{
	return 0;
}

/* Long enough that others find it under way. */
static _Atomic unsigned begun, begun_before;

static void slow_synchronize(void)
{
	begun++;
	usleep(5000);
}

static const struct rcu_flavor_struct other_flavor = {
	.read_ongoing = slow_ongoing,
	.update_synchronize_rcu = slow_synchronize,
};

/* ---- threads that cannot be made ---- */

static struct kmem_cache *others;

static struct kmem_cache *cache_of_others(const char *name, void (*dtor)(void *))
{
	struct kmem_cache_args args = { .rcu_flavor = &other_flavor, .dtor = dtor };

	return kmem_cache_create(name, sizeof(struct item), &args, SLAB_TYPESAFE_BY_RCU);
}

static int begin_without_threads(void **state)
{
	no_threads = true;
	return begin(state);
}

static int each_in_a_minute(void **state)
{
	(void)state;
	alarm(60);
	return 0;
}

static void *give_in_period(void *arg)
{
	while (begun == begun_before)
		sched_yield();
	give(arg);
	kvfree_rcu_barrier_on_cache(arg);
	return NULL;
}

/* A thread that waits runs a round, and is then no runner any more: a thread that came meanwhile
 * must see that. */
static void without_a_runner_all_waiters_get_their_rounds(void **state)
{
	(void)state;
	others = cache_of_others("others", NULL);
	for (int round = 0; round < 20; round++) {
		pthread_t late;

		begun_before = begun;
		pthread_create(&late, NULL, give_in_period, others);
		give(others);
		kvfree_rcu_barrier_on_cache(others);
		pthread_join(late, NULL);
	}
	assert_true(threads_refused > 0);
	assert_int_equal(stats_now().rcu_bytes, 0);
	kmem_cache_destroy(others);
}

static void give_until(uint64_t bytes, uint64_t *most)
{
	for (uint64_t i = 0; i < bytes / sizeof(struct item); i++) {
		give(cache);
		*most = STELE_MAX(*most, stats_now().rcu_bytes);
	}
}

/* Nor does a flood have no bound: also of kfree_rcu(), unless its caller is never to wait. */
static void without_a_thread_a_flood_keeps_the_limit(void **state)
{
	uint64_t max = (uint64_t)stele_opt.rcu_max, most = 0;
	int64_t wait = stele_opt.rcu_wait;

	(void)state;
	give_until(4 * max, &most);
	assert_true(most > max / 2);
	assert_true(most <= max + 123 * sizeof(struct item));
	stele_opt.rcu_wait = 0;
	give_until(4 * max, &most);
	assert_true(most > 3 * max);
	stele_opt.rcu_wait = wait;
	kvfree_rcu_barrier();
	assert_int_equal(stats_now().rcu_bytes, 0);
}

static void without_a_thread_a_reader_does_not_wait_for_itself(void **state)
{
	uint64_t max = (uint64_t)stele_opt.rcu_max, most = 0;

	(void)state;
	toy_read_lock();
	give_until(2 * max, &most);
	toy_read_unlock();
	assert_true(most > max);
	kvfree_rcu_barrier();
}

/* The same. */
static void without_a_thread_the_mightsleep_forms_keep_the_limit(void **state)
{
	uint64_t max = (uint64_t)stele_opt.rcu_max, most = 0;

	(void)state;
	for (uint64_t i = 0; i < 4 * max / sizeof(struct item); i++) {
		kvfree_rcu_mightsleep(kmem_cache_alloc(cache, 0));
		most = STELE_MAX(most, stats_now().rcu_bytes);
	}
	assert_true(most > max / 2);
	assert_true(most <= max + 123 * sizeof(struct item));
}

/* ---- destructors ---- */

static void destroy_others(void *object)
{
	struct kmem_cache *s = others;

	(void)object;
	others = NULL;
	kmem_cache_destroy(s);
}

/* Within a round of one flavour a round of another is run by the same thread. */
static void without_a_thread_a_destructor_may_wait_for_other_readers(void **state)
{
	struct kmem_cache_args args = { .dtor = destroy_others };
	struct kmem_cache *outer = kmem_cache_create("outer", 64, &args, SLAB_TYPESAFE_BY_RCU);

	(void)state;
	others = cache_of_others("others", NULL);
	give(others);
	kmem_cache_free(outer, kmem_cache_alloc(outer, 0));
	kmem_cache_destroy(outer);
	assert_null(others);
}

/* Readers whose grace period holds a lock, as liburcu's does. */
static pthread_mutex_t periods = PTHREAD_MUTEX_INITIALIZER;

static void locked_synchronize(void)
{
	pthread_mutex_lock(&periods);
	slow_synchronize();
	pthread_mutex_unlock(&periods);
}

static const struct rcu_flavor_struct locked_flavor = {
	.read_ongoing = slow_ongoing,
	.update_synchronize_rcu = locked_synchronize,
};

static _Atomic bool stop;

static void *give_here_and_now(void *arg)
{
	while (!stop)
		kvfree_rcu_mightsleep(kmem_cache_alloc(arg, 0));
	return NULL;
}

/* A thread that waits for a grace period of its own keeps a fork out of it, as the runner does. */
static void a_fork_waits_for_grace_periods_of_callers(void **state)
{
	struct kmem_cache_args args = { .rcu_flavor = &locked_flavor };
	struct kmem_cache *s = kmem_cache_create("no-sheaves", sizeof(struct item), &args,
						 SLAB_RED_ZONE | SLAB_TYPESAFE_BY_RCU);
	pthread_t thread;

	(void)state;
	no_threads = stop = false;
	pthread_create(&thread, NULL, give_here_and_now, s);
	for (int i = 0; i < 10; i++) {
		pid_t child;
		int status;

		usleep(7000);
		child = fork();
		if (child == 0) {
			uint32_t done = stele_grace_of(s)->done;

			alarm(30);
			give(s);
			kvfree_rcu_barrier_on_cache(s);
			_exit(stele_grace_of(s)->done == done ? 3 : 0);
		}
		waitpid(child, &status, 0);
		assert_int_equal(status, 0);
	}
	stop = true;
	pthread_join(thread, NULL);
	kmem_cache_destroy(s);
}

static int status_of_child;

static void fork_and_wait_for_others(void *object)
{
	pid_t child;

	(void)object;
	if (status_of_child >= 0)
		return;
	child = fork();
	if (child == 0) {
		alarm(30);
		give(others);
		kvfree_rcu_barrier_on_cache(others);
		_exit(stele_graces[1].waiting ? 3 : 0);
	}
	waitpid(child, &status_of_child, 0);
}

/* The child of a runner has no runner of another flavour, and makes one. */
static void a_destructor_may_fork(void **state)
{
	struct kmem_cache_args args = { .dtor = fork_and_wait_for_others };
	struct kmem_cache *outer = kmem_cache_create("forks", 64, &args, SLAB_TYPESAFE_BY_RCU);

	(void)state;
	no_threads = false;
	status_of_child = -1;
	others = cache_of_others("others", NULL);
	give(others);
	kvfree_rcu_barrier_on_cache(others);
	kmem_cache_free(outer, kmem_cache_alloc(outer, 0));
	kmem_cache_destroy(outer);
	assert_int_equal(status_of_child, 0);
	kmem_cache_destroy(others);
}

/* ---- bytes without an object ---- */

/* A fork came between counting and queueing of another thread; or a list was lost in a circle. */
static void bytes_of_threads_that_are_gone_hold_nobody_back(void **state)
{
	uint64_t lost = (uint64_t)stele_opt.rcu_max + 4096;

	(void)state;
	no_threads = false;
	atomic_fetch_add(&stele_graces[0].waiting, lost);
	for (int i = 0; i < 1000; i++) {
		kvfree_rcu_mightsleep(kmem_cache_alloc(cache, 0));
		give(cache);
	}
	kvfree_rcu_barrier();
	assert_int_equal(stats_now().rcu_bytes, lost);
	atomic_fetch_sub(&stele_graces[0].waiting, lost);
}

int main(int argc, char **argv)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(without_a_runner_all_waiters_get_their_rounds,
				       each_in_a_minute),
		cmocka_unit_test_setup(without_a_thread_the_mightsleep_forms_keep_the_limit,
				       each_in_a_minute),
		cmocka_unit_test_setup(without_a_thread_a_flood_keeps_the_limit, each_in_a_minute),
		cmocka_unit_test_setup(without_a_thread_a_reader_does_not_wait_for_itself,
				       each_in_a_minute),
		cmocka_unit_test_setup(without_a_thread_a_destructor_may_wait_for_other_readers,
				       each_in_a_minute),
		cmocka_unit_test_setup(bytes_of_threads_that_are_gone_hold_nobody_back,
				       each_in_a_minute),
	};
	const struct CMUnitTest forking[] = {
		cmocka_unit_test_setup(a_destructor_may_fork, each_in_a_minute),
		cmocka_unit_test_setup(a_fork_waits_for_grace_periods_of_callers, each_in_a_minute),
	};
	int failed;

	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	stele_heap_start();
	stele_opt.rcu_max = 1 << 20;
	stele_opt.rcu_wait = 100000; /* a busy machine is no reader */
	failed = cmocka_run_group_tests(tests, begin_without_threads, end);
	return failed		      ? failed
	       : FORKS_BESIDE_THREADS ? cmocka_run_group_tests(forking, begin_without_threads, end)
				      : 0;
}
