/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/large.c, page/huge.c and page/resize.c: exact sizes, zeros where asked for,
 * contents kept by every way of growing and shrinking.
 */
#include "pages.h"

static void *alloc(size_t bytes, size_t align, bool zero)
{
	return stele_large_alloc(bytes, align, zero);
}

static void give_back(void *p)
{
	struct run *run = stele_run_of(p);

	assert_non_null(run);
	assert_ptr_equal((void *)run->base, p);
	stele_large_free(run);
}

/* Each word tells its place, so that a page put elsewhere is seen. */
static void write_places(void *p, size_t bytes)
{
	for (size_t i = 0; i < bytes / 8; i += 64)
		((uint64_t *)p)[i] = i + 1;
}

static bool has_places(const void *p, size_t bytes)
{
	for (size_t i = 0; i < bytes / 8; i += 64)
		if (((const uint64_t *)p)[i] != i + 1)
			return false;
	return true;
}

static void every_size_is_usable_to_its_end(void **state)
{
	static const size_t sizes[] = { 1,	 4096,	  4097,	       65536,	MIB - 1, MIB,
					MIB + 1, 2 * MIB, 2 * MIB + 1, 5 * MIB, 40 * MIB };

	(void)state;
	for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		char *p = alloc(sizes[i], 1, false);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % stele_page_size(), 0);
		assert_true(stele_large_usable(stele_run_of(p)) >= sizes[i]);
		p[0] = p[sizes[i] - 1] = 1;
		give_back(p);
	}
}

static void alignment_asked_for_is_given(void **state)
{
	(void)state;
	for (size_t align = 4096; align <= 16 * MIB; align *= 2) {
		void *small = alloc(5000, align, false), *big = alloc(3 * MIB, align, false);

		assert_non_null(small);
		assert_non_null(big);
		assert_int_equal((uintptr_t)small % align, 0);
		assert_int_equal((uintptr_t)big % align, 0);
		give_back(small);
		give_back(big);
	}
}

static void zeroed_memory_is_zero_after_any_use(void **state)
{
	static const size_t sizes[] = { 4096, 70000, MIB, 3 * MIB + 5, 40 * MIB };

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (unsigned i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
			char *p = alloc(sizes[i], 1, true);

			assert_non_null(p);
			assert_true(all_bytes(p, sizes[i], 0));
			memset(p, 0xcd, sizes[i]);
			give_back(p);
		}
	}
}

static void too_much_is_refused(void **state)
{
	(void)state;
	assert_null(alloc(PTRDIFF_MAX, 1, false));
	assert_null(alloc(SIZE_MAX, 1, false));
	assert_null(alloc(1ul << 50, 1, false));
	assert_null(alloc(4096, 1ul << 60, false));
	assert_null(alloc(stele_system_facts.arena_bytes + 1, 1, false));
}

static void shrinking_gives_the_tail_back(void **state)
{
	char *p = alloc(100 * 4096, 1, false), *huge = alloc(9 * MIB, 1, false);
	unsigned areas = areas_in_use();

	(void)state;
	write_places(p, 10 * 4096);
	assert_ptr_equal(stele_large_resize(p, 10 * 4096, false), p);
	assert_int_equal(stele_run_of(p)->bytes, 10 * 4096);
	assert_null(stele_run_of(p + 10 * 4096));
	assert_true(has_places(p, 10 * 4096));
	write_places(huge, 3 * MIB);
	assert_ptr_equal(stele_large_resize(huge, 3 * MIB, false), huge);
	assert_true(areas_in_use() <= areas - 3);
	assert_true(has_places(huge, 3 * MIB));
	give_back(p);
	give_back(huge);
}

static void growing_in_place_keeps_the_contents(void **state)
{
	char *p = alloc(4096, 1, false), *huge;

	(void)state;
	write_places(p, 4096);
	assert_ptr_equal(stele_large_resize(p, 50 * 4096, false), p);
	assert_true(has_places(p, 4096));
	write_places(p, 50 * 4096);
	huge = alloc(2 * MIB, 1, false);
	write_places(huge, 2 * MIB);
	assert_ptr_equal(stele_large_resize(huge, 7 * MIB, false), huge);
	assert_true(has_places(huge, 2 * MIB));
	write_places(huge, 7 * MIB);
	give_back(p);
	give_back(huge);
}

static void a_block_in_the_way_makes_a_resize_move_or_fail(void **state)
{
	char *p = alloc(2 * MIB, 1, false), *wall = alloc(2 * MIB, 1, false), *moved;

	(void)state;
	write_places(p, 2 * MIB);
	write_places(wall, 2 * MIB);
	if (wall != p + 2 * MIB) { /* the other way round, then */
		char *other = p;

		p = wall;
		wall = other;
	}
	assert_ptr_equal(wall, p + 2 * MIB);
	assert_null(stele_large_resize(p, 6 * MIB, false));
	assert_true(has_places(p, 2 * MIB));
	moved = stele_large_resize(p, 6 * MIB, true);
	assert_non_null(moved);
	assert_ptr_not_equal(moved, p);
	assert_null(stele_run_of(p));
	assert_true(has_places(moved, 2 * MIB));
	assert_true(has_places(wall, 2 * MIB));
	give_back(moved);
	give_back(wall);
}

static void memory_left_by_a_move_is_clean_where_it_says_so(void **state)
{
	(void)state;
	for (int round = 0; round < 4; round++) {
		char *p = alloc(2 * MIB, 1, true), *wall = alloc(2 * MIB, 1, true), *moved;

		assert_true(all_bytes(p, 2 * MIB, 0));
		assert_true(all_bytes(wall, 2 * MIB, 0));
		memset(p, 0x77, 2 * MIB);
		moved = stele_large_resize(p, 8 * MIB, true);
		assert_non_null(moved);
		assert_true(all_bytes(moved, 2 * MIB, 0x77));
		give_back(wall);
		give_back(moved);
	}
}

static void frames_cut_off_do_not_come_back_as_clean(void **state)
{
	static const size_t smaller[] = { 3 * MIB, 6 * MIB, 7 * MIB, 8 * MIB - 4096 };

	(void)state;
	for (unsigned i = 0; i < sizeof(smaller) / sizeof(smaller[0]); i++) {
		char *p;

		stele_purge(0);
		p = alloc(8 * MIB, 1, false);
		memset(p, 0x66, 8 * MIB);
		assert_ptr_equal(stele_large_resize(p, smaller[i], false), p);
		give_back(p);
		p = alloc(8 * MIB, 1, true);
		assert_true(all_bytes(p, 8 * MIB, 0));
		give_back(p);
	}
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
}

static void a_failed_resize_leaves_everything(void **state)
{
	char *p = alloc(3 * MIB, 1, false);

	(void)state;
	write_places(p, 3 * MIB);
	stele_inject_page_fail = -1;
	assert_null(stele_large_resize(p, 30 * MIB, true));
	stele_inject_page_fail = 0;
	assert_null(stele_large_resize(p, 1ul << 50, true));
	assert_null(stele_large_resize(p, 0, true));
	assert_null(stele_large_resize(p + 4096, 4 * MIB, true));
	assert_true(has_places(p, 3 * MIB));
	assert_int_equal(stele_run_of(p)->bytes, 3 * MIB);
	give_back(p);
}

static void every_place_that_asks_for_memory_may_fail(void **state)
{
	(void)state;
	for (int n = 1; n <= 4; n++) {
		void *small, *big;

		stele_inject_page_fail = n;
		small = alloc(30000, 1, true);
		big = alloc(5 * MIB, 1, true);
		stele_inject_page_fail = 0;
		assert_true(!small == (n <= 1));
		assert_true(!big == (n <= 2));
		if (small)
			give_back(small);
		if (big)
			give_back(big);
		assert_int_equal(stele_page_stats().used, 0);
		assert_int_equal(areas_in_use(), 0);
	}
}

static void the_count_of_dirty_frames_is_right_after_all_that(void **state)
{
	uint32_t seed = 3;
	char *p[8] = { NULL };

	(void)state;
	for (int i = 0; i < 300; i++) {
		unsigned at = unit_random(&seed) % 8;
		size_t bytes = 4096 + unit_random(&seed) % (i % 2 ? 6 * MIB : MIB);
		void *moved = p[at] ? stele_large_resize(p[at], bytes, true) : NULL;

		if (moved) {
			p[at] = moved;
		} else if (p[at]) {
			give_back(p[at]);
			p[at] = NULL;
		} else {
			p[at] = alloc(bytes, 1, false);
		}
		if (p[at])
			memset(p[at], 1, 4096);
	}
	for (int i = 0; i < 8; i++)
		if (p[i])
			give_back(p[i]);
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		page_test(every_size_is_usable_to_its_end),
		page_test(alignment_asked_for_is_given),
		page_test(zeroed_memory_is_zero_after_any_use),
		page_test(too_much_is_refused),
		page_test(shrinking_gives_the_tail_back),
		page_test(growing_in_place_keeps_the_contents),
		page_test(a_block_in_the_way_makes_a_resize_move_or_fail),
		page_test(memory_left_by_a_move_is_clean_where_it_says_so),
		page_test(frames_cut_off_do_not_come_back_as_clean),
		page_test(a_failed_resize_leaves_everything),
		page_test(every_place_that_asks_for_memory_may_fail),
		page_test(the_count_of_dirty_frames_is_right_after_all_that),
	};

	return small_arena("128m") != 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
