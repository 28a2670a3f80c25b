/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/valid.c: each invariant that is broken by hand is named, and all is well otherwise.
 */
#include "page/areas.h"
#include "page/run.h"
#include "page/valid.h"
#include "pages.h"

static void *block;
static struct run *run;

static int take_a_block(void **state)
{
	(void)state;
	block = stele_large_alloc(100000, 1, false);
	run = block ? stele_run_of(block) : NULL;
	return run ? 0 : -1;
}

static int give_it_back(void **state)
{
	(void)state;
	stele_large_free(run);
	return 0;
}

#define assert_whole()                                                                             \
	do {                                                                                       \
		assert_null(stele_run_valid(run));                                                 \
		assert_null(stele_heap_valid());                                                   \
	} while (0)

/* Named for the run and for the whole heap, while @field has @value. */
#define assert_found(field, value, fault)                                                          \
	do {                                                                                       \
		__typeof__(field) right = (field);                                                 \
		assert_whole();                                                                    \
		(field) = (value);                                                                 \
		assert_string_equal(stele_run_valid(run), fault);                                  \
		assert_string_equal(stele_heap_valid(), fault);                                    \
		(field) = right;                                                                   \
		assert_whole();                                                                    \
	} while (0)

static void a_run_that_does_not_fit_is_found(void **state)
{
	(void)state;
	assert_found(run->kind, 99, "run: the kind is none");
	assert_found(run->base, run->base + 1, "run: it does not lie in the arena");
	assert_found(run->base, (uintptr_t)stele_hot.base, "run: it does not lie in the arena");
	assert_found(run->bytes, run->bytes + (1 << 20), "run: more bytes than its frames have");
	assert_found(run->frames, 0, "run: more bytes than its frames have");
}

static void a_wrong_entry_of_the_page_map_is_found(void **state)
{
	_Atomic uint32_t *last = ref_entry(map_index(run->base) + run->frames - 1);
	uint32_t before = load_relaxed(last);

	(void)state;
	assert_whole();
	store_relaxed(last, before + sizeof(struct run) / 8);
	assert_string_equal(stele_run_valid(run), "run: the page map leads to another descriptor");
	store_relaxed(last, before);
	assert_found(run->tag, 4711, "run: the page map has another tag");
}

static void a_frame_with_two_owners_is_found(void **state)
{
	uint32_t number = area_of(run->base);
	unsigned frame = (unsigned)(frame_of(run->base) % AREA_FRAMES);
	_Atomic uint64_t *word = &area_at(number)->used[frame / 64];
	uint64_t before = load_relaxed(word);

	(void)state;
	store_relaxed(word, before & ~(1ull << frame % 64));
	assert_string_equal(stele_run_valid(run), "run: a frame is free");
	store_relaxed(word, before);
	assert_whole();
}

static void a_wrong_count_of_an_area_is_found(void **state)
{
	uint32_t number = area_of(run->base), before = load_relaxed(area_count(number));
	static const struct {
		uint32_t count;
		const char *fault;
	} wrong[] = {
		{ AREA_OPEN, "area: more bits are set than frames are claimed" },
		{ AREA_OPEN + AREA_FRAMES + 1, "area: the count is no state" },
		{ AREA_BUSY, "area: in the hands of a thread" },
		{ AREA_MET, "area: in the hands of a thread" },
		{ 7, "area: the count is no state" },
	};

	(void)state;
	for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
		store_relaxed(area_count(number), wrong[i].count);
		assert_string_equal(stele_area_valid(number), wrong[i].fault);
		assert_string_equal(stele_heap_valid(), wrong[i].fault);
		store_relaxed(area_count(number), before);
		assert_whole();
	}
	assert_string_equal(stele_area_valid(stele_heap.areas_max),
			    "area: the number is too large");
}

static void blocks_of_every_size_are_whole(void **state)
{
	(void)state;
	for (size_t bytes = 4096; bytes < 64u << 20; bytes = bytes * 3 + 4096) {
		void *p = stele_large_alloc(bytes, 1, false);

		assert_null(stele_run_valid(stele_run_of(p)));
		assert_null(stele_heap_valid());
		stele_large_free(stele_run_of(p));
		assert_whole();
	}
	stele_purge(0);
	assert_whole();
}

#define WITH_A_BLOCK(name) cmocka_unit_test_setup_teardown(name, take_a_block, give_it_back)

int main(void)
{
	const struct CMUnitTest tests[] = {
		WITH_A_BLOCK(a_run_that_does_not_fit_is_found),
		WITH_A_BLOCK(a_wrong_entry_of_the_page_map_is_found),
		WITH_A_BLOCK(a_frame_with_two_owners_is_found),
		WITH_A_BLOCK(a_wrong_count_of_an_area_is_found),
		WITH_A_BLOCK(blocks_of_every_size_are_whole),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
