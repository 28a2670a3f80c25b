/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/keep.c and page/purge.c: free memory that will be wanted again stays, other memory
 * goes back in few calls, and all of it when asked; memory in use stays as it is.
 */
#include "purging.h"

#define RUNS 256
#define SHORT_CALLS 256u /* page/purge.c */

static size_t arena_resident(void)
{
	return resident_bytes(area_memory(0),
			      (size_t)load_relaxed(&stele_heap.zones[0].high) * AREA_SIZE);
}

static void free_memory_is_counted_until_it_is_given_back(void **state)
{
	struct run *run = take_filled(100, 1);
	uint64_t before = stele_dirty_free();

	(void)state;
	stele_opt.dirty_min = MIB;
	stele_run_return(run);
	assert_int_equal(stele_dirty_free(), before + 100);
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
	assert_int_equal(dirty_by_counting(), 0);
}

static void all_free_memory_goes_back_when_asked(void **state)
{
	struct run *runs[RUNS];

	(void)state;
	for (int i = 0; i < RUNS; i++)
		runs[i] = take_filled(3, 1);
	for (int i = 0; i < RUNS; i++)
		stele_run_return(runs[i]);
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
	if (RANGE_IS_OURS && !STELE_TEST_EMULATED)
		assert_int_equal(arena_resident(), 0);
}

static void runs_in_use_stay(void **state)
{
	struct run *runs[RUNS];
	size_t page = stele_page_size(), used = 0;

	(void)state;
	for (int i = 0; i < RUNS; i++)
		runs[i] = take_filled(1 + (unsigned)i % 5, (unsigned char)(i + 1));
	for (int i = 0; i < RUNS; i += 2)
		stele_run_return(runs[i]);
	stele_purge(0);
	for (int i = 1; i < RUNS; i += 2) {
		assert_true(
			all_bytes((void *)runs[i]->base, runs[i]->bytes, (unsigned char)(i + 1)));
		used += runs[i]->bytes;
	}
	if (page == FRAME_SIZE && !STELE_TEST_EMULATED) {
		assert_int_equal(stele_dirty_free(), 0);
		if (RANGE_IS_OURS)
			assert_int_equal(arena_resident(), used);
	}
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
	for (int i = 1; i < RUNS; i += 2)
		stele_run_return(runs[i]);
}

/* No more than is in use, while nothing shows that it will be wanted. */
static void a_burst_goes_back_while_it_is_freed(void **state)
{
	struct run *runs[64];

	(void)state;
	stele_purge(0);
	for (int i = 0; i < 64; i++)
		runs[i] = take_filled(256, 1);
	for (int i = 0; i < 64; i++) {
		stele_run_return(runs[i]);
		assert_true(stele_dirty_free() <= LEAST + (64 - (unsigned)i) * 256);
	}
	assert_true(stele_dirty_free() <= LEAST);
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
}

/* How many calls of madvise() it takes to free @n blocks of 100 KiB, one of two and then the
 * others. */
static unsigned calls_to_free(unsigned n)
{
	static struct run *runs[1024];

	stele_purge(0);
	for (unsigned i = 0; i < n; i++)
		runs[i] = take_filled(25, 1);
	calls = 0;
	for (unsigned i = 0; i < n; i += 2)
		stele_run_return(runs[i]);
	for (unsigned i = 1; i < n; i += 2)
		stele_run_return(runs[i]);
	return calls;
}

static void many_frees_share_a_call(void **state)
{
	(void)state;
	/* Rows of 25 frames have no more calls than a tick allows; then they have grown
	 * together. */
	assert_true(calls_to_free(64) <= SHORT_CALLS + 64 / 8);
	assert_true(calls_to_free(256) <= SHORT_CALLS + 256 / 8);
	assert_true(calls_to_free(1024) <= SHORT_CALLS + 1024 / 8);
}

/* Takes @n runs of a MiB, fills and returns them; how many frames had to be touched anew. */
static unsigned phase(unsigned n)
{
	struct run *runs[16];
	unsigned anew = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t before = stele_dirty_free();

		runs[i] = take_filled(256, 1);
		anew += 256 - (unsigned)(before - stele_dirty_free());
	}
	for (unsigned i = 0; i < n; i++)
		stele_run_return(runs[i]);
	return anew;
}

static void memory_wanted_again_stays(void **state)
{
	(void)state;
	stele_purge(0);
	phase(8);
	phase(8);
	for (int i = 0; i < 8; i++)
		assert_int_equal(phase(8), 0);
	/* The control: it is what was learnt that keeps them. */
	stele_opt.dirty_time = 0;
	stele_purge(0);
	phase(8);
	phase(8);
	assert_true(phase(8) > 4 * 256);
}

/* Between half of the peak and all of it nothing has to be learnt. */
static void a_saw_keeps_its_teeth(void **state)
{
	struct run *runs[8];

	(void)state;
	stele_purge(0);
	for (int i = 0; i < 8; i++)
		runs[i] = take_filled(256, 1);
	for (int i = 0; i < 8; i++)
		assert_int_equal(phase(8), i ? 0 : 8 * 256);
	for (int i = 0; i < 8; i++)
		stele_run_return(runs[i]);
}

static void a_request_to_purge_forgets_what_was_learnt(void **state)
{
	(void)state;
	stele_purge(0);
	for (int i = 0; i < 4; i++)
		phase(8);
	assert_true(stele_dirty_free() >= 4 * 256);
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
	phase(8);
	assert_true(stele_dirty_free() < 2 * 256);
}

/* The lesson holds while it is used, and for a while. */
static void memory_that_nobody_wants_fades(void **state)
{
	uint64_t kept;

	(void)state;
	stele_purge(0);
	for (int i = 0; i < 4; i++)
		phase(8);
	kept = stele_dirty_free();
	assert_true(kept >= 7 * 256);
	assert_true(light_work(LEAST + 20, 0.2) >= kept - 4);
	stele_opt.dirty_time = 40;
	assert_true(light_work(LEAST + 20, 20) <= LEAST + 20);
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
}

static uint64_t later; /* ms */

uint64_t __real_stele_os_ms(void);
uint64_t __wrap_stele_os_ms(void);
uint64_t __wrap_stele_os_ms(void)
{
	return __real_stele_os_ms() + later;
}

/* A tick later, with nothing but free frames all the while. */
static uint64_t wanted_after_a_tick(void)
{
	later += HOUR / 8;
	stele_purge_due();
	return load_relaxed(&stele_counts.wanted);
}

static void a_lesson_that_purges_confirm_fades_slower(void **state)
{
	uint64_t wanted;

	(void)state;
	stele_purge(0);
	for (int i = 0; i < 4; i++)
		phase(8);
	wanted = wanted_after_a_tick(); /* from here on the frames are idle */
	assert_true(wanted >= 7 * 256 && load_relaxed(&stele_counts.back) >= 7 * 256);
	assert_in_range(wanted - wanted_after_a_tick(), 1, wanted / 12 / 8);
	/* The control: no frames that were purged were wanted again. */
	store_relaxed(&stele_counts.back, 0);
	store_relaxed(&stele_counts.gone, wanted);
	wanted = load_relaxed(&stele_counts.wanted);
	assert_in_range(wanted - wanted_after_a_tick(), wanted / 16, wanted / 8);
}

/* However much is free, one call purges a bounded part; the next ones go on. */
static void one_call_purges_no_more_than_its_share(void **state)
{
	enum { MOST = 16384 + 2 * 4 };
	struct run *runs[96], *last = take_filled(4, 1);
	uint64_t before;

	(void)state;
	stele_purge(0);
	for (int i = 0; i < 90; i++)
		runs[i] = take_filled(256, 1);
	for (int i = 0; i < 90; i++) {
		stele_run_return_frames(runs[i], EFFORT_BOUNDED);
		stele_run_return_descriptor(runs[i]);
	}
	before = stele_dirty_free();
	assert_true(before >= 90 * 256 && stele_purge_is_due());
	stele_run_return(last);
	assert_in_range(before + 4 - stele_dirty_free(), MOST / 2, MOST);
	stele_purge_due();
	stele_purge_due();
	assert_true(stele_dirty_free() <= LEAST);
	assert_false(stele_purge_is_due());
}

/* Holes of three frames each: a call for each of them is made over time only. */
static void short_rows_go_in_the_course_of_time(void **state)
{
	static struct run *runs[4096];

	(void)state;
	stele_purge(0);
	stele_opt.dirty_min = 0;
	for (int i = 0; i < 4096; i++)
		runs[i] = take_filled(1, 1);
	calls = 0;
	for (int i = 0; i < 4096; i++)
		if (i % 4)
			stele_run_return(runs[i]);
	assert_in_range(calls, 1, SHORT_CALLS);
	stele_opt.dirty_time = 40;
	assert_true(light_work(100, 20) <= 100);
	for (int i = 0; i < 4096; i += 4)
		stele_run_return(runs[i]);
}

/* Locked memory is not given back; to ask with every free would cost a call each time. */
static void a_refused_purge_does_not_insist(void **state)
{
	struct run *runs[RUNS];
	double then;

	(void)state;
	stele_purge(0);
	for (int i = 0; i < RUNS; i++)
		runs[i] = take_filled(80, 1);
	calls = 0;
	refuse = true;
	then = seconds();
	for (int i = 0; i < RUNS; i++)
		if (i % 4)
			stele_run_return(runs[i]);
	refuse = false;
	assert_in_range(calls, 1, 1 + (unsigned)(seconds() - then + 0.1));
	for (int i = 0; i < RUNS; i += 4)
		stele_run_return(runs[i]);
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
}

static void one_call_gives_a_long_row_back(void **state)
{
	struct run *runs[4], *beside; /* the area is not empty: it stays mapped */

	(void)state;
	stele_purge(0);
	stele_opt.dirty_min = MIB;
	beside = take_filled(1, 1);
	for (int i = 0; i < 4; i++)
		runs[i] = take_filled(50, 1);
	calls = 0;
	for (int i = 0; i < 4; i++)
		stele_run_return(runs[i]);
	assert_int_equal(calls, 0);
	stele_purge(0);
	assert_int_equal(calls, 1);
	assert_int_equal(dirty_by_counting(), 0);
	stele_run_return(beside);
}

static void as_much_stays_as_may_stay(void **state)
{
	struct run *run = take_filled(200, 1);

	(void)state;
	stele_opt.dirty_min = MIB;
	stele_run_return(run);
	stele_purge(2 * MIB);
	assert_true(stele_dirty_free() >= 200);
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
}

static void purged_memory_reads_as_zero_when_it_comes_back(void **state)
{
	(void)state;
	for (int i = 0; i < 8; i++) {
		char *p = stele_large_alloc(600000, 1, true);

		assert_true(all_bytes(p, 600000, 0));
		memset(p, 0x99, 600000);
		stele_large_free(stele_run_of(p));
		if (i % 2)
			stele_purge(0);
	}
}

static void huge_blocks_go_back_too(void **state)
{
	char *p = stele_large_alloc(20 * MIB, 1, false),
	     *big = stele_large_alloc(40 * MIB, 1, false);

	(void)state;
	memset(p, 1, 20 * MIB);
	memset(big, 1, 40 * MIB);
	stele_large_free(stele_run_of(p));
	stele_large_free(stele_run_of(big));
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
	assert_int_equal(dirty_by_counting(), 0);
	if (RANGE_IS_OURS && !STELE_TEST_EMULATED)
		assert_int_equal(arena_resident(), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		purge_test(free_memory_is_counted_until_it_is_given_back),
		purge_test(all_free_memory_goes_back_when_asked),
		purge_test(runs_in_use_stay),
		purge_test(a_burst_goes_back_while_it_is_freed),
		purge_test(many_frees_share_a_call),
		purge_test(memory_wanted_again_stays),
		purge_test(a_saw_keeps_its_teeth),
		purge_test(a_request_to_purge_forgets_what_was_learnt),
		purge_test(memory_that_nobody_wants_fades),
		purge_test(a_lesson_that_purges_confirm_fades_slower),
		purge_test(one_call_purges_no_more_than_its_share),
		purge_test(short_rows_go_in_the_course_of_time),
		purge_test(a_refused_purge_does_not_insist),
		purge_test(one_call_gives_a_long_row_back),
		purge_test(as_much_stays_as_may_stay),
		purge_test(purged_memory_reads_as_zero_when_it_comes_back),
		purge_test(huge_blocks_go_back_too),
	};

	return small_arena("128m") != 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
