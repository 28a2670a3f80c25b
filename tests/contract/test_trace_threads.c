/* SPDX-License-Identifier: MIT */
/*
 * Contract of <stele/trace.h> with several threads: no event is lost or seen twice, a callback that
 * was removed is in no thread, and a child of fork() keeps its callbacks.
 */
#include "trace_log.h"

#include <pthread.h>
#include <sched.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- threads ---- */

#define THREADS 4
#define PAIRS 20000

static void *pairs(void *arg)
{
	struct kmem_cache *s = arg;

	for (int i = 0; i < PAIRS; i++) {
		kfree(kmalloc((size_t)(i % 2000), GFP_KERNEL));
		kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	}
	return NULL;
}

static void run_threads(void *(*work)(void *), void *arg, void (*meanwhile)(void))
{
	pthread_t thread[THREADS];

	for (int i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, work, arg), 0);
	if (meanwhile)
		meanwhile();
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
}

static void threads_lose_no_event_and_see_none_twice(void **state)
{
	struct kmem_cache *s = kmem_cache_create("counted", 48, NULL, SLAB_NO_MERGE);
	struct counts c = { 0 };
	unsigned long zero = THREADS * (PAIRS / 2000); /* kmalloc(0) is none */

	(void)state;
	assert_int_equal(stele_trace_register(OBJECTS, count, &c), 0);
	run_threads(pairs, s, NULL);
	assert_int_equal(stele_trace_unregister(count, &c), 0);
	assert_int_equal(EVENTS(&c, KMALLOC), THREADS * PAIRS - zero);
	assert_int_equal(EVENTS(&c, KFREE), THREADS * PAIRS - zero);
	assert_int_equal(EVENTS(&c, KMEM_CACHE_ALLOC), THREADS * PAIRS);
	assert_int_equal(EVENTS(&c, KMEM_CACHE_FREE), THREADS * PAIRS);
	kmem_cache_destroy(s);
}

static atomic_bool enough;

static void *pairs_until_enough(void *arg)
{
	(void)arg;
	while (!atomic_load(&enough))
		kfree(kmalloc(40, GFP_KERNEL));
	return NULL;
}

/* The argument of a callback is its own until unregister returns, and nobody's after. */
struct lent {
	unsigned magic; /* plain: a callback that runs on is a data race */
	atomic_ulong calls;
};
#define LENT 0x1ea5ed

static void use_lent(const struct stele_trace_event *event, void *arg)
{
	struct lent *lent = arg;

	(void)event;
	if (lent->magic != LENT)
		abort();
	sched_yield();
	if (lent->magic != LENT)
		abort();
	atomic_fetch_add(&lent->calls, 1);
}

static void callbacks_come_and_go(void)
{
	unsigned long calls = 0;

	for (int i = 0; i < 300 || (!calls && i < 100000); i++) {
		struct lent lent = { .magic = LENT };

		assert_int_equal(stele_trace_register(OBJECTS, use_lent, &lent), 0);
		for (int spin = 0; spin < 20 && !atomic_load(&lent.calls); spin++)
			sched_yield();
		assert_int_equal(stele_trace_unregister(use_lent, &lent), 0);
		lent.magic = 0;
		calls += atomic_load(&lent.calls);
	}
	atomic_store(&enough, true);
	assert_true(calls > 0);
}

static void after_unregister_no_thread_is_in_the_callback(void **state)
{
	(void)state;
	atomic_store(&enough, false);
	run_threads(pairs_until_enough, NULL, callbacks_come_and_go);
}

/* ---- fork ---- */

static atomic_int inside, leave;

static void stay_inside(const struct stele_trace_event *event, void *arg)
{
	(void)event, (void)arg;
	atomic_store(&inside, 1);
	while (!atomic_load(&leave))
		sched_yield();
}

static void *enter(void *arg)
{
	(void)arg;
	kfree(kmalloc(8, GFP_KERNEL));
	return NULL;
}

/* 0: as it should be. */
static int child_of_fork(void)
{
	struct log *log = &seen;

	alarm(20);
	log->n = 0;
	kfree(kmalloc(8, GFP_KERNEL));
	if (log->n != 2)
		return 1;
	if (stele_trace_unregister(record, log) || stele_trace_unregister(stay_inside, NULL))
		return 2;
	kfree(kmalloc(8, GFP_KERNEL));
	return log->n == 2 ? 0 : 3;
}

static void a_child_keeps_callbacks_and_waits_for_no_thread_that_is_gone(void **state)
{
	pthread_t thread;
	int status;
	pid_t pid;

	(void)state;
	assert_int_equal(stele_trace_register(STELE_TRACE_KFREE, stay_inside, NULL), 0);
	assert_int_equal(pthread_create(&thread, NULL, enter, NULL), 0);
	while (!atomic_load(&inside))
		sched_yield();
	listen(STELE_TRACE_KMALLOC | STELE_TRACE_KFREE);
	pid = fork();
	if (pid == 0) {
		atomic_store(&leave, 1);
		_exit(child_of_fork());
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	atomic_store(&leave, 1);
	pthread_join(thread, NULL);
	stop();
	assert_int_equal(stele_trace_unregister(stay_inside, NULL), 0);
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(threads_lose_no_event_and_see_none_twice),
		cmocka_unit_test(after_unregister_no_thread_is_in_the_callback),
		cmocka_unit_test(a_child_keeps_callbacks_and_waits_for_no_thread_that_is_gone),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
