/* SPDX-License-Identifier: MIT */
/*
 * Reserves and cancellation: a wait ends by it only where asked, and a cancelled thread loses no
 * element and leaves no place in the queue.
 */
#include "pools.h"

#include <unistd.h>

static void *cancelled_or_served(void *pool)
{
	int old;
	void *p = mempool_alloc(pool, GFP_KERNEL);

	pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &old);
	mempool_free(p, pool);
	return NULL;
}

static void a_thread_served_when_it_is_cancelled_loses_nothing(void **state)
{
	mempool_t *pool = pool_of(1);

	(void)state;
	stele_mempool_cancellable(pool, true);
	for (int i = 0; i < 500; i++) {
		void *p = mempool_alloc(pool, GFP_KERNEL);
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, cancelled_or_served, pool), 0);
		wait_until_waiting(pool, 1);
		if (i % 2)
			mempool_free(p, pool);
		pthread_cancel(thread);
		if (i % 2 == 0)
			mempool_free(p, pool);
		pthread_join(thread, NULL);
		assert_int_equal(stele_wait_count(&inside(pool)->queue), 0);
	}
	done_with(pool);
}

static void join_cancelled(pthread_t thread, mempool_t *pool)
{
	void *got;

	pthread_cancel(thread);
	pthread_join(thread, &got);
	assert_ptr_equal(got, PTHREAD_CANCELED);
	assert_int_equal(stele_wait_count(&inside(pool)->queue), 0);
}

static void *cancellable_bulk(void *pool)
{
	void *p[2];

	mempool_alloc_bulk(pool, p, 2);
	return NULL;
}

static void elements_of_a_cancelled_bulk_go_back(void **state)
{
	mempool_t *pool = pool_of(2);
	pthread_t thread;
	void *p[2];

	(void)state;
	stele_mempool_cancellable(pool, true);
	assert_int_equal(mempool_alloc_bulk(pool, p, 2), 0);
	source_gives(1);
	assert_int_equal(pthread_create(&thread, NULL, cancellable_bulk, pool), 0);
	wait_until_waiting(pool, 1);
	join_cancelled(thread, pool);
	mempool_free(p[0], pool);
	mempool_free(p[1], pool);
	done_with(pool);
}

static void *cancellable_wait(void *pool)
{
	return mempool_alloc(pool, GFP_KERNEL);
}

static void a_wait_ends_by_cancelling_only_where_asked(void **state)
{
	mempool_t *pool = pool_of(1);
	void *p = mempool_alloc(pool, GFP_KERNEL), *got;
	pthread_t thread;

	(void)state;
	assert_int_equal(pthread_create(&thread, NULL, cancellable_wait, pool), 0);
	wait_until_waiting(pool, 1);
	pthread_cancel(thread);
	usleep(20000);
	assert_int_equal(stele_wait_count(&inside(pool)->queue), 1);
	mempool_free(p, pool);
	pthread_join(thread, &p);
	assert_true(p && p != PTHREAD_CANCELED);

	stele_mempool_cancellable(pool, true);
	assert_int_equal(pthread_create(&thread, NULL, cancellable_wait, pool), 0);
	wait_until_waiting(pool, 1);
	pthread_cancel(thread);
	pthread_join(thread, &got);
	assert_ptr_equal(got, PTHREAD_CANCELED);
	assert_int_equal(stele_wait_count(&inside(pool)->queue), 0);
	mempool_free(p, pool);
	done_with(pool);
}

/* By a wish that comes late, or by a callback of the user's: nobody is left in the queue. */
static void a_thread_cancelled_in_a_wait_has_left_it(void **state)
{
	mempool_t *pool = pool_of(1);
	void *p = mempool_alloc(pool, GFP_KERNEL);
	pthread_t thread;

	(void)state;
	stele_opt.mempool_retry = 5;
	assert_int_equal(pthread_create(&thread, NULL, cancellable_wait, pool), 0);
	wait_until_waiting(pool, 1);
	stele_mempool_cancellable(pool, true);
	join_cancelled(thread, pool);
	stele_mempool_cancellable(pool, false);
	atomic_store(&source.cancels, true);
	assert_int_equal(pthread_create(&thread, NULL, cancellable_wait, pool), 0);
	wait_until_waiting(pool, 1);
	join_cancelled(thread, pool);
	atomic_store(&source.cancels, false);
	stele_opt.mempool_retry = 0;
	mempool_free(p, pool);
	done_with(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_thread_served_when_it_is_cancelled_loses_nothing),
		cmocka_unit_test(elements_of_a_cancelled_bulk_go_back),
		cmocka_unit_test(a_wait_ends_by_cancelling_only_where_asked),
		cmocka_unit_test(a_thread_cancelled_in_a_wait_has_left_it),
	};

	return cmocka_run_group_tests(tests, no_timer, NULL);
}
