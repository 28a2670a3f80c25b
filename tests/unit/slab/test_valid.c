/* SPDX-License-Identifier: MIT */
/*
 * Tests of slab/valid.c: each invariant that is broken by hand is named, and all is well otherwise.
 */
#include "slab/bitmap.h"
#include "slab/geometry.h"
#include "slab/object.h"
#include "slab/parts.h"
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

/* Named for the cache while @field has @value. */
#define assert_unlike(s, field, value, fault)                                                      \
	do {                                                                                       \
		__typeof__((s)->field) right = (s)->field;                                         \
		assert_null(stele_geometry_valid(s));                                              \
		(s)->field = (value);                                                              \
		assert_string_equal(stele_geometry_valid(s), fault);                               \
		(s)->field = right;                                                                \
		assert_null(stele_geometry_valid(s));                                              \
	} while (0)

static void a_cache_whose_numbers_do_not_agree_is_found(void **state)
{
	const char *distance =
		"cache: the distance of objects does not fit their size and alignment";
	const char *room = "cache: a slab has room for more objects, or for fewer";
	const char *area = "cache: no area has room for its slabs";
	const char *name = "cache: the name is not its own, or has no end";
	char unended[CACHE_NAME_MAX];

	(void)state;
	assert_unlike(&cache, name_at, "valid", name);
	memcpy(unended, cache.name, sizeof(unended));
	memset(cache.name, 'x', sizeof(cache.name));
	assert_string_equal(stele_geometry_valid(&cache), name);
	memcpy(cache.name, unended, sizeof(unended));
	assert_unlike(&cache, flags, cache.flags | 0x01000000u, "cache: a flag is unknown");
	assert_unlike(&cache, align, 24, "cache: the alignment is no power of two");
	assert_unlike(&cache, align, 0, "cache: the alignment is no power of two");
	assert_unlike(&cache, size, 100, distance);
	assert_unlike(&cache, size, 88, distance);
	assert_unlike(&cache, size, 0, distance);
	assert_unlike(&cache, object_size, 97, distance);
	assert_unlike(&cache, size, 104, "cache: the reciprocal is not that of its size");
	assert_unlike(&cache, recip, cache.recip + 1,
		      "cache: the reciprocal is not that of its size");
	assert_unlike(&cache, frames, 0, area);
	assert_unlike(&cache, frames, AREA_FRAMES + 1, area);
	assert_unlike(&cache, run_align, 0, area);
	assert_unlike(&cache, run_align, AREA_FRAMES, area);
	assert_unlike(&cache, objects, cache.objects + 1, room);
	assert_unlike(&cache, objects, cache.objects - 1, room);
	assert_unlike(&cache, objects, 0, room);
	assert_unlike(&cache, frames, cache.frames + 1, room);
}

static void a_layout_that_the_flags_do_not_ask_for_is_found(void **state)
{
	const char *records = "cache: objects have records that are not asked for, or lack them";
	const char *place = "cache: the first object, or its record, lies where none does";
	static struct kmem_cache checked;

	(void)state;
	assert_unlike(&cache, meta, 8, records);
	assert_unlike(&cache, first, 8, place);
	stele_slab_boot(&checked, "checked", 96, 8, SLAB_NO_SHEAVES | SLAB_RED_ZONE);
	assert_unlike(&checked, meta, 0, records);
	assert_unlike(&checked, meta, checked.size, place);
	assert_unlike(&checked, first, 4, place);
}

static void facts_of_another_size_are_found(void **state)
{
	const char *own = "cache: the facts of fast frees are not those of its size";
	const char *beside = "cache: the facts beside its words are another cache's";
	static struct kmem_cache fast;
	struct object_facts *facts;

	(void)state;
	stele_slab_boot(&fast, "fast", 64, 8, SLAB_NO_MERGE);
	fast.words = 8 * STELE_WORDS_SIZE;
	stele_slab_facts(&fast);
	facts = facts_at(fast.words);
	assert_true(fast.fast_recip && fast.fast_limit);
	assert_unlike(&fast, fast_recip, fast.fast_recip - 1, own);
	assert_unlike(&fast, fast_recip, 0, own);
	assert_unlike(&fast, fast_limit, fast.fast_limit + 1, own);
	assert_unlike(&fast, words, 0, own);
	assert_unlike(&fast, words, 9 * STELE_WORDS_SIZE, beside);
	for (unsigned i = 0; i < 3; i++) {
		uint32_t *fact = i == 0 ? &facts->recip : i == 1 ? &facts->limit : &facts->size;

		++*fact;
		assert_string_equal(stele_geometry_valid(&fast), beside);
		--*fact;
		assert_null(stele_geometry_valid(&fast));
	}
}

/* Named for the partial stacks while @field has @value. */
#define assert_misplaced(field, value, fault)                                                      \
	do {                                                                                       \
		__typeof__(field) right = (field);                                                 \
		assert_null(stele_partial_valid(&cache));                                          \
		(field) = (value);                                                                 \
		assert_string_equal(stele_partial_valid(&cache), fault);                           \
		(field) = right;                                                                   \
		assert_null(stele_partial_valid(&cache));                                          \
	} while (0)

static void a_partial_stack_with_a_stranger_is_found(void **state)
{
	uint64_t me = stack_index(stele_hot.base, &run->link);

	(void)state;
	assert_int_equal(STELE_STACK_INDEX(load_relaxed(&cache.partial.head)), me);
	assert_misplaced(run->kind, RUN_LARGE, "partial: a descriptor on the stack is no slab's");
	assert_misplaced(run->cache, &stele_no_cache,
			 "partial: a slab of another cache is on the stack");
	assert_misplaced(run->state, run->state & ~STATE_LISTED,
			 "partial: a slab on the stack says that it is on none");
	assert_misplaced(run->link.next, me, "partial: the stack is a circle");
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
		assert_null(stele_partial_valid(&cache));
		n++;
	}
	while (n--) {
		stele_slabs_give_one(&cache, all[n], EFFORT_USUAL);
		assert_whole();
		assert_null(stele_partial_valid(&cache));
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_slab_unlike_its_cache_is_found),
		cmocka_unit_test(a_wrong_count_or_bitmap_is_found),
		cmocka_unit_test(a_cache_whose_numbers_do_not_agree_is_found),
		cmocka_unit_test(a_layout_that_the_flags_do_not_ask_for_is_found),
		cmocka_unit_test(facts_of_another_size_are_found),
		cmocka_unit_test(a_partial_stack_with_a_stranger_is_found),
		cmocka_unit_test(a_slab_is_whole_at_every_step_of_its_life),
	};

	return cmocka_run_group_tests(tests, take_one, NULL);
}
