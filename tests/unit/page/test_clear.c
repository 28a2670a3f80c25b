/* SPDX-License-Identifier: MIT */
/* page/clear.c: pages are clear afterwards, by either way. */
#include "../unit.h"
#include "os/os.h"
#include "page/clear.h"
#include "page/run.h"
#include <string.h>
#include <sys/mman.h>

#define BYTES (1ul << 20)

static bool clear_at(const char *p, size_t bytes)
{
	for (size_t i = 0; i < bytes; i++)
		if (p[i])
			return false;
	return true;
}

static void clears(size_t at, size_t bytes, enum effort effort, bool locked)
{
	char *p = mmap(NULL, BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	assert_true(p != MAP_FAILED);
	memset(p, 'x', BYTES);
	/* Some systems let a program lock nothing. */
	if (locked && mlock(p, BYTES) != 0)
		locked = false;
	stele_pages_clear(p + at, bytes, effort);
	assert_true(clear_at(p + at, bytes));
	if (at)
		assert_int_equal(p[at - 1], 'x');
	if (at + bytes < BYTES)
		assert_int_equal(p[at + bytes], 'x');
	munmap(p, BYTES);
}

static void as_many_bytes_as_asked_for_are_cleared(void **state)
{
	(void)state;
	for (int effort = EFFORT_BOUNDED; effort <= EFFORT_WAITING; effort++) {
		clears(0, 4096, (enum effort)effort, false);
		clears(65536, 8192, (enum effort)effort, false);
		clears(65536, 512ul << 10, (enum effort)effort, false);
		clears(4096, 512ul << 10, (enum effort)effort, false);
		clears(0, BYTES, (enum effort)effort, false);
	}
}

static void locked_pages_are_cleared(void **state)
{
	(void)state;
	clears(0, BYTES, EFFORT_USUAL, true);
	clears(0, BYTES, EFFORT_BOUNDED, true);
}

static int start_heap(void **state)
{
	(void)state;
	return stele_heap_start();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(as_many_bytes_as_asked_for_are_cleared),
		cmocka_unit_test(locked_pages_are_cleared),
	};

	return cmocka_run_group_tests(tests, start_heap, NULL);
}
