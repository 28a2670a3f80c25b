/* SPDX-License-Identifier: MIT */
/*
 * Contract of threads that leave in the middle of giving, of a round, or of waiting for one: by
 * siglongjmp() out of a handler, or by pthread_exit(). All others go on: rounds run, barriers come
 * back, and at once. The readers are the test's own. Each case has half a minute.
 */
#include "rcu_left.h"
#include "slab/slabs.h"

#include <stdlib.h>
#include <sys/syscall.h>

#if STELE_DEBUG
#include "../leaving.h"
#endif

/* ---- a thread that is left while it is made ---- */

static _Atomic bool leave_at_attr;

int __real_pthread_attr_init(pthread_attr_t *);
int __wrap_pthread_attr_init(pthread_attr_t *);

int __wrap_pthread_attr_init(pthread_attr_t *attr)
{
	if (atomic_exchange(&leave_at_attr, false))
		raise(SIGUSR1);
	return __real_pthread_attr_init(attr);
}

/* ---- leaving while it gives ---- */

static _Atomic bool stop;

/* Signals of its own come to this thread all the time. */
static timer_t interrupt_me(long nanoseconds)
{
	struct itimerspec often = { { 0, nanoseconds }, { 0, nanoseconds } };
	struct sigevent event = { .sigev_notify = SIGEV_THREAD_ID, .sigev_signo = SIGUSR1 };
	timer_t timer;

	event._sigev_un._tid = (pid_t)syscall(SYS_gettid);
	assert_int_equal(timer_create(CLOCK_MONOTONIC, &event, &timer), 0);
	timer_settime(timer, 0, &often, NULL);
	return timer;
}

/* Bursts with pauses, in which the runner falls asleep; large blocks are queued one by one. */
static void give_burst(unsigned seed)
{
	for (int i = 0; i < 130 && !stop; i++)
		give(cache);
	if (seed % 4 == 0) {
		struct kvfree_rcu_head *large = kmalloc(40000, GFP_KERNEL);

		stele_kfree_rcu(large, large);
	}
	for (volatile int pause = 0; pause < 20000 && !stop; pause++)
		;
}

static void *give_and_leave(void *arg)
{
	timer_t timer = interrupt_me(30000 + (long)(uintptr_t)arg % 30000);
	volatile unsigned seed = 0;

	sigsetjmp(out, 1);
	may_leave = true;
	while (!stop)
		give_burst(seed++);
	may_leave = false;
	timer_delete(timer);
	return NULL;
}

static void a_thread_that_leaves_while_it_gives_stops_nobody(void **state)
{
	double end = seconds() + 2;

	(void)state;
	leave_on(SIGUSR1);
	for (uintptr_t i = 0; seconds() < end || i < 3; i++) {
		pthread_t thread;

		stop = false;
		pthread_create(&thread, NULL, give_and_leave, (void *)(i * 7919));
		nap_ms(60);
		stop = true;
		pthread_join(thread, NULL);
		others_go_on();
	}
	assert_true(left > 0);
	barriers_are_short();
}

#if STELE_DEBUG
/* ---- leaving at every named point: a signal comes there, and its handler does not come back ---- */

static _Thread_local uint64_t dice;
static _Thread_local volatile bool may_end;

static void leave_or_end(int signal)
{
	(void)signal;
	if (!may_leave)
		return;
	left++;
	may_leave = false;
	if (may_end)
		pthread_exit(NULL);
	siglongjmp(out, 1);
}

/* Where signals are held back it comes when they are let in again. */
static void signal_at(const char *point)
{
	(void)point;
	if (!may_leave)
		return;
	dice = dice * 6364136223846793005ull + 1442695040888963407ull;
	if (dice >> 58 == 0)
		raise(SIGUSR1);
}

static void give_in_all_ways(unsigned seed)
{
	give_burst(seed);
	kmem_cache_free(cache, kmem_cache_alloc(cache, 0));
	if (seed % 8 == 0)
		kvfree_rcu_mightsleep(kmem_cache_alloc(cache, 0));
	if (seed % 16 == 1)
		kvfree_rcu_barrier_on_cache(cache);
	if (seed % 16 == 2)
		stele_deferred_barrier();
	for (int i = 0; i < 50; i++)
		kfree_nolock(kmalloc_nolock(200, 0, NUMA_NO_NODE));
}

static void *leave_at_points(void *arg)
{
	volatile int lives = 50;
	volatile unsigned seed = (unsigned)(uintptr_t)arg;

	dice = seed * 2654435761u;
	may_end = seed % 2;
	sigsetjmp(out, 1);
	while (!stop && lives-- > 0) {
		may_leave = true;
		give_in_all_ways(seed++);
		may_leave = false;
	}
	return NULL;
}

static void a_thread_that_leaves_at_any_point_stops_nobody(void **state)
{
	struct sigaction action = { .sa_handler = leave_or_end };
	unsigned long before = left;
	double end = seconds() + 2;

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	stele_inject = signal_at;
	for (uintptr_t i = 0; seconds() < end || i < 4; i += 2) {
		pthread_t thread[2];

		stop = false;
		no_threads = i % 4 == 0;
		for (uintptr_t j = 0; j < 2; j++)
			pthread_create(&thread[j], NULL, leave_at_points, (void *)(i + j));
		for (int j = 0; j < 2; j++)
			pthread_join(thread[j], NULL);
		no_threads = false;
		others_go_on();
	}
	stele_inject = NULL;
	assert_true(left > before);
	barriers_are_short();
}
#endif

/* First of all: no thread runs rounds yet. */
static void a_thread_that_leaves_while_it_makes_the_runner_stops_nobody(void **state)
{
	(void)state;
	leave_on(SIGUSR1);
	leave_at_attr = true;
	if (!sigsetjmp(out, 1)) {
		may_leave = true;
		for (int i = 0; i < 300; i++)
			give(cache);
	}
	may_leave = false;
	assert_int_equal(left, 1);
	others_go_on();
}

/* ---- without a thread: a thread leaves its own grace period ---- */

static _Atomic bool leave_in_period;

static void period(void)
{
	if (atomic_exchange(&leave_in_period, false))
		raise(SIGUSR1);
	toy_synchronize();
}

static const struct rcu_flavor_struct leaving_flavor = {
	.read_ongoing = toy_read_ongoing,
	.update_synchronize_rcu = period,
};

static void *leave_own_period(void *arg)
{
	leave_in_period = true;
	if (!sigsetjmp(out, 1)) {
		may_leave = true;
		kvfree_rcu_barrier_on_cache(arg);
	}
	may_leave = false;
	return NULL;
}

static void without_a_runner_a_thread_that_leaves_a_grace_period_stops_nobody(void **state)
{
	struct kmem_cache *s;
	pthread_t thread;

	(void)state;
	no_threads = true;
	leave_on(SIGUSR1);
	s = cache_of("leaving", &leaving_flavor, NULL);
	for (int i = 0; i < 3; i++) {
		unsigned long before = left;

		give(s);
		pthread_create(&thread, NULL, leave_own_period, s);
		pthread_join(thread, NULL);
		assert_int_equal(left, before + 1);
		give(s);
		kvfree_rcu_barrier_on_cache(s);
		assert_int_equal(load_relaxed(&stele_grace_of(s)->waiting), 0);
		/* The same thread, too. */
		give(s);
		leave_own_period(s);
		kvfree_rcu_barrier_on_cache(s);
		assert_int_equal(load_relaxed(&stele_grace_of(s)->waiting), 0);
	}
	kmem_cache_destroy(s);
	no_threads = false;
}

#if STELE_DEBUG
/* ---- threads that die in rounds ---- */

#define MANY 70 /* more than a table of names has places at first */

static struct kmem_cache *dying;

static void wait_for_dying(void)
{
	give(dying);
	kvfree_rcu_barrier_on_cache(dying);
}

static void threads_that_die_in_rounds_keep_nobody_out(void **state)
{
	static const char *const points[] = { "runner:busy", "runner:syncing" };
	struct stele_grace *g;
	pthread_t thread;
	uint64_t before;

	(void)state;
	no_threads = true;
	dying = cache_of("dying", &asking_nobody, NULL);
	g = stele_grace_of(dying);
	before = load_relaxed(&g->waiting);
	for (unsigned i = 0; i < 2 * MANY; i++) {
		leaving_at(points[i % 2], LEAVING_DIES);
		assert_true(leaving_thread(&thread, wait_for_dying));
		leaving_join(thread);
		assert_int_equal(atomic_load(&leaving.fired), 1);
	}
	wait_for_dying();
	kmem_cache_destroy(dying); /* its empty slabs wait for readers, too */
	assert_int_equal(load_relaxed(&g->waiting), before);
	no_threads = false;
}
#endif

static const struct CMUnitTest tests[] = {
	cmocka_unit_test_setup(a_thread_that_leaves_while_it_makes_the_runner_stops_nobody,
			       each_in_half_a_minute),
	cmocka_unit_test_setup(a_thread_that_leaves_while_it_gives_stops_nobody,
			       each_in_half_a_minute),
#if STELE_DEBUG
	cmocka_unit_test_setup(a_thread_that_leaves_at_any_point_stops_nobody,
			       each_in_half_a_minute),
#endif
	cmocka_unit_test_setup(without_a_runner_a_thread_that_leaves_a_grace_period_stops_nobody,
			       each_in_half_a_minute),
#if STELE_DEBUG
	cmocka_unit_test_setup(threads_that_die_in_rounds_keep_nobody_out, each_in_half_a_minute),
#endif
};

int main(int argc, char **argv)
{
	if (argc > 1)
		cmocka_set_test_filter(argv[1]);
	stele_heap_start();
	return cmocka_run_group_tests(tests, begin, end);
}
