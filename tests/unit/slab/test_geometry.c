/* SPDX-License-Identifier: MIT */
/*
 * Tests of slab/geometry.c: caches of the library that several threads need first at the same time
 * are filled in by one of them, and no thread finds them half filled in.
 */
#include "page/run.h"
#include "percpu/system.h"
#include "slab/geometry.h"
#include "sync/ready.h"

#include "../unit.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#define FLAGS (SLAB_NO_MERGE | SLAB_NO_SHEAVES | SLAB_KEPT | SLAB_OWN)
#define SECONDS 1.0
#define MANY 1000
#define THREADS 3

static struct kmem_cache cache;
static struct {
	_Atomic uint32_t ready;
	volatile unsigned filled; /* plain */
} things[MANY];
static _Atomic unsigned arrived, refused;

static double seconds_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* False: another thread is at it, and this one did not wait. */
static bool need(unsigned i, enum effort effort)
{
	if (ready_look(&things[i].ready))
		return true;
	if (stele_slab_boot_begin(&things[i].ready, effort)) {
		things[i].filled++;
		sched_yield();
		things[i].filled++;
		stele_slab_boot_end(&things[i].ready);
	}
	return ready_look(&things[i].ready);
}

static void *need_all(void *waits)
{
	enum effort effort = waits ? EFFORT_WAITING : EFFORT_USUAL;

	add_relaxed(&arrived, 1);
	while (load_relaxed(&arrived) % THREADS)
		sched_yield();
	for (unsigned i = 0; i < MANY; i++) {
		if (need(i, effort))
			assert_int_equal(things[i].filled, 2);
		else
			add_relaxed(&refused, 1);
	}
	return NULL;
}

static void start_anew(void)
{
	for (unsigned i = 0; i < MANY; i++) {
		store_relaxed(&things[i].ready, 0);
		things[i].filled = 0;
	}
}

/* The last thread waits for no lock, as the data path. */
static void one_thread_fills_in(void **state)
{
	double end = seconds_now() + SECONDS;
	pthread_t threads[THREADS];

	(void)state;
	while (seconds_now() < end) {
		start_anew();
		for (int i = 0; i < THREADS; i++)
			assert_int_equal(pthread_create(&threads[i], NULL, need_all,
							i < THREADS - 1 ? &cache : NULL),
					 0);
		for (int i = 0; i < THREADS; i++)
			pthread_join(threads[i], NULL);
		for (int i = 0; i < MANY; i++)
			assert_int_equal(things[i].filled, 2);
	}
}

static void *must_not_wait(void *unused)
{
	return need(0, EFFORT_USUAL) ? unused : NULL;
}

static void data_path_does_not_wait(void **state)
{
	pthread_t thread;
	void *got = &cache;

	(void)state;
	start_anew();
	assert_true(stele_slab_boot_begin(&things[0].ready, EFFORT_WAITING));
	assert_int_equal(pthread_create(&thread, NULL, must_not_wait, &cache), 0);
	pthread_join(thread, &got);
	assert_null(got);
	assert_false(need(0, EFFORT_USUAL)); /* nor the thread that is at it itself */
	stele_slab_boot_end(&things[0].ready);
	assert_false(stele_slab_boot_begin(&things[0].ready, EFFORT_WAITING));
	assert_true(need(0, EFFORT_USUAL));
	assert_int_equal(things[0].filled, 0);
}

/* System pages of 64 KiB: slabs that stay are rounded up to these. */
static void kept_slabs_have_whole_pages(void **state)
{
	(void)state;
	assert_int_equal(stele_heap_start(), 0);
	stele_system_facts.page_size = 65536;
	stele_slab_boot(&cache, "pages", 192, 64, FLAGS);
	assert_int_equal(cache.frames % (65536 / FRAME_SIZE), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(one_thread_fills_in),
		cmocka_unit_test(data_path_does_not_wait),
		cmocka_unit_test(kept_slabs_have_whole_pages),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
