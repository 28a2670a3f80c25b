/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/purge.c: free memory goes back, by itself beyond the budget and all of it when
 * asked; what is in use stays as it is.
 */
#include "pages.h"

#include "os/os.h"
#include <errno.h>

#define RUNS 256

static bool refuse;
static unsigned calls;

int __wrap_stele_os_purge(void *p, size_t size);
int __real_stele_os_purge(void *p, size_t size);

/* In place of the system's (-Wl,--wrap): counted, or refused as it is for locked memory. */
int __wrap_stele_os_purge(void *p, size_t size)
{
	calls++;
	return refuse ? -EINVAL : __real_stele_os_purge(p, size);
}

static struct run *take_filled(unsigned frames, unsigned char value)
{
	bool clean;
	struct run *run = stele_run_take(frames, 1, &clean);

	assert_non_null(run);
	run->kind = RUN_LARGE;
	stele_run_publish(run);
	memset((void *)run->base, value, run->bytes);
	return run;
}

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
	stele_opt.dirty_max = MIB;
	stele_run_return(run);
	assert_int_equal(stele_dirty_free(), before + 100);
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
	assert_int_equal(dirty_by_counting(), 0);
}

static void all_of_it_goes_back_when_asked(void **state)
{
	struct run *runs[RUNS];

	(void)state;
	for (int i = 0; i < RUNS; i++)
		runs[i] = take_filled(3, 1);
	for (int i = 0; i < RUNS; i++)
		stele_run_return(runs[i]);
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
	if (!STELE_TEST_EMULATED)
		assert_int_equal(arena_resident(), 0);
}

static void what_is_in_use_stays(void **state)
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
		assert_int_equal(arena_resident(), used);
	}
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
	for (int i = 1; i < RUNS; i += 2)
		stele_run_return(runs[i]);
}

static void beyond_the_budget_it_goes_back_by_itself(void **state)
{
	size_t budget = stele_opt.dirty_max, grow = stele_opt.dirty_grow;

	(void)state;
	stele_opt.dirty_grow = 0;
	for (int i = 0; i < 20; i++) {
		struct run *runs[8];

		for (int k = 0; k < 8; k++)
			runs[k] = take_filled(256, 1);
		for (int k = 0; k < 8; k++)
			stele_run_return(runs[k]);
		/* 1/64 of what was in use at the time counts as well. */
		assert_true(stele_dirty_free() * FRAME_SIZE <= budget + 8 * MIB / 64);
	}
	stele_opt.dirty_grow = grow;
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
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

static void what_is_wanted_again_stays(void **state)
{
	uint64_t grow = (uint64_t)stele_opt.dirty_grow;

	(void)state;
	stele_purge(0);
	phase(8);
	phase(8);
	for (int i = 0; i < 8; i++)
		assert_int_equal(phase(8), 0);
	/* The control: it is what was learnt that keeps them. */
	stele_opt.dirty_grow = 0;
	stele_purge(0);
	phase(8);
	phase(8);
	assert_true(phase(8) > 4 * 256);
	stele_opt.dirty_grow = (int64_t)grow;
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

/* One phase is kept; what comes back once and never again is not. */
static void without_demand_it_goes_back(void **state)
{
	struct run *runs[16];

	(void)state;
	stele_purge(0);
	for (int i = 0; i < 4; i++)
		phase(4);
	assert_true(stele_dirty_free() >= 3 * 256);
	for (int i = 0; i < 16; i++)
		runs[i] = take_filled(256, 1);
	for (int i = 0; i < 16; i++)
		stele_run_return(runs[i]);
	assert_true(stele_dirty_free() < 4 * 256);
}

/* Locked memory is not given back; to ask with every free would cost a call each time. */
static void who_is_refused_does_not_insist(void **state)
{
	struct run *runs[RUNS];

	(void)state;
	stele_purge(0);
	for (int i = 0; i < RUNS; i++)
		runs[i] = take_filled(16, 1);
	calls = 0;
	refuse = true;
	/* Every second one: each is a row of its own. */
	for (int i = 0; i < RUNS; i += 2)
		stele_run_return(runs[i]);
	refuse = false;
	/* Each pass asks for each row once or twice; rows at least double from pass to pass. */
	assert_in_range(calls, 1, 4 * RUNS);
	for (int i = 1; i < RUNS; i += 2)
		stele_run_return(runs[i]);
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
}

static void one_call_gives_a_long_row_back(void **state)
{
	struct run *runs[4];

	(void)state;
	stele_purge(0);
	for (int i = 0; i < 4; i++)
		runs[i] = take_filled(50, 1);
	calls = 0;
	for (int i = 0; i < 4; i++)
		stele_run_return(runs[i]);
	assert_int_equal(calls, 0);
	stele_purge(0);
	assert_int_equal(calls, 1);
	assert_int_equal(dirty_by_counting(), 0);
}

static void as_much_stays_as_may_stay(void **state)
{
	struct run *run = take_filled(200, 1);

	(void)state;
	stele_opt.dirty_max = MIB;
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
	if (!STELE_TEST_EMULATED)
		assert_int_equal(arena_resident(), 0);
}

#define THREADS 4
static _Atomic uint32_t wrong;
static size_t kept; /* by the purges below, bytes */

/* One purges while the others take, fill, check and return. */
static void *use_or_purge(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg, seed = me + 1;

	for (int i = 0; i < 1500; i++) {
		unsigned frames = 1 + unit_random(&seed) % 20;
		struct run *run;
		bool clean;

		if (me == 0) {
			stele_purge(kept);
			sched_yield();
			continue;
		}
		run = stele_run_take(frames, 1, &clean);
		if (!run)
			continue;
		if (clean && !all_bytes((void *)run->base, run->bytes, 0))
			add_relaxed(&wrong, 1);
		run->kind = RUN_LARGE;
		stele_run_publish(run);
		memset((void *)run->base, (int)me, run->bytes);
		sched_yield();
		if (!all_bytes((void *)run->base, run->bytes, (unsigned char)me))
			add_relaxed(&wrong, 1);
		stele_run_return(run);
	}
	return NULL;
}

static void nobody_loses_memory_to_the_purger(void **state)
{
	(void)state;
	kept = FRAME_SIZE;
	meet_inside_steps(true);
	in_threads(THREADS, use_or_purge);
	meet_inside_steps(false);
	assert_int_equal(load_relaxed(&wrong), 0);
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
}

/* The count is made anew each time, with threads held up anywhere: right again when all is still. */
static void nor_to_one_who_counts_anew(void **state)
{
	(void)state;
	kept = 0;
	meet_inside_steps(true);
	in_threads(THREADS, use_or_purge);
	meet_inside_steps(false);
	assert_int_equal(load_relaxed(&wrong), 0);
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
	assert_int_equal(dirty_by_counting(), 0);
}

/* As by threads that left between returning frames and counting them, and the other way round. */
static void what_was_never_counted_is_mended(void **state)
{
	(void)state;
	stele_purge(0);
	stele_dirty_taken(7);
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
	stele_dirty_returned(7, PURGE_LATER);
	assert_int_equal(stele_dirty_free(), 7);
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
	stele_run_return(take_filled(3, 1));
	assert_int_equal(stele_dirty_free(), 3);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		page_test(free_memory_is_counted_until_it_is_given_back),
		page_test(all_of_it_goes_back_when_asked),
		page_test(what_is_in_use_stays),
		page_test(beyond_the_budget_it_goes_back_by_itself),
		page_test(what_is_wanted_again_stays),
		page_test(a_request_to_purge_forgets_what_was_learnt),
		page_test(without_demand_it_goes_back),
		page_test(who_is_refused_does_not_insist),
		page_test(one_call_gives_a_long_row_back),
		page_test(as_much_stays_as_may_stay),
		page_test(purged_memory_reads_as_zero_when_it_comes_back),
		page_test(huge_blocks_go_back_too),
		page_test(nobody_loses_memory_to_the_purger),
		page_test(nor_to_one_who_counts_anew),
		page_test(what_was_never_counted_is_mended),
	};

	return small_arena("128m") != 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
