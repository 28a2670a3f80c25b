/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/threads_exit.c - allocating in the last moments of a thread
 *
 * Idea      A thread's end runs code of the program: destructors of keys (which may set the
 *           key again, so that they run again), clean-up handlers after pthread_exit() or a
 *           cancellation, and detached threads that nobody waits for. All of it allocates
 *           and frees, also what other threads made. At last the first thread ends before
 *           the others do.
 * Failure   wrong contents, or an exit status that is not 0 at the end of the last thread.
 */
#include "drop_in.h"
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <time.h>

#define ROUNDS 200
#define LAST_THREADS 4
#define SIZE 333

static pthread_key_t key;
static atomic_uint destroyed, cleaned, detached;

static void *filled(unsigned seed)
{
	void *p = malloc(SIZE);

	CHECK(p);
	fill(p, 0, SIZE, seed);
	return p;
}

/* Two more rounds than the first: each sets the key again. */
static void key_destroyed(void *p)
{
	unsigned char round = *(unsigned char *)p;

	check_filled(p, SIZE, round);
	free(p);
	free(filled(9));
	atomic_fetch_add(&destroyed, 1);
	if (round < 2)
		pthread_setspecific(key, filled(round + 1u));
}

static void cleanup(void *p)
{
	check_filled(p, SIZE, 7);
	free(realloc(p, 5000));
	atomic_fetch_add(&cleaned, 1);
}

static void *ends_by_return(void *p)
{
	pthread_setspecific(key, filled(0));
	check_filled(p, SIZE, 5);
	free(p);
	return filled(6);
}

static void *ends_by_exit(void *p)
{
	void *mine = filled(7);

	pthread_setspecific(key, filled(0));
	pthread_cleanup_push(cleanup, mine);
	check_filled(p, SIZE, 5);
	free(p);
	pthread_exit(filled(6));
	pthread_cleanup_pop(0);
}

/* Busy in malloc until it is cancelled at the test for it. */
static void *ends_by_cancel(void *p)
{
	void *mine = filled(7);

	pthread_setspecific(key, filled(0));
	pthread_cleanup_push(cleanup, mine);
	free(p);
	for (;;) {
		free(filled(8));
		pthread_testcancel();
	}
	pthread_cleanup_pop(0);
}

static void *ends_alone(void *p)
{
	pthread_setspecific(key, filled(0));
	free(p);
	atomic_fetch_add(&detached, 1);
	return NULL;
}

static void join_filled(pthread_t thread)
{
	void *p;

	CHECK(pthread_join(thread, &p) == 0);
	if (p != PTHREAD_CANCELED) {
		check_filled(p, SIZE, 6);
		free(p);
	}
}

static void end_threads(void)
{
	pthread_t by_return, by_exit, by_cancel, alone;

	CHECK(pthread_create(&by_return, NULL, ends_by_return, filled(5)) == 0);
	CHECK(pthread_create(&by_exit, NULL, ends_by_exit, filled(5)) == 0);
	CHECK(pthread_create(&by_cancel, NULL, ends_by_cancel, filled(5)) == 0);
	CHECK(pthread_create(&alone, NULL, ends_alone, filled(5)) == 0);
	CHECK(pthread_detach(alone) == 0);
	sched_yield();
	CHECK(pthread_cancel(by_cancel) == 0);
	join_filled(by_return);
	join_filled(by_exit);
	join_filled(by_cancel);
}

static void wait_for(atomic_uint *count, unsigned n)
{
	for (int i = 0; i < 10000 && *count < n; i++)
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	CHECK_FOR(*count == n, *count);
}

static void *outlives_main(void *p)
{
	for (int i = 0; i < 20; i++) {
		free(filled(8));
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	}
	check_filled(p, SIZE, 5);
	free(p);
	return NULL;
}

int main(void)
{
	pthread_t thread;
	unsigned at_least;

	need_drop_in();
	alarm(50);
	CHECK(pthread_key_create(&key, key_destroyed) == 0);
	for (int i = 0; i < ROUNDS; i++)
		end_threads();
	wait_for(&detached, ROUNDS);
	/* A thread cancelled before its first line has nothing to clean up. */
	at_least = 3 * 3 * ROUNDS;
	for (int i = 0; i < 5000 && destroyed < at_least; i++)
		nanosleep(&(struct timespec){ 0, 1000000 }, NULL);
	CHECK_FOR(destroyed >= at_least, destroyed);
	CHECK_FOR(cleaned >= ROUNDS, cleaned);
	for (int i = 0; i < LAST_THREADS; i++)
		CHECK(pthread_create(&thread, NULL, outlives_main, filled(5)) == 0);
	pthread_exit(NULL);
}
