/* SPDX-License-Identifier: MIT */
/*
 * Tests of sync/mutex.c: one holder at a time, nobody sleeps forever; no handler gets in; a
 * lock whose holder is gone can be had.
 */
#include "one_mutex.h"
#include "os/os.h"

#include <errno.h>
#include <linux/futex.h>
#include <setjmp.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static void a_held_lock_cannot_be_taken_again(void **state)
{
	(void)state;
	assert_true(stele_trylock(&mutex));
	assert_false(stele_trylock(&mutex));
	stele_unlock(&mutex);
	assert_int_equal(stele_lock(&mutex), 0);
	assert_int_equal(stele_lock(&mutex), -EDEADLK);
	assert_false(stele_trylock(&mutex));
	stele_unlock(&mutex);
	assert_false(is_held());
}

static void no_update_under_the_lock_is_lost(void **state)
{
	(void)state;
	guarded = 0;
	in_threads(THREADS, count_up);
	assert_int_equal(guarded, (long)THREADS * ROUNDS);
	assert_false(is_held());
}

static void every_sleeper_gets_the_lock_in_the_end(void **state)
{
	pthread_t thread[THREADS];

	(void)state;
	assert_int_equal(stele_lock(&mutex), 0);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, lock_once, NULL), 0);
	while (!(load_relaxed(&mutex.word) & FUTEX_WAITERS))
		usleep(1000);
	usleep(20000);
	assert_int_equal(load_relaxed(&arrived), 0);
	stele_unlock(&mutex);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(load_relaxed(&arrived), THREADS);
}

/* ---- signals ---- */

static volatile sig_atomic_t handled;

static void note_signal(int number)
{
	(void)number;
	handled = 1;
}

static void no_handler_runs_while_a_thread_is_inside(void **state)
{
	struct sigaction action = { .sa_handler = note_signal };

	(void)state;
	assert_int_equal(sigaction(SIGUSR1, &action, NULL), 0);
	assert_true(stele_trylock(&mutex));
	raise(SIGUSR1);
	assert_int_equal(handled, 0);
	stele_unlock(&mutex);
	assert_int_equal(handled, 1);
	handled = 0;
	assert_int_equal(stele_lock(&mutex), 0);
	raise(SIGUSR1);
	assert_int_equal(handled, 0);
	stele_unlock(&mutex);
	assert_int_equal(handled, 1);
}

static void *wait_for_it(void *arg)
{
	while (!is_held())
		sched_yield();
	add_relaxed(&arrived, 1);
	if (stele_lock(&mutex) != 0)
		abort();
	stele_unlock(&mutex);
	return arg;
}

#define LONG_MS 60000

/* The holder may be in a user's function, which waits for what the handler does. */
static void a_signal_comes_through_to_a_thread_that_waits(void **state)
{
	pthread_t thread;
	bool came;

	(void)state;
	handled = 0;
	store_relaxed(&arrived, 0);
	/* Before: it would begin with signals held back. */
	pthread_create(&thread, NULL, wait_for_it, NULL);
	assert_int_equal(stele_lock(&mutex), 0);
	while (!load_relaxed(&arrived))
		sched_yield();
	usleep(20000); /* mostly it waits by then */
	pthread_kill(thread, SIGUSR1);
	for (int i = 0; i < LONG_MS && !handled; i++)
		usleep(1000);
	came = handled;
	stele_unlock(&mutex);
	pthread_join(thread, NULL);
	assert_true(came);
}

/* ---- holders that are gone ---- */

static _Atomic bool may_leave;

static void *hold_until_told(void *arg)
{
	if (stele_lock(&mutex) != 0)
		abort();
	add_relaxed(&arrived, 1);
	while (!atomic_load(&may_leave))
		usleep(1000);
	stele_unlock(&mutex);
	return arg;
}

/* What a child says about the lock; it ran no fork handlers, like that of _Fork() or clone(). */
static int in_raw_child(int (*look)(void))
{
	int status;
	pid_t pid = (pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL);

	if (pid == 0) {
		alarm(20);
		_exit(look());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static int lock_abandoned(void)
{
	if (stele_lock(&mutex) != 0 || !mutex.abandoned)
		return 1;
	stele_unlock(&mutex);
	if (!stele_trylock(&mutex) || mutex.abandoned)
		return 2;
	stele_unlock(&mutex);
	return 0;
}

static int trylock_abandoned(void)
{
	if (!stele_trylock(&mutex) || !mutex.abandoned)
		return 1;
	stele_unlock(&mutex);
	return 0;
}

static void a_child_does_not_wait_for_a_thread_it_does_not_have(void **state)
{
	pthread_t thread;

	(void)state;
	arrived = 0;
	atomic_store(&may_leave, false);
	assert_int_equal(pthread_create(&thread, NULL, hold_until_told, NULL), 0);
	while (!load_relaxed(&arrived))
		usleep(1000);
	assert_int_equal(in_raw_child(lock_abandoned), 0);
	assert_int_equal(in_raw_child(trylock_abandoned), 0);
	assert_false(stele_trylock(&mutex)); /* here it is held as before */
	atomic_store(&may_leave, true);
	pthread_join(thread, NULL);
}

static void *tell_number(void *arg)
{
	*(uint32_t *)arg = stele_os_thread();
	return NULL;
}

static void a_lock_of_a_dead_thread_can_be_had(void **state)
{
	pthread_t thread;
	uint32_t number;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, tell_number, &number), 0);
	pthread_join(thread, NULL);
	/* The thread has left joining behind, not yet the kernel. */
	while (syscall(SYS_tgkill, getpid(), number, 0) == 0)
		usleep(1000);
	store_relaxed(&mutex.word, (uint64_t)stele_os_process() << 32 | number);
	assert_int_equal(stele_lock(&mutex), 0);
	assert_true(mutex.abandoned);
	stele_unlock(&mutex);
	assert_int_equal(stele_lock(&mutex), 0);
	assert_false(mutex.abandoned);
	stele_unlock(&mutex);
}

static void trying_takes_a_lock_of_a_dead_thread_too(void **state)
{
	pthread_t thread;
	uint32_t number;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, tell_number, &number), 0);
	pthread_join(thread, NULL);
	while (syscall(SYS_tgkill, getpid(), number, 0) == 0)
		usleep(1000);
	store_relaxed(&mutex.word, (uint64_t)stele_os_process() << 32 | number);
	assert_true(stele_trylock(&mutex));
	assert_true(mutex.abandoned);
	stele_unlock(&mutex);
	assert_false(is_held());
}

/* The kernel has given this thread the number of one that died inside. */
static void a_number_that_was_given_out_again_is_nobody_s(void **state)
{
	(void)state;
	store_relaxed(&mutex.word, stele_os_own(stele_os_thread()));
	store_relaxed(&mutex.owner, stele_os_token() + 1000000);
	assert_int_equal(stele_lock(&mutex), 0);
	assert_true(mutex.abandoned);
	stele_unlock(&mutex);
	store_relaxed(&mutex.word, stele_os_own(stele_os_thread()));
	store_relaxed(&mutex.owner, stele_os_token() + 1000000);
	assert_true(stele_trylock(&mutex));
	assert_true(mutex.abandoned);
	stele_unlock(&mutex);
}

/* ---- children of vfork() ---- */

static uint64_t of_child;

/* In its parent's memory; as malloc/vfork.c does. */
static __attribute__((noinline)) pid_t child_that_dies_inside(void)
{
	pid_t pid = vfork();

	if (pid == 0) {
		stele_os_token_of_child();
		of_child = stele_os_token();
		if (stele_lock(&mutex) == 0)
			syscall(SYS_kill, syscall(SYS_getpid), SIGKILL);
		_exit(1);
	}
	return pid;
}

static pid_t after_child(void)
{
	uint64_t mine = stele_os_token(), signals = stele_os_signals_hold();
	pid_t pid = child_that_dies_inside();

	stele_os_token_back(mine);
	stele_os_signals_release(signals);
	assert_true(pid > 0);
	return pid;
}

static void *try_once(void *arg)
{
	*(bool *)arg = stele_trylock(&mutex);
	if (*(bool *)arg)
		stele_unlock(&mutex);
	return NULL;
}

/* Its parent has the same pthread_self(), and must not take the lock for its own. */
static void a_lock_of_a_killed_vfork_child_can_be_had(void **state)
{
	pthread_t thread;
	bool had = false;
	int status;
	pid_t pid = after_child();

	(void)state;
	assert_true(is_held());
	stele_mutex_thread_gone(of_child, (uint32_t)pid);
	assert_int_equal(stele_lock(&mutex), 0);
	assert_true(mutex.abandoned);
	stele_unlock(&mutex);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_true(WIFSIGNALED(status));

	/* Also where nobody told: the kernel knows. */
	pid = after_child();
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(pthread_create(&thread, NULL, try_once, &had), 0);
	pthread_join(thread, NULL);
	assert_true(had);
}

/* A child that is gone frees nobody else's lock, whatever numbers are given out again. */
static void a_child_that_is_gone_frees_its_own_locks_only(void **state)
{
	(void)state;
	assert_int_equal(stele_lock(&mutex), 0);
	stele_mutex_thread_gone(of_child, stele_os_thread());
	assert_true(is_held());
	assert_int_equal(stele_lock(&mutex), -EDEADLK);
	stele_unlock(&mutex);
}

/* ---- a handler that leaves: docs/any-context.md ---- */

static sigjmp_buf out;

static void leave(int number)
{
	(void)number;
	siglongjmp(out, 1);
}

/* Such a signal is not held back: sent by another thread it can come inside of a lock. */
static void *leave_from_inside(void *arg)
{
	if (sigsetjmp(out, 1) == 0) {
		if (stele_lock(&mutex) != 0)
			abort();
		pthread_kill(pthread_self(), SIGTRAP);
		abort();
	}
	/* No call of this thread hangs; those that need the lock say so. */
	*(bool *)arg = stele_lock(&mutex) == -EDEADLK && !stele_trylock(&mutex);
	return NULL;
}

static void a_lock_left_by_a_sent_sigtrap_is_free_when_its_thread_ends(void **state)
{
	struct sigaction action = { .sa_handler = leave }, before;
	pthread_t thread;
	bool so = false;

	(void)state;
	assert_int_equal(sigaction(SIGTRAP, &action, &before), 0);
	assert_int_equal(pthread_create(&thread, NULL, leave_from_inside, &so), 0);
	pthread_join(thread, NULL);
	sigaction(SIGTRAP, &before, NULL);
	assert_true(so);
	assert_int_equal(stele_lock(&mutex), 0);
	assert_true(mutex.abandoned);
	stele_unlock(&mutex);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_held_lock_cannot_be_taken_again),
		cmocka_unit_test(no_update_under_the_lock_is_lost),
		cmocka_unit_test(every_sleeper_gets_the_lock_in_the_end),
		cmocka_unit_test(a_lock_of_a_dead_thread_can_be_had),
		cmocka_unit_test(a_number_that_was_given_out_again_is_nobody_s),
	};
	const struct CMUnitTest native[] = {
		cmocka_unit_test(no_handler_runs_while_a_thread_is_inside),
		cmocka_unit_test(a_signal_comes_through_to_a_thread_that_waits),
		cmocka_unit_test(a_child_does_not_wait_for_a_thread_it_does_not_have),
		cmocka_unit_test(trying_takes_a_lock_of_a_dead_thread_too),
		cmocka_unit_test(a_lock_of_a_killed_vfork_child_can_be_had),
		cmocka_unit_test(a_child_that_is_gone_frees_its_own_locks_only),
		cmocka_unit_test(a_lock_left_by_a_sent_sigtrap_is_free_when_its_thread_ends),
	};

	if (cmocka_run_group_tests(tests, NULL, NULL) != 0)
		return 1;
	return NATIVE ? cmocka_run_group_tests(native, NULL, NULL) : 0;
}
