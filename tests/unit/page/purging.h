/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/page/purging.h - what the tests of page/keep.c and page/purge.c share
 *
 * Time      dirty_time is an hour unless a test is about time, so that a slow machine changes
 *           nothing.
 * Included  by one file of a program, which is linked with -Wl,--wrap=stele_os_purge.
 */
#ifndef STELE_TESTS_UNIT_PAGE_PURGING_H
#define STELE_TESTS_UNIT_PAGE_PURGING_H

#include "pages.h"

#include "os/os.h"
#include "page/where.h"

#include <errno.h>
#include <time.h>

#define HOUR 3600000
#define LEAST 128u /* frames */

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

static inline struct run *take_filled(unsigned frames, unsigned char value)
{
	bool clean;
	struct run *run = stele_run_take(frames, 1, &clean);

	assert_non_null(run);
	run->kind = RUN_LARGE;
	stele_run_publish(run);
	memset((void *)run->base, value, run->bytes);
	return run;
}

static inline double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Light work until no more than @frames are left, or for @most seconds; how many are left. */
static inline uint64_t light_work(uint64_t frames, double most)
{
	double end = seconds() + most;

	while (stele_dirty_free() > frames && seconds() < end) {
		stele_run_return(take_filled(4, 1));
		usleep(1000);
	}
	return stele_dirty_free();
}

static inline int setup(void **state)
{
	(void)state;
	stele_opt.dirty_min = LEAST * FRAME_SIZE;
	stele_opt.dirty_time = HOUR;
	return 0;
}

#define purge_test(name) cmocka_unit_test_setup_teardown(name, setup, nothing_in_use)

#endif
