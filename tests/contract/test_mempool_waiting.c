/* SPDX-License-Identifier: MIT */
/*
 * Reserves: threads that wait for elements, in which order they are served, and that no wake-up is
 * lost. Each test is named by what its user would lose.
 */
#include "pools.h"

#include <time.h>

static void the_first_waiter_is_served_first(void **state)
{
	mempool_t *pool = pool_of(1);
	void *p = mempool_alloc(pool, GFP_KERNEL);
	_Atomic uint32_t turn = 0;
	struct taker t[5];

	(void)state;
	for (int i = 0; i < 5; i++)
		begin_to_wait(&t[i], pool, 1, &turn);
	for (uint32_t i = 0; i < 5; i++) {
		mempool_free(p, pool);
		join(&t[i]);
		assert_int_equal(t[i].place, i);
		p = t[i].p[0];
	}
	mempool_free(p, pool);
	done_with(pool);
}

/* A newcomer that may sleep does not run ahead, either. A newcomer that may not takes the elements
 * that are there. */
static void a_waiter_that_needs_fewer_passes_one_that_needs_more(void **state)
{
	mempool_t *pool = pool_of(3);
	_Atomic uint32_t turn = 0;
	struct taker many, one;
	void *p[3];

	(void)state;
	assert_int_equal(mempool_alloc_bulk(pool, p, 3), 0);
	begin_to_wait(&many, pool, 3, &turn);
	begin_to_wait(&one, pool, 1, &turn);
	mempool_free(p[0], pool);
	join(&one);
	assert_int_equal(one.place, 0);
	mempool_free(p[1], pool);
	mempool_free(p[2], pool);
	assert_int_equal(stele_wait_count(&inside(pool)->queue), 1);
	mempool_free(one.p[0], pool);
	join(&many);
	for (int i = 0; i < 3; i++)
		mempool_free(many.p[i], pool);
	done_with(pool);
}

static void a_larger_pool_serves_its_waiters(void **state)
{
	mempool_t *pool = pool_of(1);
	void *p = mempool_alloc(pool, GFP_KERNEL);
	_Atomic uint32_t turn = 0;
	struct taker t;

	(void)state;
	begin_to_wait(&t, pool, 1, &turn);
	source_gives(1);
	assert_int_equal(mempool_resize(pool, 2), 0);
	join(&t);
	mempool_free(p, pool);
	mempool_free(t.p[0], pool);
	done_with(pool);
}

#if STELE_DEBUG

static mempool_t *growing;
static void *grown[400];

/* All that there is lies where there was no place when the taker began to look. */
static void grow_and_take(const char *point)
{
	mempool_t *pool = growing;

	if (!pool || strcmp(point, "reserve:fetches") != 0)
		return;
	growing = NULL;
	source_gives(-1);
	assert_int_equal(mempool_resize(pool, 400), 0);
	source_gives(0);
	for (int i = 0; i < 400; i++)
		grown[i] = mempool_alloc_preallocated(pool);
}

static void a_thread_that_is_owed_an_element_finds_it_in_a_larger_pool(void **state)
{
	mempool_t *pool = pool_of(64);
	void *p;

	(void)state;
	growing = pool;
	stele_inject = grow_and_take;
	p = mempool_alloc_preallocated(pool);
	stele_inject = NULL;
	assert_non_null(p);
	for (int i = 0; i < 400; i++)
		mempool_free(grown[i], pool);
	mempool_free(p, pool);
	done_with(pool);
}

#endif

/* The keys by hand: a test need not be allowed to be real-time. */
static void the_more_urgent_is_served_first(void **state)
{
	static const int order[] = { 1, 0, 2 };
	mempool_t *pool = pool_of(1);
	struct wait_queue *q = &inside(pool)->queue;
	void *p = mempool_alloc(pool, GFP_KERNEL);
	_Atomic uint32_t turn = 0;
	struct taker t[3];

	(void)state;
	for (unsigned i = 0; i < 3; i++) {
		struct wait_place *place;

		begin_to_wait(&t[i], pool, 1, &turn);
		while (!(place = stele_wait_place(q, i)))
			sched_yield();
		if (i == 1) /* as of a thread whose priority is 50 */
			sub_relaxed(&place->key, 50ull << 56);
	}
	for (uint32_t i = 0; i < 3; i++) {
		struct taker *next = &t[order[i]];

		mempool_free(p, pool);
		join(next);
		assert_int_equal(next->place, i);
		p = next->p[0];
	}
	mempool_free(p, pool);
	done_with(pool);
}

/* Contract 38, with what the thread that frees was told by a store without any order. */
static _Atomic(void *) told;

static void *free_what_is_told(void *arg)
{
	void *p;

	while (!(p = load_relaxed(&told)))
		;
	mempool_free(p, arg);
	return NULL;
}

static void a_wake_up_is_not_lost(void **state)
{
	(void)state;
	for (int min = 0; min < 3; min++)
		for (int round = 0; round < 300; round++) {
			mempool_t *pool = pool_of(min);
			_Atomic uint32_t turn = 0;
			struct taker t = { .pool = pool, .n = 1, .turn = &turn };
			pthread_t freer;
			void *p[2] = { NULL };

			store_relaxed(&told, NULL);
			assert_int_equal(pthread_create(&freer, NULL, free_what_is_told, pool), 0);
			if (min == 2)
				p[1] = mempool_alloc(pool, GFP_KERNEL);
			p[0] = mempool_alloc(pool, GFP_KERNEL);
			assert_int_equal(pthread_create(&t.thread, NULL, take_and_note, &t), 0);
			store_relaxed(&told, p[0]);
			join(&t);
			pthread_join(freer, NULL);
			mempool_free(t.p[0], pool);
			mempool_free(p[1], pool);
			done_with(pool);
		}
}

/* Contract 38: neither holds one of two while it waits for the other. */
static void *take_two_often(void *pool)
{
	void *p[2];

	for (int i = 0; i < 2000; i++) {
		mempool_alloc_bulk(pool, p, 2);
		sched_yield();
		mempool_free(p[i % 2], pool);
		mempool_free(p[1 - i % 2], pool);
	}
	return NULL;
}

static void two_threads_that_need_all_elements_get_them_by_turns(void **state)
{
	mempool_t *pool = pool_of(2);
	pthread_t threads[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		assert_int_equal(pthread_create(&threads[i], NULL, take_two_often, pool), 0);
	for (int i = 0; i < 3; i++)
		pthread_join(threads[i], NULL);
	done_with(pool);
}

/* A deadline, or a cancellation, beside the element that comes: it is had, or it is still there. */
static void *take_in_time(void *pool)
{
	for (int i = 0; i < 2000; i++) {
		struct timespec until;

		clock_gettime(CLOCK_MONOTONIC, &until);
		until.tv_nsec += i % 64 * 1000L; /* beyond a second as well */
		mempool_free(mempool_alloc_timeout(pool, GFP_KERNEL, &until), pool);
	}
	return NULL;
}

static void a_thread_served_when_it_is_late_loses_nothing(void **state)
{
	mempool_t *pool = pool_of(2);
	pthread_t threads[4];

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(pthread_create(&threads[i], NULL,
						i < 2 ? take_in_time : take_two_often, pool),
				 0);
	for (int i = 0; i < 4; i++)
		pthread_join(threads[i], NULL);
	assert_int_equal(stele_wait_count(&inside(pool)->queue), 0);
	done_with(pool);
}

/* For callbacks that recover by themselves: nobody frees here. */
static void the_timer_tries_the_allocation_again(void **state)
{
	mempool_t *pool = pool_of(1);
	void *p = mempool_alloc(pool, GFP_KERNEL);
	_Atomic uint32_t turn = 0;
	struct taker t;

	(void)state;
	stele_opt.mempool_retry = 5;
	begin_to_wait(&t, pool, 1, &turn);
	source_gives(1);
	join(&t);
	stele_opt.mempool_retry = 0;
	mempool_free(t.p[0], pool);
	mempool_free(p, pool);
	done_with(pool);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(the_first_waiter_is_served_first),
	cmocka_unit_test(a_waiter_that_needs_fewer_passes_one_that_needs_more),
	cmocka_unit_test(a_larger_pool_serves_its_waiters),
#if STELE_DEBUG
	cmocka_unit_test(a_thread_that_is_owed_an_element_finds_it_in_a_larger_pool),
#endif
	cmocka_unit_test(the_more_urgent_is_served_first),
	cmocka_unit_test(a_wake_up_is_not_lost),
	cmocka_unit_test(two_threads_that_need_all_elements_get_them_by_turns),
	cmocka_unit_test(a_thread_served_when_it_is_late_loses_nothing),
	cmocka_unit_test(the_timer_tries_the_allocation_again),
};

int main(void)
{
	return cmocka_run_group_tests(tests, no_timer, NULL);
}
