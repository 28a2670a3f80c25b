/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/permanent.c: runs that are never returned lie side by side in areas that nobody
 * else gets a frame of, no more of them than their share; and debug builds know them.
 */
#include "os/map.h"
#include "page/areas.h"
#include "page/place.h"
#include "page/run.h"
#include "page/where.h"
#include "percpu/system.h"

#include "../unit.h"

#include <errno.h>
#include <sys/mman.h>

#define MANY 2000u

static struct run *runs[MANY];

static int setup(void **state)
{
	(void)state;
	return stele_heap_start();
}

static void runs_lie_side_by_side_in_areas_of_their_own(void **state)
{
	unsigned areas = 1;

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		struct run *run = runs[i] = stele_run_keep(0, i % 2 ? 2 : 8, false);

		assert_non_null(run);
		assert_int_equal(run->bytes, (i % 2 ? 2 : 8) * FRAME_SIZE);
		assert_int_equal(load_relaxed(area_count(area_of(run->base))), AREA_KEPT);
		assert_int_equal(area_of(run->base), area_of(run->base + run->bytes - 1));
		assert_true(stele_is_never_given((char *)run->base + run->bytes - 1));
		areas += i && run->base != runs[i - 1]->base + runs[i - 1]->bytes;
	}
	assert_int_equal(areas, (MANY * 5 + STELE_KEPT_FRAMES - 1) / STELE_KEPT_FRAMES);
}

static void pages_that_go_back_read_as_zero(void **state)
{
	(void)state;
	memset((void *)runs[0]->base, 0xa5, runs[0]->bytes);
	memset((void *)runs[1]->base, 0x5a, runs[1]->bytes);
	assert_true(stele_run_empty(runs[0]));
	assert_true(all_bytes((void *)runs[0]->base, runs[0]->bytes, 0));
	assert_true(all_bytes((void *)runs[1]->base, runs[1]->bytes, 0x5a));
}

/* A shared library may lie there. Threads read its static data without ownership. */
static void addresses_that_the_heap_has_not_reached_are_not_given(void **state)
{
	(void)state;
	assert_true(stele_span() < stele_system_facts.arena_bytes);
	assert_true(stele_is_never_given(area_memory(0) + stele_span()));
	assert_true(stele_is_never_given(area_memory(0) + stele_system_facts.arena_bytes - 1));
}

static void nobody_gets_frames_there(void **state)
{
	static struct run *taken[MANY];
	bool clean;

	(void)state;
	for (unsigned i = 0; i < MANY; i++) {
		taken[i] = stele_run_take(1 + i % 16, 1, &clean);
		assert_non_null(taken[i]);
		assert_false(stele_is_never_given((void *)taken[i]->base));
		taken[i]->kind = RUN_LARGE;
		stele_run_publish(taken[i]);
	}
	for (unsigned i = 0; i < MANY; i++)
		stele_run_return(taken[i]);
	assert_true(stele_is_never_given(taken[0])); /* a descriptor */
	assert_true(stele_is_never_given(&clean));
	/* Where no area was opened nothing was given: the library itself may lie there. */
	assert_true(stele_is_never_given(area_memory(stele_heap.areas_max - 1)));
}

/* ---- several at once ---- */

#define EACH 1500u
#define THREADS 4u

static struct run *of_thread[THREADS][EACH];

static void *keep_many(void *number)
{
	for (unsigned i = 0; i < EACH; i++) {
		struct run *run = stele_run_keep(0, 4, false);

		if (run)
			store_relaxed((_Atomic uint64_t *)run->base, (uintptr_t)number << 32 | i);
		of_thread[(uintptr_t)number][i] = run;
	}
	return NULL;
}

static void threads_get_runs_of_their_own(void **state)
{
	(void)state;
	meet_inside_steps(true);
	in_threads(THREADS, keep_many);
	meet_inside_steps(false);
	for (unsigned t = 0; t < THREADS; t++)
		for (unsigned i = 0; i < EACH; i++) {
			assert_non_null(of_thread[t][i]);
			assert_int_equal(*(uint64_t *)of_thread[t][i]->base, (uint64_t)t << 32 | i);
		}
}

static unsigned kept_areas(void)
{
	unsigned areas = 0;

	for (uint32_t number = areas_below(AREA_NONE); number != AREA_NONE;
	     number = areas_below(number))
		areas += load_relaxed(area_count(number)) == AREA_KEPT;
	return areas;
}

/* ---- a mapping that is not ours ---- */

static uint32_t
	lost_race; /* the area that a thread took, and that another one was faster to take */
static char *other;
static bool races;

int __wrap_stele_os_unmap(void *p, size_t size);
int __real_stele_os_unmap(void *p, size_t size);

/* In place of the system's (-Wl,--wrap): of an area that is kept, all but the start is unmapped. Then
 * somebody maps a page there, and another thread takes the next area. */
int __wrap_stele_os_unmap(void *p, size_t size)
{
	int error = __real_stele_os_unmap(p, size);

	if (!races || size != AREA_SIZE - STELE_MAP_UNIT)
		return error;
	races = false;
	lost_race = area_of((uintptr_t)p);
	other = mmap((char *)p + AREA_SIZE / 2, FRAME_SIZE, PROT_READ | PROT_WRITE,
		     MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_equal(other, (char *)p + AREA_SIZE / 2);
	*other = 0x3c;
	assert_non_null(stele_run_keep(0, 8, false));
	return error;
}

static void a_thread_that_was_late_leaves_what_is_not_ours(void **state)
{
	(void)state;
	races = true;
	while (races)
		assert_non_null(stele_run_keep(0, 8, false));
	assert_int_equal(load_relaxed(area_count(lost_race)), AREA_CLOSED);
	/* Nothing is mapped over it: it is there still. */
	assert_int_equal(stele_os_map(other, FRAME_SIZE), -EEXIST);
	assert_int_equal(*other, 0x3c);
	/* All that was ours is unmapped. */
	assert_int_equal(stele_os_map(area_memory(lost_race), STELE_MAP_UNIT), 0);
	assert_int_equal(__real_stele_os_unmap(area_memory(lost_race), STELE_MAP_UNIT), 0);
	munmap(other, FRAME_SIZE);
}

/* Last: sheaves cannot be kept after it. */
static void only_a_share_and_vital_runs_are_kept(void **state)
{
	unsigned share = stele_heap.areas_max / 16;

	(void)state;
	while (stele_run_keep(0, 8, false))
		;
	assert_int_equal(kept_areas(), share);
	/* Caches have what is left of the last area first. */
	for (unsigned i = 0; i < 64 / 8; i++)
		assert_non_null(stele_run_keep(0, 8, true));
	assert_int_equal(kept_areas(), share);
	assert_non_null(stele_run_keep(0, 8, true));
	assert_int_equal(kept_areas(), share + 1);
	assert_null(stele_run_keep(0, 8, false));
	assert_non_null(stele_large_alloc(AREA_SIZE, FRAME_SIZE, false));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(runs_lie_side_by_side_in_areas_of_their_own),
		cmocka_unit_test(pages_that_go_back_read_as_zero),
		cmocka_unit_test(addresses_that_the_heap_has_not_reached_are_not_given),
		cmocka_unit_test(nobody_gets_frames_there),
		cmocka_unit_test(threads_get_runs_of_their_own),
		cmocka_unit_test(a_thread_that_was_late_leaves_what_is_not_ours),
		cmocka_unit_test(only_a_share_and_vital_runs_are_kept),
	};

	/* So that a share is soon used up. */
	setenv("STELE_ARENA_SIZE", "4g", 1);
	return cmocka_run_group_tests(tests, setup, NULL);
}
