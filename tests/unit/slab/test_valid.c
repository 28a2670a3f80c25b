/* SPDX-License-Identifier: MIT */
/*
 * Tests of slab/valid.c: each invariant that is broken by hand is named, and all is well otherwise.
 */
#include "slab/bitmap.h"
#include "slab/geometry.h"
#include "slab/slabs.h"
#include "slab/valid.h"

#include "../unit.h"

static struct kmem_cache cache;
static void *object;
static struct run *run;

static int take_one(void **state)
{
	(void)state;
	if (stele_heap_start() != 0)
		return -1;
	stele_slab_boot(&cache, "valid", 96, 8, SLAB_NO_MERGE | SLAB_NO_SHEAVES);
	object = stele_slabs_take_one(&cache, 0, EFFORT_USUAL);
	run = object ? stele_run_of(object) : NULL;
	return run ? 0 : -1;
}

static void assert_whole(void)
{
	assert_null(stele_slab_valid(run));
	assert_null(stele_slabs_valid());
}

/* Named for the slab and among all of them, while @field has @value. */
#define assert_found(field, value, fault)                                                          \
	do {                                                                                       \
		__typeof__(field) right = (field);                                                 \
		assert_whole();                                                                    \
		(field) = (value);                                                                 \
		assert_string_equal(stele_slab_valid(run), fault);                                 \
		assert_string_equal(stele_slabs_valid(), fault);                                   \
		(field) = right;                                                                   \
		assert_whole();                                                                    \
	} while (0)

static void a_slab_unlike_its_cache_is_found(void **state)
{
	const char *other = "slab: its objects are not those of its cache";

	(void)state;
	assert_found(run->objects, run->objects - 1, other);
	assert_found(run->recip, run->recip + 1, other);
	assert_found(run->size, run->size - 8, other);
	assert_found(cache.frames, cache.frames + 1,
		     "slab: it is longer or shorter than those of its cache");
}

static void a_wrong_count_or_bitmap_is_found(void **state)
{
	(void)state;
	assert_found(run->state, run->state + 1, "slab: more objects are counted free than are");
	assert_found(run->state, run->state | STATE_DEAD, "slab: it is dead, and has frames");
	assert_found(run->free[7], 1ull << 63, "slab: more objects are free than there are");
}

static void a_slab_is_whole_at_every_step_of_its_life(void **state)
{
	void *all[512];
	unsigned n = 0;

	(void)state;
	while (n < cache.objects + 3u) {
		all[n] = stele_slabs_take_one(&cache, 0, EFFORT_USUAL);
		assert_non_null(all[n]);
		assert_null(stele_slab_valid(stele_run_of(all[n])));
		n++;
	}
	while (n--) {
		stele_slabs_give_one(&cache, all[n], EFFORT_USUAL);
		assert_whole();
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slab_unlike_its_cache_is_found),
		cmocka_unit_test(a_wrong_count_or_bitmap_is_found),
		cmocka_unit_test(a_slab_is_whole_at_every_step_of_its_life),
	};

	return cmocka_run_group_tests(tests, take_one, NULL);
}
