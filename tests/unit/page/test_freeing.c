/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/purge.c and page/close.c: large blocks that are freed in any order cost less than a system
 * call each.
 */
#include "../../random.h"
#include "os/os.h"
#include "pages.h"

#include <stdio.h>

#define SLACK 18u		/* as in test_closing.c */
#define MOST 4000u		/* blocks */
#define BLOCK_AND_MORE 2100000u /* more than an area */
#define WHOLE_AREAS 65536u	/* an alignment */

static unsigned calls;

int __wrap_stele_os_unmap(void *p, size_t size);
int __real_stele_os_unmap(void *p, size_t size);
int __wrap_stele_os_purge(void *p, size_t size);
int __real_stele_os_purge(void *p, size_t size);
bool __wrap_stele_os_is_resident(const char *p, size_t size);
bool __real_stele_os_is_resident(const char *p, size_t size);
bool __wrap_stele_os_space_is_limited(void);
bool __real_stele_os_space_is_limited(void);
uint64_t __wrap_stele_os_signals_hold(void);
uint64_t __real_stele_os_signals_hold(void);
void __wrap_stele_os_signals_release(uint64_t held);
void __real_stele_os_signals_release(uint64_t held);
uint64_t __wrap_stele_os_ms(void);

/* Time stands still, so that a slow machine makes no other calls. */
uint64_t __wrap_stele_os_ms(void)
{
	return 1000000;
}

/* In place of the system's (-Wl,--wrap): counted. */
int __wrap_stele_os_unmap(void *p, size_t size)
{
	calls++;
	return __real_stele_os_unmap(p, size);
}

int __wrap_stele_os_purge(void *p, size_t size)
{
	calls++;
	return __real_stele_os_purge(p, size);
}

bool __wrap_stele_os_is_resident(const char *p, size_t size)
{
	calls++;
	return __real_stele_os_is_resident(p, size);
}

/* Asks for two limits. */
bool __wrap_stele_os_space_is_limited(void)
{
	calls += 2;
	return __real_stele_os_space_is_limited();
}

uint64_t __wrap_stele_os_signals_hold(void)
{
	calls++;
	return __real_stele_os_signals_hold();
}

void __wrap_stele_os_signals_release(uint64_t held)
{
	calls++;
	__real_stele_os_signals_release(held);
}

static char *blocks[MOST];

static uint32_t mapped(void)
{
	return load_relaxed(&stele_heap.mapped);
}

/* Aligned to more than a page, a block has whole areas of its own. */
static void take(unsigned n, size_t bytes, size_t align)
{
	for (unsigned i = 0; i < n; i++)
		assert_non_null(blocks[i] = stele_large_alloc(bytes, align, false));
}

/* All that a free calls is counted, with what holds the signals back. */
static unsigned calls_in_any_order(unsigned n, size_t bytes, size_t align)
{
	uint64_t dice = 7;

	stele_purge(0);
	take(n, bytes, align);
	for (unsigned i = n - 1; i > 0; i--) {
		unsigned j = (unsigned)(next_random(&dice) % (i + 1));
		char *other = blocks[j];

		blocks[j] = blocks[i];
		blocks[i] = other;
	}
	calls = 0;
	for (unsigned i = 0; i < n; i++)
		stele_large_free(stele_run_of(blocks[i]));
	printf("system calls for %u blocks of %zu bytes: %u\n", n, bytes, calls);
	assert_true(mapped() <= SLACK);
	return calls;
}

static void a_free_in_any_order_costs_less_than_a_call(void **state)
{
	(void)state;
	assert_true(calls_in_any_order(400, BLOCK_AND_MORE, WHOLE_AREAS) < 400);
	assert_true(calls_in_any_order(4000, BLOCK_AND_MORE, WHOLE_AREAS) < 4000 * 9 / 10);
	assert_true(calls_in_any_order(600, 30000000, 1) < 600);
}

/* A row of frames lies in two areas or three, which others share. Each area has one call at least. */
static void a_free_of_a_row_of_frames_costs_little_more(void **state)
{
	(void)state;
	assert_true(calls_in_any_order(400, BLOCK_AND_MORE, 1) < 400 * 3 / 2);
	assert_true(calls_in_any_order(4000, BLOCK_AND_MORE, 1) < 4000 * 5 / 4);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		page_test(a_free_in_any_order_costs_less_than_a_call),
		page_test(a_free_of_a_row_of_frames_costs_little_more),
	};

	return small_arena("32g") != 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
