/* SPDX-License-Identifier: MIT */
/*
 * Contract of grace periods: a limit bounds the memory that waits, no thread waits that must not,
 * caches end only when everything is back, and the child of a fork finds the objects still waiting.
 * The readers are the test's own.
 *
 * The argument "broken" lets nobody be held back: then memory must be seen to grow past its limit,
 * and a run of that is expected to fail.
 */
#include "../nap.h"
#include "../toy_flavor.h"
#include "base/options.h"
#include "cache/rcu.h"
#include "contract.h"
#include "rcu/rcu.h"
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#if STELE_DEBUG
#include "sync/atomic.h"
#endif

struct item {
	unsigned long value[7];
	struct kvfree_rcu_head rcu;
};

#include "items.h"

/* ---- bounds ---- */

static _Atomic bool stop;

static void *read_and_sleep(void *arg)
{
	while (!stop) {
		toy_read_lock();
		nap_ms((long)(uintptr_t)arg);
		toy_read_unlock();
	}
	return NULL;
}

/* Until as much was given away as eight times the limit. */
static void *flood_eightfold(void *arg)
{
	uint64_t bytes = 8ull * (uint64_t)stele_opt.rcu_max;

	(void)arg;
	for (uint64_t i = 0; i < bytes / sizeof(struct item); i++) {
		struct item *p = kmem_cache_alloc(cache, GFP_KERNEL);

		kfree_rcu(p, rcu);
	}
	return NULL;
}

/* A sheaf of each thread may be on its way when the limit is seen. */
#define SHEAF_MOST (123u * sizeof(struct item))

static void a_flood_stays_below_the_limit_while_a_reader_sleeps(void **state)
{
	pthread_t reader, writer[2];
	struct stele_stats stats;

	(void)state;
	stop = false;
	pthread_create(&reader, NULL, read_and_sleep, (void *)100);
	for (int i = 0; i < 2; i++)
		pthread_create(&writer[i], NULL, flood_eightfold, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(writer[i], NULL);
	stop = true;
	pthread_join(reader, NULL);
	stats = stats_now();
	assert_true(stats.rcu_bytes_most <= (uint64_t)stele_opt.rcu_max + 2 * SHEAF_MOST);
	assert_true(stats.rcu_bytes_most > (uint64_t)stele_opt.rcu_expedite);
	assert_true(stats.slab_bytes < 4ull * (uint64_t)stele_opt.rcu_max);
	kvfree_rcu_barrier();
	assert_int_equal(stats_now().rcu_bytes, 0);
}

/* A reader cannot wait for readers. So it may give away more than the limit, and goes on. */
static void a_reader_that_floods_does_not_wait_for_itself(void **state)
{
	int64_t max = stele_opt.rcu_max;

	(void)state;
	stele_opt.rcu_max = 1 << 20;
	toy_read_lock();
	flood_eightfold(NULL);
	assert_true(stats_now().rcu_bytes > (uint64_t)stele_opt.rcu_max);
	toy_read_unlock();
	kvfree_rcu_barrier();
	stele_opt.rcu_max = max;
}

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static void *read_under_lock(void *arg)
{
	(void)arg;
	toy_read_lock();
	stop = true;
	pthread_mutex_lock(&lock);
	pthread_mutex_unlock(&lock);
	toy_read_unlock();
	return NULL;
}

/* A flooding thread holds the lock that a reader waits for: patience ends it, once per grace
 * period. */
static void a_lock_that_readers_need_is_no_deadlock(void **state)
{
	int64_t max = stele_opt.rcu_max, wait = stele_opt.rcu_wait;
	pthread_t reader;

	(void)state;
	stop = false;
	stele_opt.rcu_max = 1 << 20;
	stele_opt.rcu_wait = 50;
	pthread_mutex_lock(&lock);
	pthread_create(&reader, NULL, read_under_lock, NULL);
	while (!stop)
		nap_ms(1);
	flood_eightfold(NULL);
	assert_true(stats_now().rcu_bytes > (uint64_t)stele_opt.rcu_max);
	pthread_mutex_unlock(&lock);
	pthread_join(reader, NULL);
	kvfree_rcu_barrier();
	stele_opt.rcu_max = max;
	stele_opt.rcu_wait = wait;
}

static void give_large(int n)
{
	for (int i = 0; i < n; i++) {
		struct kvfree_rcu_head *large = kmalloc(40000, GFP_KERNEL);

		stele_kfree_rcu(large, large);
	}
}

/* Below rcu_expedite objects gather; past it a grace period is asked for, without anybody
 * waiting. */
static void few_objects_share_a_grace_period_and_many_hurry_it(void **state)
{
	uint64_t periods;

	(void)state;
	kvfree_rcu_barrier();
	nap_ms(200); /* the runner may still be asked for a round that nobody needs any more */
	periods = toy_periods;
	give_large(20);
	nap_ms(20);
	assert_int_equal(toy_periods, periods);
	give_large(10);
	while (toy_periods == periods)
		nap_ms(1);
	kvfree_rcu_barrier();
}

/* ---- the end of a cache ---- */

static void *give_and_destroy(void *arg)
{
	unsigned seed = (unsigned)(uintptr_t)arg;
	char name[32];

	snprintf(name, sizeof(name), "brief-%u", seed);
	for (int round = 0; round < 20; round++) {
		struct kmem_cache *s =
			kmem_cache_create(name, sizeof(struct item), NULL,
					  round % 2 ? SLAB_TYPESAFE_BY_RCU : SLAB_NO_MERGE);

		for (int i = rand_r(&seed) % 400; i >= 0; i--) {
			struct item *p = kmem_cache_alloc(s, 0);

			kfree_rcu(p, rcu);
		}
		if (round % 3)
			nap_ms(rand_r(&seed) % 4);
		kmem_cache_destroy(s);
	}
	return NULL;
}

static void destroy_right_after_kfree_rcu_finds_everything_back(void **state)
{
	pthread_t thread[4], reader;
	struct stderr_text t;

	(void)state;
	stop = false;
	assert_true(stderr_begin(&t));
	pthread_create(&reader, NULL, read_and_sleep, (void *)1);
	for (uintptr_t i = 0; i < 4; i++)
		pthread_create(&thread[i], NULL, give_and_destroy, (void *)(i + 1));
	for (int i = 0; i < 4; i++)
		pthread_join(thread[i], NULL);
	stop = true;
	pthread_join(reader, NULL);
	stderr_end(&t);
	assert_silent(&t);
}

static struct kmem_cache *inner;

static void destroy_inner(void *object)
{
	struct kmem_cache *s = inner;

	(void)object;
	inner = NULL;
	kmem_cache_destroy(s);
}

/* The destructor of `outer` runs in the thread that runs the grace periods, and it waits for a grace
 * period itself. */
static void a_destructor_may_destroy_a_cache_that_waits_for_readers(void **state)
{
	struct kmem_cache_args args = { .dtor = destroy_inner };
	struct kmem_cache *outer = kmem_cache_create("outer", 64, &args, SLAB_TYPESAFE_BY_RCU);
	struct item *p;

	(void)state;
	inner = kmem_cache_create("inner", sizeof(*p), NULL, SLAB_TYPESAFE_BY_RCU);
	p = kmem_cache_alloc(inner, 0);
	kmem_cache_free(outer, kmem_cache_alloc(outer, 0));
	kfree_rcu(p, rcu);
	kmem_cache_destroy(outer);
	assert_null(inner);
}

#if STELE_DEBUG
static _Atomic bool holding, detached, go_on;

static void hold_at_detached(const char *point)
{
	if (!holding || strcmp(point, "rcu:detached") || detached)
		return;
	detached = true;
	while (!go_on)
		sched_yield();
}

static void *fill_one_sheaf_and_more(void *arg)
{
	for (unsigned i = 0; i < 200; i++) {
		struct item *p = kmem_cache_alloc(arg, 0);

		kfree_rcu(p, rcu);
	}
	return NULL;
}

static void *barrier_that_stops(void *arg)
{
	kvfree_rcu_barrier_on_cache(arg);
	stop = true;
	return NULL;
}

static void hold_points(void)
{
	stele_inject = hold_at_detached;
}

/* Contract 33: a sheaf that is in somebody's hands, between the slot and the queue, is waited
 * for. */
static void a_barrier_waits_for_a_sheaf_between_slot_and_queue(void **state)
{
	struct kmem_cache *s =
		kmem_cache_create("between", sizeof(struct item), NULL, SLAB_NO_MERGE);
	pthread_t filler, waiter;

	(void)state;
	stop = detached = go_on = false;
	holding = true;
	pthread_create(&filler, NULL, fill_one_sheaf_and_more, s);
	while (!detached)
		sched_yield();
	pthread_create(&waiter, NULL, barrier_that_stops, s);
	nap_ms(100);
	assert_false(stop);
	go_on = true;
	pthread_join(waiter, NULL);
	pthread_join(filler, NULL);
	holding = false;
	kmem_cache_destroy(s);
}
#else
static void hold_points(void) {}
#endif

/* ---- fork: ThreadSanitizer lets no child start a thread ---- */

#if !defined(__SANITIZE_THREAD__)

static void child_of_a_giver(struct kmem_cache *s)
{
	alarm(30);
	kvfree_rcu_barrier();
	kvfree_rcu_barrier(); /* for the slabs that the first one emptied */
	if (stats_now().rcu_bytes)
		_exit(4);
	for (int i = 0; i < 1000; i++) {
		struct item *p = kmem_cache_alloc(s, 0);

		kfree_rcu(p, rcu);
	}
	kvfree_rcu_barrier();
	kmem_cache_shrink(s);
	kmem_cache_destroy(s);
	_exit(stats_now().rcu_bytes ? 5 : 0);
}

static void waiting_objects_wait_on_in_both_after_a_fork(void **state)
{
	(void)state;
	for (int round = 0; round < 20; round++) {
		struct kmem_cache *s = kmem_cache_create("forks", sizeof(struct item), NULL,
							 SLAB_NO_MERGE | SLAB_TYPESAFE_BY_RCU);
		pid_t child;
		int status;

		for (int i = 0; i < 3000; i++) {
			struct item *p = kmem_cache_alloc(s, 0);

			kfree_rcu(p, rcu);
		}
		child = fork();
		if (child == 0)
			child_of_a_giver(s);
		waitpid(child, &status, 0);
		assert_int_equal(status, 0);
		kmem_cache_destroy(s);
	}
}

/* The runner waits for the forking thread itself: the child has no grace periods, and lives. */
static void a_reader_may_fork(void **state)
{
	struct item *p = kmem_cache_alloc(cache, 0);
	pid_t child;
	int status;

	(void)state;
	toy_read_lock();
	kfree_rcu(p, rcu);
	stele_grace_runner->barrier(&stele_graces[1], NULL); /* nobody's: returns */
	stele_rcu_flush(cache);
	nap_ms(100);
	child = fork();
	if (child == 0) {
		alarm(30);
		toy_read_unlock();
		kvfree_rcu_barrier();
		_exit(memcmp(p, p, sizeof(*p)));
	}
	toy_read_unlock();
	waitpid(child, &status, 0);
	assert_int_equal(status, 0);
	kvfree_rcu_barrier();
}

#endif

static const struct CMUnitTest bounded[] = {
	cmocka_unit_test(a_flood_stays_below_the_limit_while_a_reader_sleeps),
};
static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_flood_stays_below_the_limit_while_a_reader_sleeps),
	cmocka_unit_test(a_reader_that_floods_does_not_wait_for_itself),
	cmocka_unit_test(a_lock_that_readers_need_is_no_deadlock),
	cmocka_unit_test(few_objects_share_a_grace_period_and_many_hurry_it),
	cmocka_unit_test(destroy_right_after_kfree_rcu_finds_everything_back),
	cmocka_unit_test(a_destructor_may_destroy_a_cache_that_waits_for_readers),
#if STELE_DEBUG
	cmocka_unit_test(a_barrier_waits_for_a_sheaf_between_slot_and_queue),
#endif
#if !defined(__SANITIZE_THREAD__)
	cmocka_unit_test(waiting_objects_wait_on_in_both_after_a_fork),
	cmocka_unit_test(a_reader_may_fork),
#endif
};

int main(int argc, char **argv)
{
	/* Less than the defaults, so that the tests are short. */
	stele_heap_start();
	stele_opt.rcu_expedite = 1 << 20;
	stele_opt.rcu_max = 8 << 20;
	/* A thread that waits for a round must have asked for it. */
	stele_opt.rcu_delay = 1000000;
	hold_points();
	if (argc > 1 && !strcmp(argv[1], "broken")) {
		stele_opt.rcu_wait = 0;
		return cmocka_run_group_tests(bounded, begin, end);
	}
	return cmocka_run_group_tests(tests, begin, end);
}
