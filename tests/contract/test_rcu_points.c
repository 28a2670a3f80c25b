/* SPDX-License-Identifier: MIT */
/*
 * Contract of a thread that stalls at a named point of a round of grace periods, in debug builds: the
 * others replace it, and a barrier gives up on a thread that stands still.
 */
#include "rcu_stall.h"

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
		others_go_on_beside_a_stall();
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

#define BESIDE_A_MAKER "beside-a-maker" /* this program's argument */

static void *give_until_it_stalls(void *arg)
{
	while (atomic_load(&stall_point))
		flood(arg);
	return arg;
}

/* In a program of its own, which has no runner yet. */
static int wait_beside_a_stalled_maker(void)
{
	struct kmem_cache *s = kmem_cache_create("given", sizeof(struct item), NULL, SLAB_NO_MERGE);
	pthread_t maker;

	alarm(SECONDS_AT_MOST);
	atomic_store(&stall_point, "runner:became");
	if (pthread_create(&maker, NULL, give_until_it_stalls, s) != 0)
		return 1;
	wait_until_there();
	kvfree_rcu_barrier();
	_exit(0); /* the maker stalls for ever */
}

static void a_thread_that_stalls_before_it_makes_a_runner_stops_no_barrier(void **state)
{
	pid_t child = fork();
	int status;

	(void)state;
	if (child == 0) {
		execl("/proc/self/exe", "rcu_points", BESIDE_A_MAKER, NULL);
		_exit(127);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
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

static int begin_at_points(void **state)
{
	(void)state;
	is_mine = true;
	stele_inject = at_point; /* before there is another thread */
	return begin_stalls();
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_runner_that_stalls_is_replaced, each_in_half_a_minute),
		cmocka_unit_test_setup(a_barrier_gives_up_on_a_runner_that_stalls,
				       each_in_half_a_minute),
		cmocka_unit_test_setup(
			a_thread_that_stalls_before_it_makes_a_runner_stops_no_barrier,
			each_in_half_a_minute),
		cmocka_unit_test_setup(a_barrier_gives_up_on_a_runner_that_stalls_beside_a_fork,
				       each_in_half_a_minute),
		cmocka_unit_test_setup(a_process_that_was_stopped_gives_up_on_nobody,
				       each_in_half_a_minute),
	};

	if (argc > 1 && strcmp(argv[1], BESIDE_A_MAKER) == 0)
		return begin_at_points(NULL) != 0 || wait_beside_a_stalled_maker();
	return cmocka_run_group_tests(tests, begin_at_points, NULL);
}
