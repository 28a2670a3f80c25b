/* SPDX-License-Identifier: MIT */
/*
 * Tests of cache/decay.c: a program that gives half of its slabs back does not keep what rests in
 * the sheaves of its other caches; a small one is left alone.
 */
#include "cache/caches.h"
#include "cache/chores.h"
#include "page/run.h"
#include "slab/kmem_cache.h"
#include "sync/atomic.h"

#include "../unit.h"

#include <semaphore.h>

#define SIZE 512u
#define MOST 16384u		 /* 8 MiB: well above the least that counts */
#define FEW (256u * 1024 / SIZE) /* a quarter of a MiB: below it */

static struct kmem_cache resting, busy;
static void *objects[MOST];

static int setup(void **state)
{
	(void)state;
	if (stele_heap_start() != 0)
		return -1;
	stele_cache_boot(&resting, "resting", 96, 32, SLAB_NO_MERGE);
	stele_cache_boot(&busy, "busy", SIZE, SIZE, SLAB_NO_MERGE);
	stele_cache_list(&resting, 1);
	stele_cache_list(&busy, 1);
	return 0;
}

/* One object that was freed and rests in a sheaf, keeping its slab alive. */
static void rest_one(void)
{
	kmem_cache_free(&resting, kmem_cache_alloc(&resting, 0));
	assert_int_equal(load_relaxed(&resting.slabs), 1);
}

static void grow_and_shrink(unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		objects[i] = kmem_cache_alloc(&busy, 0);
		assert_non_null(objects[i]);
	}
	for (unsigned i = 0; i < n; i++)
		kmem_cache_free(&busy, objects[i]);
}

static void a_small_program_keeps_its_sheaves(void **state)
{
	(void)state;
	rest_one();
	grow_and_shrink(FEW);
	assert_int_equal(load_relaxed(&resting.slabs), 1);
}

static void resting_objects_go_when_the_program_shrinks(void **state)
{
	(void)state;
	rest_one();
	grow_and_shrink(MOST);
	assert_int_equal(load_relaxed(&resting.slabs), 0);
}

#if STELE_DEBUG
static sigjmp_buf out;

static void jump_once(const char *point)
{
	if (strcmp(point, "decay:crossed") != 0)
		return;
	stele_inject = NULL;
	siglongjmp(out, 1);
}

/* A handler that does not come back strikes just when the line is crossed. */
static void other_threads_go_on_where_a_thread_left(void **state)
{
	static volatile unsigned at;

	(void)state;
	for (at = 0; at < MOST; at++)
		objects[at] = kmem_cache_alloc(&busy, 0);
	rest_one();
	at = 0;
	if (sigsetjmp(out, 1) == 0) {
		stele_inject = jump_once;
		while (at < MOST)
			kmem_cache_free(&busy, objects[at++]);
	}
	assert_null(stele_inject);
	assert_in_range(at, 1, MOST - 1000);
	assert_true(stele_decay_pending());
	for (int i = 0; i < 1000; i++)
		kmem_cache_free(&busy, objects[at++]);
	assert_int_equal(load_relaxed(&resting.slabs), 0);
	while (at < MOST)
		kmem_cache_free(&busy, objects[at++]);
}
#endif

#if STELE_DEBUG
#define MORE 40u /* caches: a round through all takes several calls */

static struct kmem_cache more[MORE];
static sem_t round_is_over, may_say_so;
static _Thread_local bool says_late;
static _Atomic bool crossed;

static void be_late(const char *point)
{
	if (!strcmp(point, "decay:crossed"))
		crossed = true;
	if (!says_late || strcmp(point, "decay:over") != 0)
		return;
	says_late = false;
	sem_post(&round_is_over);
	sem_wait(&may_say_so);
}

static volatile unsigned freed;

static void *say_late(void *arg)
{
	says_late = true;
	while (freed < MOST)
		kmem_cache_free(&busy, objects[freed++]);
	return arg;
}

/* A thread has seen the end of a round, and says so when the line was crossed again. */
static void a_round_outlasts_the_end_of_the_one_before(void **state)
{
	pthread_t late;

	(void)state;
	sem_init(&round_is_over, 0, 0);
	sem_init(&may_say_so, 0, 0);
	for (unsigned i = 0; i < MORE; i++)
		stele_cache_boot(&more[i], "more", 200, 8, SLAB_NO_MERGE);
	stele_cache_list(more, MORE);
	for (unsigned i = 0; i < MOST; i++)
		objects[i] = kmem_cache_alloc(&busy, 0);
	freed = 0;
	stele_inject = be_late;
	assert_int_equal(pthread_create(&late, NULL, say_late, NULL), 0);
	sem_wait(&round_is_over);
	crossed = false;
	while (!crossed && freed < MOST)
		kmem_cache_free(&busy, objects[freed++]);
	assert_true(crossed);
	rest_one();
	sem_post(&may_say_so);
	pthread_join(late, NULL);
	stele_inject = NULL;
	for (unsigned i = 0; i < MORE; i++)
		stele_decay_go_on();
	assert_int_equal(load_relaxed(&resting.slabs), 0);
	assert_false(stele_decay_pending());
}
#endif

static void nothing_in_use_is_lost(void **state)
{
	uint64_t *kept = kmem_cache_alloc(&resting, 0);

	(void)state;
	*kept = 0x5aa5;
	grow_and_shrink(MOST);
	assert_int_equal(*kept, 0x5aa5);
	kmem_cache_free(&resting, kept);
	assert_int_equal(kmem_cache_shrink(&resting), 0);
	assert_int_equal(kmem_cache_shrink(&busy), 0);
}

static const struct CMUnitTest tests[] = {
	cmocka_unit_test(a_small_program_keeps_its_sheaves),
	cmocka_unit_test(resting_objects_go_when_the_program_shrinks),
	cmocka_unit_test(nothing_in_use_is_lost),
#if STELE_DEBUG
	cmocka_unit_test(other_threads_go_on_where_a_thread_left),
	cmocka_unit_test(a_round_outlasts_the_end_of_the_one_before),
#endif
};

int main(void)
{
	return cmocka_run_group_tests(tests, setup, NULL);
}
