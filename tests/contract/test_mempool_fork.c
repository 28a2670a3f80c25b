/* SPDX-License-Identifier: MIT */
/*
 * Reserves in a child of fork(): it has the pool to itself, and may end it, whatever the threads of
 * its parent were in the middle of.
 */
#include "pools.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static bool ends_silently(mempool_t *pool)
{
	struct stderr_text t;
	bool good = stderr_begin(&t);

	mempool_destroy(pool);
	stderr_end(&t);
	return good && !t.text[0];
}

static void the_child_of_a_fork_may_end_the_pool(void **state)
{
	mempool_t *pool = pool_of(2);
	_Atomic uint32_t turn = 0;
	struct taker t;
	void *p[2];
	int status;
	pid_t child;

	(void)state;
	assert_int_equal(mempool_alloc_bulk(pool, p, 2), 0);
	begin_to_wait(&t, pool, 2, &turn);
	/* Not enough for the waiter: nobody looks after the queue before the end. */
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		store_relaxed(&inside(pool)->was_full, 0);
		_exit(ends_silently(pool) ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	mempool_free(p[0], pool);
	mempool_free(p[1], pool);
	join(&t);
	mempool_free(t.p[0], pool);
	mempool_free(t.p[1], pool);
	done_with(pool);
}

static void the_child_of_a_fork_has_the_pool_to_itself(void **state)
{
	mempool_t *pool = pool_of(2);
	void *p = mempool_alloc(pool, GFP_KERNEL), *q = mempool_alloc(pool, GFP_KERNEL);
	_Atomic uint32_t turn = 0;
	struct taker t;
	int status;
	pid_t child;

	(void)state;
	begin_to_wait(&t, pool, 1, &turn);
	child = fork();
	assert_true(child >= 0);
	if (child == 0) {
		bool good;

		alarm(20);
		mempool_free(p, pool);
		good = mempool_alloc(pool, GFP_KERNEL) == p;
		mempool_free(p, pool);
		mempool_free(q, pool);
		_exit(good && stele_mempool_curr_nr(pool) == 2 ? 0 : 1);
	}
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_int_equal(status, 0);
	mempool_free(p, pool);
	join(&t);
	mempool_free(t.p[0], pool);
	mempool_free(q, pool);
	done_with(pool);
}

/* A handler forks in the middle of a wait, and the child goes on with it. */
static mempool_t *forked_pool;
static void *forked_element;
static _Atomic int forked;

static void fork_here(int signal)
{
	pid_t child = fork();

	(void)signal;
	atomic_store(&forked, child);
	if (child == 0) {
		alarm(20);
		mempool_free(forked_element, forked_pool);
	}
}

static void *wait_and_leave(void *pool)
{
	void *p = mempool_alloc(pool, GFP_KERNEL);

	if (forked == 0)
		_exit(p == forked_element ? 0 : 1);
	return p;
}

static void fork_a_waiter(int flags, bool asleep)
{
	struct sigaction action = { .sa_handler = fork_here, .sa_flags = flags };
	pthread_t thread;
	int status;
	void *p;

	forked_pool = pool_of(1);
	forked_element = mempool_alloc(forked_pool, GFP_KERNEL);
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	forked = -1;
	assert_int_equal(pthread_create(&thread, NULL, wait_and_leave, forked_pool), 0);
	if (asleep) {
		wait_until_waiting(forked_pool, 1);
		usleep(20000);
		pthread_kill(thread, SIGUSR1);
	}
	while (forked == -1)
		sched_yield();
	assert_int_equal(waitpid(forked, &status, 0), forked);
	assert_int_equal(status, 0);
	mempool_free(forked_element, forked_pool);
	pthread_join(thread, &p);
	assert_ptr_equal(p, forked_element);
	mempool_free(p, forked_pool);
	done_with(forked_pool);
}

static void a_waiter_that_forks_is_served_in_both_processes(void **state)
{
	(void)state;
	fork_a_waiter(0, true);
	fork_a_waiter(SA_RESTART, true);
}

#if STELE_DEBUG

static const char *_Atomic fork_at;

static void fork_at_point(const char *point)
{
	const char *at = atomic_load(&fork_at);

	if (at && !strcmp(point, at)) {
		atomic_store(&fork_at, NULL);
		raise(SIGUSR1);
	}
}

static void a_thread_that_forks_before_it_sleeps_is_served_in_both_processes(void **state)
{
	static const char *const points[] = { "mempool:comes", "mempool:waits" };

	(void)state;
	stele_inject = fork_at_point;
	for (int i = 0; i < 2; i++) {
		atomic_store(&fork_at, points[i]);
		fork_a_waiter(0, false);
	}
	stele_inject = NULL;
}

static __thread pthread_t served_thread; /* not 0: of the thread that serves it */

static void fork_while_served(const char *point)
{
	if (served_thread && !strcmp(point, "mempool:serves")) {
		pthread_kill(served_thread, SIGUSR1);
		while (forked == -1)
			sched_yield();
	}
}

static void just_fork(int signal)
{
	pid_t child = fork();

	(void)signal;
	if (child == 0)
		alarm(20);
	atomic_store(&forked, child);
}

/* False: it was not yet asleep, and served itself. */
static bool fork_one_who_is_served(void)
{
	pthread_t thread;
	int status = 0;
	void *p;

	forked_pool = pool_of(1);
	forked_element = mempool_alloc(forked_pool, GFP_KERNEL);
	forked = -1;
	assert_int_equal(pthread_create(&thread, NULL, wait_and_leave, forked_pool), 0);
	wait_until_waiting(forked_pool, 1);
	usleep(20000);
	served_thread = thread;
	mempool_free(forked_element, forked_pool);
	served_thread = 0;
	pthread_join(thread, &p);
	assert_ptr_equal(p, forked_element);
	if (forked != -1)
		assert_int_equal(waitpid(forked, &status, 0), forked);
	assert_int_equal(status, 0);
	mempool_free(p, forked_pool);
	done_with(forked_pool);
	return forked != -1;
}

static void a_waiter_that_forks_while_served_is_served_in_both_processes(void **state)
{
	struct sigaction action = { .sa_handler = just_fork };

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	stele_inject = fork_while_served;
	while (!fork_one_who_is_served())
		;
	stele_inject = NULL;
}

#endif

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_child_of_a_fork_has_the_pool_to_itself),
	cmocka_unit_test(the_child_of_a_fork_may_end_the_pool),
	cmocka_unit_test(a_waiter_that_forks_is_served_in_both_processes),
#if STELE_DEBUG
	cmocka_unit_test(a_thread_that_forks_before_it_sleeps_is_served_in_both_processes),
	cmocka_unit_test(a_waiter_that_forks_while_served_is_served_in_both_processes),
#endif
};

int main(void)
{
	return cmocka_run_group_tests(tests, no_timer, NULL);
}
