/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/area.h, against a model that a child could check: an array of owners.
 */
#include "page/area.h"

#include "../unit.h"

#define THREADS 4
#define ROUNDS 8000

static struct area area;
static _Atomic uint32_t count;
static _Atomic uint32_t owner[AREA_FRAMES];
static _Atomic uint32_t wrong;

static int setup(void **state)
{
	(void)state;
	memset(&area, 0, sizeof(area));
	memset(owner, 0, sizeof(owner));
	store_relaxed(&count, AREA_OPEN);
	return 0;
}

static bool used(unsigned frame)
{
	return load_relaxed(&area.used[frame / 64]) >> frame % 64 & 1;
}

static int slow_find(uint64_t free, unsigned n, unsigned align)
{
	for (unsigned bit = 0; bit + n <= 64; bit += align)
		if ((free & bits_mask(bit, n)) == bits_mask(bit, n))
			return (int)bit;
	return 64;
}

static void the_lowest_free_run_is_found(void **state)
{
	uint32_t seed = 1;

	(void)state;
	for (int i = 0; i < 20000; i++) {
		uint64_t free = (uint64_t)unit_random(&seed) << 40 ^
				(uint64_t)unit_random(&seed) << 20 ^ unit_random(&seed);
		unsigned n = 1 + unit_random(&seed) % (i % 2 ? 4 : 64);
		unsigned align = 1u << unit_random(&seed) % 7;

		free |= i % 3 ? 0 : bits_mask(unit_random(&seed) % 32, 32);
		assert_int_equal(find_run(free, n, align), slow_find(free, n, align));
	}
	assert_int_equal(find_run(~0ull, 64, 64), 0);
	assert_int_equal(find_run(0, 1, 1), 64);
}

static void no_more_is_claimed_than_there_is(void **state)
{
	(void)state;
	assert_true(area_claim(&count, 500));
	assert_false(area_claim(&count, 13));
	assert_true(area_claim(&count, 12));
	assert_false(area_claim(&count, 1));
	area_unclaim(&count, 512);
	assert_true(area_claim(&count, 512));
	assert_false(area_take_whole(&count, AREA_HUGE));
	area_unclaim(&count, 512);
	assert_true(area_take_whole(&count, AREA_HUGE));
	assert_false(area_claim(&count, 1));
	assert_false(area_take_whole(&count, AREA_HUGE));
	store_relaxed(&count, AREA_OPEN);
	assert_true(area_claim(&count, 1));
}

static void every_length_and_alignment_is_taken_and_returned(void **state)
{
	(void)state;
	for (unsigned n = 1; n <= AREA_FRAMES; n++) {
		for (unsigned align = 1; align <= AREA_FRAMES; align *= 2) {
			int first;

			assert_true(area_claim(&count, n));
			first = area_take(&area, n, align);
			assert_int_equal(first, 0);
			for (unsigned i = 0; i < AREA_FRAMES; i++)
				assert_int_equal(used(i), i < n);
			area_return(&area, &count, 0, n);
			assert_int_equal(load_relaxed(&count), AREA_OPEN);
		}
	}
	for (unsigned w = 0; w < AREA_WORDS; w++)
		assert_int_equal(load_relaxed(&area.used[w]), 0);
}

static void a_collision_leaves_nothing_behind(void **state)
{
	(void)state;
	store_relaxed(&area.used[3], 1ull << 9); /* frame 201 */
	assert_false(take_at(&area, 64, 200));
	assert_false(take_at(&area, 201, 1));
	assert_true(take_at(&area, 65, 136));
	assert_false(take_at(&area, 202 - 64, 64 + 64));
	for (unsigned i = 0; i < AREA_FRAMES; i++)
		assert_int_equal(used(i), i >= 65 && i <= 201);
	return_bits(&area, 65, 136);
	for (unsigned i = 0; i < AREA_FRAMES; i++)
		assert_int_equal(used(i), i == 201);
}

static void a_full_area_has_nothing_to_give(void **state)
{
	(void)state;
	for (unsigned i = 0; i < AREA_FRAMES; i++)
		assert_int_equal(area_take(&area, 1, 1), i);
	assert_int_equal(area_take(&area, 1, 1), -1);
	assert_int_equal(area_take(&area, 100, 1), -1);
	return_bits(&area, 130, 60);
	assert_int_equal(area_take(&area, 61, 1), -1);
	assert_int_equal(area_take(&area, 32, 32), -1);
	assert_int_equal(area_take(&area, 16, 16), 144);
	assert_int_equal(area_take(&area, 14, 1), 130);
}

/* Takes and returns runs at random; every frame of a run must be nobody's. */
static void *take_and_return(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg + 1, seed = me;

	for (int i = 0; i < ROUNDS; i++) {
		unsigned n = 1 + unit_random(&seed) % (i % 8 ? 16 : 200);
		unsigned align = 1u << unit_random(&seed) % 5;
		int first;

		if (!area_claim(&count, n))
			continue;
		first = area_take(&area, n, align);
		if (first < 0) {
			area_unclaim(&count, n);
			continue;
		}
		if ((unsigned)first % align || (unsigned)first + n > AREA_FRAMES)
			add_relaxed(&wrong, 1);
		for (unsigned k = 0; k < n; k++)
			if (atomic_exchange(&owner[(unsigned)first + k], me) != 0)
				add_relaxed(&wrong, 1);
		for (unsigned k = 0; k < n; k++)
			if (atomic_exchange(&owner[(unsigned)first + k], 0) != me)
				add_relaxed(&wrong, 1);
		area_return(&area, &count, (unsigned)first, n);
	}
	return NULL;
}

static void no_frame_has_two_owners_and_none_is_lost(void **state)
{
	(void)state;
	meet_inside_steps(true);
	in_threads(THREADS, take_and_return);
	meet_inside_steps(false);
	assert_int_equal(load_relaxed(&wrong), 0);
	assert_int_equal(load_relaxed(&count), AREA_OPEN);
	for (unsigned w = 0; w < AREA_WORDS; w++)
		assert_int_equal(load_relaxed(&area.used[w]), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(the_lowest_free_run_is_found, setup),
		cmocka_unit_test_setup(no_more_is_claimed_than_there_is, setup),
		cmocka_unit_test_setup(every_length_and_alignment_is_taken_and_returned, setup),
		cmocka_unit_test_setup(a_collision_leaves_nothing_behind, setup),
		cmocka_unit_test_setup(a_full_area_has_nothing_to_give, setup),
		cmocka_unit_test_setup(no_frame_has_two_owners_and_none_is_lost, setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
