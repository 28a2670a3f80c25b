/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/keep.c and page/purge.c with several threads: a purger takes no memory that is in
 * use, the count of free frames is mended, and a purger that stops holds nobody up.
 */
#include "purging.h"

#define THREADS 4
static _Atomic uint32_t wrong;
static bool kept; /* whether the purges below keep some frames */

/* Two threads purge while the others take, fill, check and return runs. */
static void *use_or_purge(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg, seed = me + 1;

	for (int i = 0; i < 1500; i++) {
		unsigned frames = 1 + unit_random(&seed) % 20;
		struct run *run;
		bool clean;

		if (me < 2) {
			if (kept)
				stele_purge_due();
			else
				stele_purge(0);
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
	kept = true;
	stele_opt.dirty_min = 0;
	stele_opt.dirty_time = 1;
	meet_inside_steps(true);
	in_threads(THREADS, use_or_purge);
	meet_inside_steps(false);
	assert_int_equal(load_relaxed(&wrong), 0);
	assert_int_equal(stele_dirty_free(), dirty_by_counting());
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
}

/* Each purge counts anew, while other threads stand anywhere. The count is right again once all
 * are still. */
static void nobody_loses_memory_to_a_purge_that_counts_anew(void **state)
{
	(void)state;
	kept = false;
	meet_inside_steps(true);
	in_threads(THREADS, use_or_purge);
	meet_inside_steps(false);
	assert_int_equal(load_relaxed(&wrong), 0);
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
	assert_int_equal(dirty_by_counting(), 0);
}

/* As if threads had left a call: after it had purged frames, or returned some, and before it
 * counted them. */
static void a_count_that_was_left_wrong_is_mended(void **state)
{
	(void)state;
	stele_purge(0);
	stele_dirty_purged(7);
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
	stele_dirty_returned(7, EFFORT_BOUNDED);
	assert_int_equal(stele_dirty_free(), 7);
	stele_purge(0);
	assert_int_equal(stele_dirty_free(), 0);
	stele_run_return(take_filled(3, 1));
	assert_int_equal(stele_dirty_free(), 3);
}

#if STELE_DEBUG
static _Atomic uint32_t held; /* 1: the purger is there, 2: it goes on */

static void stop_there(const char *point)
{
	uint32_t nobody = 0;

	if (strcmp(point, "purge:area") || !cas_relaxed(&held, &nobody, 1))
		return;
	while (load_relaxed(&held) != 2)
		sched_yield();
}

static void *purge_and_stop(void *arg)
{
	stele_purge_due();
	return arg;
}

/* The purger that stops holds one area. Other threads purge all other areas, and after some time
 * that one, too. */
static void a_purger_that_stops_holds_nobody_up(void **state)
{
	enum { FEW = 30 }; /* so few areas that they stay mapped when they are empty */
	struct run *runs[FEW];
	pthread_t thread;

	(void)state;
	stele_purge(0);
	for (int i = 0; i < FEW; i++)
		runs[i] = take_filled(256, 1);
	for (int i = 0; i < FEW; i++) {
		stele_run_return_frames(runs[i], EFFORT_BOUNDED);
		stele_run_return_descriptor(runs[i]);
	}
	stele_inject = stop_there;
	assert_int_equal(pthread_create(&thread, NULL, purge_and_stop, NULL), 0);
	while (load_relaxed(&held) != 1)
		sched_yield();
	for (int i = 0; i < 4; i++)
		stele_purge_due();
	assert_true(stele_dirty_free() <= LEAST + AREA_FRAMES);
	stele_opt.dirty_min = 0;
	stele_opt.dirty_time = 40;
	assert_true(light_work(20, 20) <= 20);
	store_relaxed(&held, 2);
	stele_inject = NULL;
	pthread_join(thread, NULL);
}

static unsigned visits;

static void count_visits(const char *point)
{
	visits += !strcmp(point, "purge:area");
}

/* How many areas are looked at while @n blocks of 100 KiB are freed, the lowest first. */
static unsigned visits_to_free(unsigned n)
{
	static struct run *runs[1024];

	stele_purge(0);
	for (unsigned i = 0; i < n; i++)
		runs[i] = take_filled(25, 1);
	visits = 0;
	stele_inject = count_visits;
	for (unsigned i = 0; i < n; i++)
		stele_run_return(runs[i]);
	stele_inject = NULL;
	return visits;
}

/* A walk that begins at the top each time would look at each area with each free. */
static void a_free_looks_at_few_areas(void **state)
{
	(void)state;
	assert_in_range(visits_to_free(64), 1, 2 * 64);
	assert_in_range(visits_to_free(256), 1, 2 * 256);
	assert_in_range(visits_to_free(1024), 1, 2 * 1024);
}
#endif

static const struct CMUnitTest tests[] = {
	purge_test(nobody_loses_memory_to_the_purger),
	purge_test(nobody_loses_memory_to_a_purge_that_counts_anew),
	purge_test(a_count_that_was_left_wrong_is_mended),
#if STELE_DEBUG
	purge_test(a_purger_that_stops_holds_nobody_up),
	purge_test(a_free_looks_at_few_areas),
#endif
};

int main(void)
{
	return small_arena("128m") != 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
