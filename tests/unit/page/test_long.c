/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/rooms.c: blocks above an area lie side by side in areas that are open, to the
 * frame, and keep their contents when they grow and shrink.
 */
#include "page/large.h"
#include "pages.h"

#define FRAMES(bytes) ((bytes) / FRAME_SIZE)

static char *alloc(size_t bytes, bool zero)
{
	char *p = stele_large_alloc(bytes, 1, zero);

	assert_non_null(p);
	return p;
}

static void give_back(void *p)
{
	struct run *run = stele_run_of(p);

	assert_non_null(run);
	assert_ptr_equal((void *)run->base, p);
	stele_large_free(run);
}

/* Areas that were in use are open afterwards, and hold these bytes. */
static void open_areas(size_t bytes, int value)
{
	char *p = alloc(bytes, false);

	memset(p, value, bytes);
	give_back(p);
}

static bool is_exact(const void *p)
{
	return stele_run_of(p)->kind == RUN_LARGE;
}

static void blocks_of_some_mib_lie_side_by_side(void **state)
{
	size_t bytes = 5 * MIB / 2;
	char *first, *second, *third;

	(void)state;
	open_areas(16 * MIB, 1);
	first = alloc(bytes, false);
	second = alloc(bytes + 4096, false);
	third = alloc(bytes, false);
	assert_true(is_exact(first) && is_exact(second) && is_exact(third));
	assert_ptr_equal(second, first + bytes);
	assert_ptr_equal(third, second + bytes + 4096);
	give_back(second);
	assert_ptr_equal(alloc(bytes + 4096, false), second);
	give_back(first);
	give_back(second);
	give_back(third);
}

/* 300 frames end one area, and 300 begin the next: no area is empty. */
static void a_row_over_one_border_serves(void **state)
{
	char *low, *row, *high, *again;

	(void)state;
	open_areas(4 * MIB, 1);
	low = alloc(212 * FRAME_SIZE, false);
	row = alloc(600 * FRAME_SIZE, false);
	high = alloc(212 * FRAME_SIZE, false);
	assert_ptr_equal(row, low + 212 * FRAME_SIZE);
	assert_ptr_equal(high, row + 600 * FRAME_SIZE);
	give_back(row);
	again = alloc(600 * FRAME_SIZE, false);
	assert_ptr_equal(again, row);
	give_back(low);
	give_back(high);
	give_back(again);
}

static void a_zeroed_block_is_zero_where_another_was(void **state)
{
	char *p;

	(void)state;
	open_areas(9 * MIB, 0xee);
	p = alloc(5 * MIB, true);
	assert_true(is_exact(p));
	assert_true(all_bytes(p, 5 * MIB, 0));
	give_back(p);
}

static void a_zeroed_block_touches_no_frame_that_is_clean(void **state)
{
	char *low, *p;

	(void)state;
	stele_purge(0);
	give_back(alloc(12 * MIB, false)); /* which marks its frames dirty */
	stele_purge(0);
	open_areas(3 * MIB, 0xee);
	low = alloc(MIB, false);
	p = alloc(8 * MIB, true);
	assert_true(all_bytes(p, 8 * MIB, 0));
	give_back(low);
	give_back(p);
}

static void each_frame_leads_to_a_block_that_was_cut_short(void **state)
{
	char *p, *next;

	(void)state;
	open_areas(16 * MIB, 1);
	p = alloc(6 * MIB, false);
	memset(p, 0x5a, MIB);
	assert_true(is_exact(p));
	assert_ptr_equal(stele_large_resize(p, MIB, false), p);
	assert_ptr_equal(stele_run_of(p + MIB - 1), stele_run_of(p));
	assert_null(stele_run_of(p + MIB));
	next = alloc(5 * MIB, false);
	assert_ptr_equal(next, p + MIB);
	assert_true(all_bytes(p, MIB, 0x5a));
	give_back(next);
	give_back(p);
}

static void a_large_block_grows_in_place_while_frames_behind_are_free(void **state)
{
	char *p;

	(void)state;
	open_areas(16 * MIB, 1);
	p = alloc(3 * MIB, false);
	memset(p, 0x11, 3 * MIB);
	assert_ptr_equal(stele_large_resize(p, 3 * MIB + 4096, false), p);
	assert_ptr_equal(stele_large_resize(p, 9 * MIB, false), p);
	assert_true(is_exact(p));
	assert_int_equal(stele_run_of(p)->bytes, 9 * MIB);
	assert_true(all_bytes(p, 3 * MIB, 0x11));
	give_back(p);
}

static void a_large_block_is_copied_once_and_then_moves_by_pages(void **state)
{
	char *p, *wall, *moved;

	(void)state;
	open_areas(16 * MIB, 1);
	p = alloc(3 * MIB, false);
	wall = alloc(3 * MIB, false);
	memset(p, 0x22, 3 * MIB);
	memset(wall, 0x33, 3 * MIB);
	assert_null(stele_large_resize(p, 4 * MIB, false));
	moved = stele_large_resize(p, 4 * MIB, true);
	assert_non_null(moved);
	assert_false(is_exact(moved));
	assert_null(stele_run_of(p));
	assert_true(all_bytes(moved, 3 * MIB, 0x22));
	assert_true(all_bytes(wall, 3 * MIB, 0x33));
	give_back(moved);
	give_back(wall);
}

/* No area is open yet. A block whose last area would be half empty leaves the rest of it to the next
 * one, and begins where the one before ends. */
static void first_blocks_leave_no_tails(void **state)
{
	size_t bytes = 5 * MIB / 2;
	char *first, *second, *third;

	(void)state;
	stele_purge(0);
	first = alloc(bytes, false);
	second = alloc(bytes, false);
	third = alloc(bytes, false);
	assert_true(is_exact(first) && is_exact(second) && is_exact(third));
	assert_ptr_equal(second, first + bytes);
	assert_ptr_equal(third, second + bytes);
	assert_int_equal(load_relaxed(&stele_heap.mapped), 4);
	give_back(first);
	give_back(second);
	give_back(third);
}

/* An eighth is not much. Whole areas move by page tables, and grow in place. */
static void a_block_that_fills_its_areas_gets_them_whole(void **state)
{
	char *p, *half;

	(void)state;
	stele_purge(0);
	p = alloc(16 * MIB + 4096, false);
	assert_false(is_exact(p));
	give_back(p);
	stele_purge(0);
	p = alloc(4 * MIB - 64 * FRAME_SIZE, false);
	assert_false(is_exact(p));
	half = alloc(3 * MIB, false);
	assert_true(is_exact(half));
	give_back(half);
	give_back(p);
}

/* The lowest closed areas in a row serve, though others behind them are in use. */
static void a_large_block_is_opened_in_the_lowest_hole(void **state)
{
	struct stele_zone *zone = &stele_heap.zones[0];
	int64_t wall[3];
	char *p;

	(void)state;
	stele_purge(0);
	for (int i = 0; i < 3; i++)
		assert_true((wall[i] = stele_areas_take(zone, 2, 1, 0)) >= 0);
	assert_true(stele_areas_close((uint32_t)wall[1], 2));
	p = alloc(5 * MIB / 2, false);
	assert_true(is_exact(p));
	assert_ptr_equal(p, area_memory((uint32_t)wall[1]));
	give_back(p);
	stele_areas_return((uint32_t)wall[0], 2);
	stele_areas_return((uint32_t)wall[2], 2);
}

/* A program that replaces blocks of mixed sizes at random takes hardly more memory than was live at
 * once. */
static void replacing_blocks_leaves_few_holes(void **state)
{
	size_t live = 0, most = 0, dirty;
	char *p[16] = { NULL };
	size_t bytes[16] = { 0 };
	uint32_t seed = 5;

	(void)state;
	stele_purge(0);
	for (int i = 0; i < 400; i++) {
		unsigned at = unit_random(&seed) % 16;

		if (p[at])
			give_back(p[at]);
		live -= bytes[at];
		bytes[at] = (256 + unit_random(&seed) % 768) * FRAME_SIZE;
		live += bytes[at];
		most = live > most ? live : most;
		p[at] = alloc(bytes[at], false);
	}
	dirty = stele_dirty_free() * FRAME_SIZE;
	assert_true(dirty + live <= most + most / 2);
	for (int i = 0; i < 16; i++)
		if (p[i])
			give_back(p[i]);
	assert_int_equal(stele_page_stats().used, 0);
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		page_test(blocks_of_some_mib_lie_side_by_side),
		page_test(a_row_over_one_border_serves),
		page_test(a_zeroed_block_is_zero_where_another_was),
		page_test(a_zeroed_block_touches_no_frame_that_is_clean),
		page_test(each_frame_leads_to_a_block_that_was_cut_short),
		page_test(a_large_block_grows_in_place_while_frames_behind_are_free),
		page_test(a_large_block_is_copied_once_and_then_moves_by_pages),
		page_test(first_blocks_leave_no_tails),
		page_test(a_block_that_fills_its_areas_gets_them_whole),
		page_test(a_large_block_is_opened_in_the_lowest_hole),
		page_test(replacing_blocks_leaves_few_holes),
	};

	return small_arena("128m") != 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
