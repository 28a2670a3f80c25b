/* SPDX-License-Identifier: MIT */
/*
 * Tests of sync/mutex.c: one holder at a time, nobody sleeps forever.
 */
#include "sync/mutex.h"

#include "../unit.h"

#include <unistd.h>

#define THREADS 4
#define ROUNDS 20000

static struct stele_mutex mutex;
static long guarded; /* under mutex */
static _Atomic uint32_t arrived;

static void a_held_lock_cannot_be_taken_again(void **state)
{
	(void)state;
	assert_true(stele_trylock(&mutex));
	assert_false(stele_trylock(&mutex));
	stele_unlock(&mutex);
	stele_lock(&mutex);
	assert_false(stele_trylock(&mutex));
	stele_unlock(&mutex);
	assert_int_equal(load_relaxed(&mutex.word), 0);
}

static void *count_up(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		stele_lock(&mutex);
		guarded++;
		if (i % 1024 == 0)
			sched_yield(); /* so that others find it held */
		stele_unlock(&mutex);
	}
	return arg;
}

static void no_update_under_the_lock_is_lost(void **state)
{
	(void)state;
	guarded = 0;
	in_threads(THREADS, count_up);
	assert_int_equal(guarded, (long)THREADS * ROUNDS);
	assert_int_equal(load_relaxed(&mutex.word), 0);
}

static void *lock_once(void *arg)
{
	stele_lock(&mutex);
	add_relaxed(&arrived, 1);
	stele_unlock(&mutex);
	return arg;
}

static void every_sleeper_gets_the_lock_in_the_end(void **state)
{
	pthread_t thread[THREADS];

	(void)state;
	stele_lock(&mutex);
	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, lock_once, NULL), 0);
	while (load_relaxed(&mutex.word) != 2)
		usleep(1000);
	usleep(20000);
	assert_int_equal(load_relaxed(&arrived), 0);
	stele_unlock(&mutex);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	assert_int_equal(load_relaxed(&arrived), THREADS);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_held_lock_cannot_be_taken_again),
		cmocka_unit_test(no_update_under_the_lock_is_lost),
		cmocka_unit_test(every_sleeper_gets_the_lock_in_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
