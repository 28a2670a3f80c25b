/* SPDX-License-Identifier: MIT */
/*
 * Calls of a thread that has been cancelled: the thread ends in none of them, since no call is
 * documented as a cancellation point, and free() must not be one. A cache's objects or a lock that
 * the thread holds would be lost with it.
 */
#include "contract.h"

#include <pthread.h>
#include <stele/cpu.h>
#include <stele/stats.h>
#include <unistd.h>

static volatile int reached;

static void bad_free(void)
{
	kfree((void *)(uintptr_t)0x10008);
}

static void taken_name(void)
{
	struct kmem_cache *s = kmem_cache_create("kmem_cancelled", 64, NULL, SLAB_NO_MERGE);
	struct kmem_cache *again = kmem_cache_create("kmem_cancelled", 64, NULL, SLAB_NO_MERGE);

	kmem_cache_destroy(again);
	kmem_cache_destroy(s);
}

static void live_object(void)
{
	struct kmem_cache *s = kmem_cache_create("kmem_leftover", 64, NULL, SLAB_NO_MERGE);

	if (s && kmem_cache_alloc(s, GFP_KERNEL))
		kmem_cache_destroy(s);
}

static int ends[2];

static void slabinfo(void)
{
	stele_slabinfo_write(ends[1]);
}

static void control_calls(void)
{
	stele_trim(0);
	stele_deferred_barrier();
}

static void watch_and_stop(void)
{
	stele_cpu_watch(true);
	stele_cpu_watch(false);
}

static void *cancelled(void *arg)
{
	void (*call)(void) = *(void (**)(void))arg;

	pthread_cancel(pthread_self());
	call();
	reached++;
	pthread_testcancel();
	return NULL;
}

static void comes_back_cancelled(void (*call)(void))
{
	pthread_t thread;
	void *result;

	reached = 0;
	assert_int_equal(pthread_create(&thread, NULL, cancelled, &call), 0);
	pthread_join(thread, &result);
	assert_ptr_equal(result, PTHREAD_CANCELED);
	assert_int_equal(reached, 1);
}

static void a_report_does_not_end_the_thread(void **state)
{
	struct stderr_text t;

	(void)state;
	stderr_begin(&t);
	comes_back_cancelled(bad_free);
	comes_back_cancelled(taken_name);
	comes_back_cancelled(live_object);
	stderr_end(&t);
	assert_says(&t, "already free");
	assert_says(&t, "is taken");
	assert_says(&t, "Objects remaining");
}

static void a_control_call_is_done_to_its_end(void **state)
{
	(void)state;
	comes_back_cancelled(control_calls);
	assert_int_equal(pipe(ends), 0);
	comes_back_cancelled(slabinfo);
	close(ends[0]);
	close(ends[1]);
}

static void the_watcher_is_stopped_to_its_end(void **state)
{
	(void)state;
	comes_back_cancelled(watch_and_stop);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_report_does_not_end_the_thread),
		cmocka_unit_test(a_control_call_is_done_to_its_end),
		cmocka_unit_test(the_watcher_is_stopped_to_its_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
