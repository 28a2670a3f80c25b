/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/page/pages.h - what the tests of the page floor share: a small arena, and the
 * rule that nothing is in use when a test is over
 */
#ifndef STELE_TESTS_UNIT_PAGE_PAGES_H
#define STELE_TESTS_UNIT_PAGE_PAGES_H

#include "base/options.h"
#include "page/areas.h"
#include "page/counts.h"
#include "page/run.h"
#include "percpu/system.h"

#include "../unit.h"

#include <sys/mman.h>
#include <unistd.h>

#define MIB (1ul << 20)

/* Starts the heap with an arena of this size; the environment may have more to say. */
static inline int small_arena(const char *size)
{
	setenv("STELE_ARENA_SIZE", size, 1);
	return stele_heap_start();
}

struct leftovers {
	unsigned runs;
};

static inline void count_run(struct run *run, void *arg)
{
	((struct leftovers *)arg)->runs += run->kind != RUN_NONE;
}

/* Areas whose count says that something is in them. */
static inline unsigned areas_in_use(void)
{
	unsigned n = 0;

	for (uint32_t i = areas_below(AREA_NONE); i != AREA_NONE; i = areas_below(i))
		n += !area_is_whole(load_relaxed(area_count(i))) &&
		     load_relaxed(area_count(i)) != AREA_FOREIGN;
	return n;
}

/* cmocka teardown of every test of this floor. */
static inline int nothing_in_use(void **state)
{
	struct leftovers left = { 0 };

	(void)state;
	stele_inject_page_fail = 0;
	stele_run_each(count_run, &left);
	return left.runs || areas_in_use() || stele_page_stats().used ? -1 : 0;
}

/* Dirty frames that are not in use, counted one by one where the floor keeps a difference. */
static inline uint64_t dirty_by_counting(void)
{
	uint64_t n = 0;

	for (uint32_t i = areas_below(AREA_NONE); i != AREA_NONE; i = areas_below(i))
		for (unsigned w = 0; w < AREA_WORDS; w++)
			n += area_claimed(load_relaxed(area_count(i))) > AREA_FRAMES
				     ? 0
				     : (uint64_t)__builtin_popcountll(
					       load_relaxed(&area_at(i)->dirty[w]) &
					       ~load_relaxed(&area_at(i)->used[w]));
	return n;
}

/* Bytes of [p, p+n) that cost memory now; bytes that are not mapped cost none. */
static inline size_t resident_bytes(char *p, size_t n)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE), resident = 0;
	unsigned char here;

	for (size_t i = 0; i < n; i += page)
		resident += mincore(p + i, page, &here) == 0 && here & 1 ? page : 0;
	return resident;
}

#define page_test(name) cmocka_unit_test_teardown(name, nothing_in_use)

#endif
