/* SPDX-License-Identifier: MIT */
/*
 * A thread leaves a call of a pool, stalls or dies there: the others still get what there is, and
 * change the pool's size. Each test is named by what its user would lose.
 */
#include "left_pool.h"

#include <sched.h>
#include <time.h>

/* ---- threads that wait ---- */

struct taker {
	pthread_t thread;
	unsigned n;
	void *p[MOST];
	_Atomic bool done;
};

static void *take(void *arg)
{
	struct taker *t = arg;

	if (t->n == 1)
		t->p[0] = mempool_alloc(&pool, GFP_KERNEL);
	else
		mempool_alloc_bulk(&pool, t->p, t->n);
	atomic_store(&t->done, true);
	return NULL;
}

static struct taker taker[2];

static void start_to_wait(struct taker *t, unsigned n)
{
	struct wait_queue *q = &inside(&pool)->queue;
	unsigned n_before = 0;

	while (stele_wait_place(q, n_before))
		n_before++;
	*t = (struct taker){ .n = n };
	if (pthread_create(&t->thread, NULL, take, t) != 0)
		abort();
	while (!stele_wait_place(q, n_before))
		sched_yield();
}

static void wait_for_taker(struct taker *t)
{
	time_t end = time(NULL) + SECONDS_AT_MOST;

	while (!atomic_load(&t->done)) {
		if (time(NULL) > end)
			fail_msg("%s at %s: nobody served; %u elements lie in the reserve",
				 leaving_names[leaving.way], leaving.point,
				 stele_mempool_curr_nr(&pool));
		sched_yield();
	}
	pthread_join(t->thread, NULL);
}

/* ---- the cases ---- */

static void free_one(void)
{
	mempool_free(mine[0], &pool);
}

static void *free_rest(void *arg)
{
	for (int i = 1; i < MOST; i++)
		mempool_free(mine[i], &pool);
	return arg;
}

/* Meanwhile another thread brings the rest. */
static void others_bring_the_rest(void)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, free_rest, NULL) != 0)
		abort();
	pthread_join(thread, NULL);
}

/*
 * One waits for three elements, one for a single one. The thread that serves the second leaves
 * with its signal as soon as it is let in, after another thread has brought three more.
 */
static void an_element_that_another_thread_brings_is_told(void **state)
{
	(void)state;
	for (int way = LEAVING_JUMPS; way <= LEAVING_EXITS; way++) {
		pthread_t thread;

		make_pool(MOST);
		stele_inject_no_looks = true;
		start_to_wait(&taker[0], 3);
		start_to_wait(&taker[1], 1);
		leaving_at("mempool:serves", (enum leaving_way)way);
		leaving.first = others_bring_the_rest;
		assert_true(leaving_thread(&thread, free_one));
		assert_int_equal(leaving.fired, 1);
		wait_for_taker(&taker[1]);
		wait_for_taker(&taker[0]);
		leaving_join(thread);
		stele_inject_no_looks = false;
		end_pool();
	}
}

/* With a thread in the queue from before, no handler leaves between the count and the serving. */
static void an_element_that_is_counted_is_handed_over(void **state)
{
	(void)state;
	for (int way = LEAVING_JUMPS; way <= LEAVING_EXITS; way++) {
		pthread_t thread;

		make_pool(1);
		stele_inject_no_looks = true;
		start_to_wait(&taker[0], 1);
		leaving_at("mempool:counted", (enum leaving_way)way);
		assert_true(leaving_thread(&thread, free_one));
		assert_int_equal(leaving.fired, 1);
		wait_for_taker(&taker[0]);
		leaving_join(thread);
		stele_inject_no_looks = false;
		end_pool();
	}
}

static void one_comes_to_wait(const char *point)
{
	if (leaving_may && !strcmp(point, "reserve:spoken-for"))
		start_to_wait(&taker[0], 1);
	leaving_hook(point);
}

/* The waiter came after the freeing thread had seen nobody, or that thread stalls, or is gone. */
static void a_waiter_looks_by_itself(void **state)
{
	(void)state;
	for (int way = 0; way < LEAVING_WAYS; way++) {
		pthread_t thread;

		make_pool(1);
		leaving_at("mempool:counted", (enum leaving_way)way);
		stele_inject = one_comes_to_wait;
		assert_true(leaving_thread(&thread, free_one));
		assert_int_equal(leaving.fired, 1);
		wait_for_taker(&taker[0]);
		leaving_join(thread);
		end_pool();
	}
}

static void free_two(void)
{
	mempool_free(mine[0], &pool);
	mempool_free(mine[1], &pool);
}

static const char *const serving[] = { "mempool:kicked", "mempool:serves", "mempool:tells",
				       "mempool:served" };

/* It takes along nothing: the elements lie in the reserve. A thread that stalls does so until the
 * others have all they wait for. */
static void serve_and_go(const char *point, enum leaving_way way)
{
	pthread_t thread;

	make_pool(MOST);
	start_to_wait(&taker[0], 1);
	start_to_wait(&taker[1], 2);
	leaving_at(point, way);
	assert_true(leaving_thread(&thread, free_two));
	assert_int_equal(leaving.fired, 1);
	mempool_free(mine[2], &pool);
	if (way == LEAVING_DIES)
		mempool_free(mine[1], &pool); /* which it had not come to */
	else
		mempool_free(mine[3], &pool);
	wait_for_taker(&taker[0]);
	wait_for_taker(&taker[1]);
	leaving_join(thread);
	end_pool();
}

static void a_thread_that_dies_while_it_serves_stops_nobody(void **state)
{
	(void)state;
	for (unsigned i = 0; i < STELE_ARRAY_SIZE(serving); i++)
		serve_and_go(serving[i], LEAVING_DIES);
}

static void a_thread_that_stalls_while_it_serves_stops_nobody(void **state)
{
	(void)state;
	for (unsigned i = 0; i < STELE_ARRAY_SIZE(serving); i++)
		serve_and_go(serving[i], LEAVING_STALLS);
}

/* Its deadline is past: it waits for nobody. */
static void a_thread_that_stalls_while_it_serves_delays_no_deadline(void **state)
{
	pthread_t thread;
	struct timespec soon;

	(void)state;
	make_pool(2);
	start_to_wait(&taker[0], 1);
	leaving_at("mempool:serves", LEAVING_STALLS);
	assert_true(leaving_thread(&thread, free_one));
	wait_for_taker(&taker[0]);
	clock_gettime(CLOCK_MONOTONIC, &soon);
	assert_null(mempool_alloc_timeout(&pool, GFP_KERNEL, &soon));
	assert_int_equal(stele_wait_count(&inside(&pool)->queue), 0);
	leaving_join(thread);
	end_pool();
}

/* ---- a thread that waits leaves its wait ---- */

static void *got_by_victim;

static void wait_for_one(void)
{
	got_by_victim = mempool_alloc(&pool, GFP_KERNEL);
}

/* It was there first, and is told first. It does not come. */
static void wait_and_go(const char *point, enum leaving_way way)
{
	pthread_t thread;

	make_pool(2);
	got_by_victim = NULL;
	leaving_at(point, way);
	assert_true(leaving_thread(&thread, wait_for_one));
	assert_int_equal(leaving.fired, 1);
	start_to_wait(&taker[0], 1);
	mempool_free(mine[0], &pool);
	wait_for_taker(&taker[0]);
	mempool_free(mine[1], &pool);
	leaving_join(thread);
	if (way == LEAVING_STALLS)
		assert_non_null(got_by_victim);
	end_pool();
}

static void a_waiter_that_does_not_come_is_passed_over(void **state)
{
	static const char *const waiting[] = { "mempool:comes", "mempool:waits" };

	(void)state;
	for (unsigned i = 0; i < STELE_ARRAY_SIZE(waiting); i++)
		for (int way = 0; way < LEAVING_WAYS; way++)
			wait_and_go(waiting[i], (enum leaving_way)way);
}

/* Its place and its count are free again once it is known to be gone. */
static void a_waiter_that_died_is_buried(void **state)
{
	struct wait_queue *q = &inside(&pool)->queue;
	time_t end = time(NULL) + SECONDS_AT_MOST;
	pthread_t thread;

	(void)state;
	make_pool(2);
	leaving_at("mempool:waits", LEAVING_DIES);
	assert_true(leaving_thread(&thread, wait_for_one));
	assert_int_equal(stele_wait_count(q), 1);
	mempool_free(mine[0], &pool);
	start_to_wait(&taker[0], 2);
	while (stele_wait_count(q) > 1) {
		assert_true(time(NULL) < end);
		sched_yield();
	}
	mempool_free(mine[1], &pool);
	wait_for_taker(&taker[0]);
	assert_int_equal(stele_wait_count(q), 0);
	leaving_join(thread);
	end_pool();
}

/* ---- a thread that changes the size ---- */

static void make_larger(void)
{
	(void)!mempool_resize(&pool, 300);
}

static void a_thread_that_stops_while_it_resizes_stops_no_other(void **state)
{
	static const char *const resizing[] = { "mempool:part", "mempool:limit" };

	(void)state;
	for (unsigned i = 0; i < STELE_ARRAY_SIZE(resizing); i++)
		for (int way = LEAVING_STALLS; way < LEAVING_WAYS; way++) {
			pthread_t thread;

			make_pool(2);
			leaving_at(resizing[i], (enum leaving_way)way);
			assert_true(leaving_thread(&thread, make_larger));
			assert_int_equal(leaving.fired, 1);
			assert_int_equal(mempool_resize(&pool, 600), 0);
			assert_int_equal(mempool_resize(&pool, 2), 0);
			assert_int_equal(pool.min_nr, 2);
			mempool_free(mine[0], &pool);
			mempool_free(mine[1], &pool);
			assert_int_equal(stele_mempool_curr_nr(&pool), 2);
			leaving_join(thread);
			if (!i && way == LEAVING_STALLS)
				assert_int_equal(pool.min_nr, 300); /* it went on, and was last */
			else
				assert_int_equal(pool.min_nr, 2);
			end_pool();
		}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_element_that_another_thread_brings_is_told),
		cmocka_unit_test(an_element_that_is_counted_is_handed_over),
		cmocka_unit_test(a_waiter_looks_by_itself),
		cmocka_unit_test(a_thread_that_dies_while_it_serves_stops_nobody),
		cmocka_unit_test(a_thread_that_stalls_while_it_serves_stops_nobody),
		cmocka_unit_test(a_thread_that_stalls_while_it_serves_delays_no_deadline),
		cmocka_unit_test(a_waiter_that_does_not_come_is_passed_over),
		cmocka_unit_test(a_waiter_that_died_is_buried),
		cmocka_unit_test(a_thread_that_stops_while_it_resizes_stops_no_other),
	};

	return cmocka_run_group_tests(tests, begin_leaving, NULL);
}
