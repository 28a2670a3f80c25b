/* SPDX-License-Identifier: MIT */
/*
 * Contract of a thread that stalls in a round of grace periods: in a user's destructor, or (debug
 * builds) at a named point. Objects that other threads give to kfree_rcu() are freed all the same,
 * and rcu_max bounds them; their caches end. A barrier over everything waits for a destructor that
 * runs, and gives up on a thread that stands still elsewhere. The readers are the test's own. Each
 * case has half a minute.
 */
#include "../nap.h"
#include "../toy_flavor.h"
#include "base/options.h"
#include "contract.h"
#include "no_threads.h"
#include "rcu/rounds.h"
#include "slab/kmem_cache.h"
#include "sync/atomic.h"
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stele/rcu.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SECONDS_AT_MOST 20 /* the machine may be busy */
#define BOUND (64 << 10)   /* of rcu_max, here */

struct item {
	unsigned long value[15];
	struct kvfree_rcu_head rcu;
};

static int each(void **state)
{
	(void)state;
	alarm(30);
	return 0;
}

/* ---- a thread that stalls ---- */

static sem_t there, go_on;
static _Atomic bool stalls;

static void stall(void)
{
	sem_post(&there);
	while (sem_wait(&go_on) != 0)
		;
}

static void stall_once(void *object)
{
	(void)object;
	if (atomic_exchange(&stalls, false))
		stall();
}

static void wait_until_there(void)
{
	struct timespec until;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += SECONDS_AT_MOST;
	assert_int_equal(sem_timedwait(&there, &until), 0);
}

/* ---- what others do meanwhile ---- */

static struct kmem_cache *typesafe(const char *name, void (*dtor)(void *))
{
	struct kmem_cache_args args = { .dtor = dtor };

	return kmem_cache_create(name, sizeof(struct item), &args,
				 SLAB_TYPESAFE_BY_RCU | SLAB_NO_MERGE);
}

static uint64_t waiting_bytes(void)
{
	return load_relaxed(&stele_graces[0].waiting);
}

/* In the end no more objects wait than rcu_max allows: each call waited for that, or another call
 * did. */
static void flood(struct kmem_cache *s)
{
	time_t end = time(NULL) + SECONDS_AT_MOST;

	for (int i = 0; i < 20000; i++) {
		struct item *p = kmem_cache_alloc(s, 0);

		kfree_rcu(p, rcu);
		assert_true(time(NULL) < end);
	}
	while (waiting_bytes() > BOUND) {
		struct item *p = kmem_cache_alloc(s, 0);

		assert_true(time(NULL) < end);
		kfree_rcu_mightsleep(p);
	}
}

/* Each call comes back within the bound, or the alarm rings. */
static void others_go_on(void)
{
	struct kmem_cache *plain =
		kmem_cache_create("plain", sizeof(struct item), NULL, SLAB_NO_MERGE);
	struct kmem_cache *safe = typesafe("safe", NULL);

	flood(plain);
	kvfree_rcu_barrier_on_cache(plain);
	for (int i = 0; i < 100; i++)
		kmem_cache_free(safe, kmem_cache_alloc(safe, 0));
	kmem_cache_destroy(safe);
	kmem_cache_destroy(plain);
}

static _Atomic bool back;

static void *wait_for_all(void *arg)
{
	kvfree_rcu_barrier();
	back = true;
	return arg;
}

static void start_barrier(pthread_t *thread)
{
	back = false;
	assert_int_equal(pthread_create(thread, NULL, wait_for_all, NULL), 0);
}

static void wait_until_back(pthread_t thread)
{
	pthread_join(thread, NULL);
	assert_true(back);
	assert_int_equal(waiting_bytes(), 0);
}

/* ---- a destructor that stalls ---- */

/* Slabs of @s and objects of @other, whose destructors and frees one round calls. */
static void put_in_one_round(struct kmem_cache *s, struct kmem_cache *other)
{
	void *p[200];

	for (int i = 0; i < 200; i++)
		p[i] = kmem_cache_alloc(s, 0);
	stalls = true;
	for (int i = 0; i < 200; i++)
		kmem_cache_free(s, p[i]);
	for (int i = 0; i < 500; i++) {
		struct item *given = kmem_cache_alloc(other, 0);

		kfree_rcu(given, rcu);
	}
}

static void stall_in_a_destructor(struct kmem_cache *s, struct kmem_cache *other)
{
	kvfree_rcu_barrier();
	put_in_one_round(s, other);
	kmem_cache_shrink(s);
	wait_until_there();
}

static void a_destructor_that_stalls_stops_no_other(void **state)
{
	struct kmem_cache *s = typesafe("stalls", stall_once);
	struct kmem_cache *other =
		kmem_cache_create("other", sizeof(struct item), NULL, SLAB_NO_MERGE);
	pthread_t barrier;

	(void)state;
	stall_in_a_destructor(s, other);
	/* Objects lay beside the slab in the same round. */
	kmem_cache_destroy(other);
	others_go_on();
	start_barrier(&barrier);
	nap_ms(50);
	assert_false(back); /* the destructor runs still */
	others_go_on();
	sem_post(&go_on);
	wait_until_back(barrier);
	kmem_cache_destroy(s);
}

static void nor_where_no_other_thread_can_be_made(void **state)
{
	(void)state;
	no_threads = true;
	a_destructor_that_stalls_stops_no_other(state);
	no_threads = false;
}

/* ---- in a round of a thread that waits ---- */

static void *destroy(void *s)
{
	kmem_cache_destroy(s);
	return s;
}

/* In the round of the thread that destroys @s. */
static pthread_t stall_while_destroying(struct kmem_cache *s, struct kmem_cache *other)
{
	pthread_t thread;

	put_in_one_round(s, other);
	assert_int_equal(pthread_create(&thread, NULL, destroy, s), 0);
	wait_until_there();
	return thread;
}

/* The first case: no thread that serves has been made yet. */
static void a_round_of_a_waiter_that_stalls_stops_no_other(void **state)
{
	pthread_t destroyer, barrier;
	struct kmem_cache *other;

	(void)state;
	no_threads = true;
	other = kmem_cache_create("other", sizeof(struct item), NULL, SLAB_NO_MERGE);
	destroyer = stall_while_destroying(typesafe("stalls", stall_once), other);
	assert_int_equal(load_relaxed(&stele_graces[0].served), 0);
	kmem_cache_destroy(other);
	others_go_on();
	no_threads = false;
	others_go_on();
	start_barrier(&barrier);
	nap_ms(50);
	assert_false(back); /* the destructor runs still */
	sem_post(&go_on);
	wait_until_back(barrier);
	pthread_join(destroyer, NULL);
}

static void several_that_stall_stop_no_other(void **state)
{
	static const char *const names[RUNNER_HANDS - 1] = { "first", "second", "third" };
	struct kmem_cache *s[RUNNER_HANDS - 1];
	struct kmem_cache *other =
		kmem_cache_create("other", sizeof(struct item), NULL, SLAB_NO_MERGE);
	pthread_t barrier;

	(void)state;
	for (unsigned i = 0; i < STELE_ARRAY_SIZE(s); i++) {
		s[i] = typesafe(names[i], stall_once);
		for (int j = 0; j < 100; j++)
			kmem_cache_free(s[i], kmem_cache_alloc(s[i], 0));
		stalls = true;
		kmem_cache_shrink(s[i]);
		while (stalls)
			flood(other);
		wait_until_there();
	}
	others_go_on();
	start_barrier(&barrier);
	for (unsigned i = 0; i < STELE_ARRAY_SIZE(s); i++)
		sem_post(&go_on);
	wait_until_back(barrier);
	for (unsigned i = 0; i < STELE_ARRAY_SIZE(s); i++)
		kmem_cache_destroy(s[i]);
	kmem_cache_destroy(other);
}

#if STELE_DEBUG
/* ---- a runner that stalls at a named point ---- */

static const char *_Atomic stall_point;
static _Thread_local bool is_mine;

static void stall_there(const char *point)
{
	const char *at = atomic_load(&stall_point);

	if (!is_mine && at && !strcmp(point, at) &&
	    atomic_compare_exchange_strong(&stall_point, &at, NULL))
		stall();
}

/* Not "runner:syncing", where it is about to go inside of liburcu. */
static const char *const points[] = { "runner:busy", "runner:begins", "runner:calls", "runner:ends",
				      "grace:asleep" };

static void a_runner_that_stalls_is_replaced(void **state)
{
	struct kmem_cache *s = kmem_cache_create("given", sizeof(struct item), NULL, SLAB_NO_MERGE);

	(void)state;
	for (unsigned i = 0; i < STELE_ARRAY_SIZE(points); i++) {
		unsigned before = threads_made;
		pthread_t barrier;

		flood(s);
		atomic_store(&stall_point, points[i]);
		while (atomic_load(&stall_point))
			flood(s);
		wait_until_there();
		others_go_on();
		sem_post(&go_on);
		start_barrier(&barrier);
		wait_until_back(barrier);
		/* It is not replaced again once it is gone. */
		assert_true(threads_made <= before + 3);
	}
	kmem_cache_destroy(s);
}

/* The runner stalls at a point where it waits for nobody: barriers give up on it, once. */
static void a_barrier_gives_up_on_a_runner_that_stalls(void **state)
{
	struct kmem_cache *s = kmem_cache_create("given", sizeof(struct item), NULL, SLAB_NO_MERGE);
	pthread_t barrier;
	time_t begun;

	(void)state;
	atomic_store(&stall_point, "runner:readers-left");
	while (atomic_load(&stall_point))
		flood(s);
	wait_until_there();
	start_barrier(&barrier);
	pthread_join(barrier, NULL);
	begun = time(NULL);
	kvfree_rcu_barrier();
	assert_true(time(NULL) - begun < 4);
	sem_post(&go_on);
	kmem_cache_destroy(s);
}

/* ---- a thread that stalls before it makes the first runner ---- */

static void *give_until_it_stalls(void *arg)
{
	while (atomic_load(&stall_point))
		flood(arg);
	return arg;
}

/* In a child, which has no runner yet. */
static void wait_beside_a_stalled_maker(struct kmem_cache *s)
{
	pthread_t maker;

	alarm(20);
	atomic_store(&stall_point, "runner:became");
	if (pthread_create(&maker, NULL, give_until_it_stalls, s) != 0)
		_exit(1);
	wait_until_there();
	kvfree_rcu_barrier();
	_exit(0);
}

static void a_thread_that_stalls_before_it_makes_a_runner_stops_no_barrier(void **state)
{
	struct kmem_cache *s = kmem_cache_create("given", sizeof(struct item), NULL, SLAB_NO_MERGE);
	pid_t child;
	int status;

	(void)state;
	kvfree_rcu_barrier();
	child = fork();
	if (child == 0)
		wait_beside_a_stalled_maker(s);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	kmem_cache_destroy(s);
}

/* ---- a runner that lets a fork in, and stalls ---- */

static _Atomic bool fork_wanted, fork_announced;
static _Thread_local bool forks;

/* The runner has taken a round, and a fork is announced before the runner looks for one. */
static void fork_there(const char *point)
{
	if (forks && !strcmp(point, "runner:forks"))
		fork_announced = true;
	if (strcmp(point, "runner:taken") != 0 || !atomic_exchange(&fork_wanted, false))
		return;
	while (!fork_announced)
		nap_ms(1);
}

static void *fork_when_wanted(void *arg)
{
	pid_t child;

	forks = true;
	while (fork_wanted)
		nap_ms(1);
	child = fork();
	if (child == 0)
		_exit(0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	return arg;
}

static void a_barrier_gives_up_on_a_runner_that_stalls_beside_a_fork(void **state)
{
	struct kmem_cache *s = kmem_cache_create("given", sizeof(struct item), NULL, SLAB_NO_MERGE);
	pthread_t barrier, forker;

	(void)state;
	fork_wanted = true;
	atomic_store(&stall_point, "runner:pauses");
	assert_int_equal(pthread_create(&forker, NULL, fork_when_wanted, NULL), 0);
	while (atomic_load(&stall_point))
		flood(s);
	wait_until_there();
	pthread_join(forker, NULL);
	start_barrier(&barrier);
	wait_until_back(barrier);
	sem_post(&go_on);
	kmem_cache_destroy(s);
}

/* ---- a runner that is slow ---- */

static _Atomic bool works;

/* A second of work between two steps: it is slow, and does not stall. */
static void work_there(const char *point)
{
	struct timespec used;

	if (strcmp(point, "runner:readers-left") != 0 || !atomic_exchange(&works, false))
		return;
	do
		clock_gettime(CLOCK_THREAD_CPUTIME_ID, &used);
	while (used.tv_sec < 1);
}

static void at_point(const char *point)
{
	work_there(point);
	fork_there(point);
	stall_there(point);
}

/* Longer than a barrier waits for one that stalls. */
static pid_t stop_this_process(void)
{
	pid_t child = fork();

	if (child == 0) {
		nap_ms(300);
		kill(getppid(), SIGSTOP);
		nap_ms(5500);
		kill(getppid(), SIGCONT);
		_exit(0);
	}
	return child;
}

static void a_process_that_was_stopped_gives_up_on_nobody(void **state)
{
	struct kmem_cache *s = kmem_cache_create("given", sizeof(struct item), NULL, SLAB_NO_MERGE);
	pid_t child;

	(void)state;
	kvfree_rcu_barrier();
	works = true;
	for (int i = 0; i < 400; i++) {
		struct item *given = kmem_cache_alloc(s, 0);

		kfree_rcu(given, rcu);
	}
	child = stop_this_process();
	kvfree_rcu_barrier();
	assert_int_equal(waiting_bytes(), 0);
	assert_int_equal(waitpid(child, NULL, 0), child);
	kmem_cache_destroy(s);
}
#endif

static int begin(void **state)
{
	(void)state;
	kfree(kmalloc(8, GFP_KERNEL)); /* the options are read */
	stele_opt.rcu_max = BOUND;
	stele_opt.rcu_expedite = BOUND / 2;
#if STELE_DEBUG
	is_mine = true;
	stele_inject = at_point; /* before there is another thread */
#endif
	sem_init(&there, 0, 0);
	sem_init(&go_on, 0, 0);
	return stele_rcu_set_flavor(&toy_flavor);
}

/* A thread that was held up while it replaced the runner says too late that no thread serves. */
static void a_runner_serves_whatever_a_late_thread_said(void **state)
{
	struct stele_grace *g = &stele_graces[0];

	(void)state;
	assert_int_equal(stele_runner_start(g), 0);
	assert_false(stele_runner_is_gone(g));
	while (load_relaxed(&stele_runners[0].owner) & OWNER_STARTING)
		nap_ms(1);
	store_relaxed(&g->served, 0);
	assert_int_equal(stele_runner_start(g), 0);
	assert_int_equal(load_relaxed(&g->served), 1);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_round_of_a_waiter_that_stalls_stops_no_other, each),
		cmocka_unit_test_setup(a_destructor_that_stalls_stops_no_other, each),
		cmocka_unit_test_setup(nor_where_no_other_thread_can_be_made, each),
		cmocka_unit_test_setup(several_that_stall_stop_no_other, each),
		cmocka_unit_test_setup(a_runner_serves_whatever_a_late_thread_said, each),
#if STELE_DEBUG
		cmocka_unit_test_setup(a_runner_that_stalls_is_replaced, each),
		cmocka_unit_test_setup(a_barrier_gives_up_on_a_runner_that_stalls, each),
		cmocka_unit_test_setup(
			a_thread_that_stalls_before_it_makes_a_runner_stops_no_barrier, each),
		cmocka_unit_test_setup(a_barrier_gives_up_on_a_runner_that_stalls_beside_a_fork,
				       each),
		cmocka_unit_test_setup(a_process_that_was_stopped_gives_up_on_nobody, each),
#endif
	};

	return cmocka_run_group_tests(tests, begin, NULL);
}
