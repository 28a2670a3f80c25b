/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/fault.c - each allocation of an unmodified program can fail, and is errno ENOMEM
 * then
 *
 * The argument "options": the program was started with failslab=100 and failslab_times=5.
 */
#include "drop_in.h"
#include <errno.h>
#include <stele/fault.h>

#define BLOCK 100000ul

static char *volatile sink;

static bool failed_with_errno(void *p)
{
	int error = errno;

	sink = p;
	free(p);
	if (p)
		return false;
	CHECK(error == ENOMEM);
	return true;
}

static bool malloc_fails(size_t size)
{
	errno = 0;
	return failed_with_errno(malloc(size));
}

static void every_call_fails(size_t size)
{
	void *p = &p;

	errno = 0;
	CHECK(malloc_fails(size));
	CHECK(failed_with_errno(calloc(size, 1)));
	CHECK(failed_with_errno(realloc(NULL, size)));
	CHECK(failed_with_errno(aligned_alloc(64, size / 64 * 64 + 64)));
	CHECK(failed_with_errno(memalign(256, size)));
	CHECK(posix_memalign(&p, 64, size) == ENOMEM && p == &p);
}

static void choose_all(enum stele_fault_kind kind)
{
	const struct stele_fault how = { .probability = 100, .times = -1, .silent = true };

	CHECK(stele_malloc_fault_set(kind, &how) == 0);
}

static void each_kind_fails_alone(void)
{
	choose_all(STELE_FAULT_SLAB);
	every_call_fails(24);
	every_call_fails(5000);
	CHECK(!malloc_fails(BLOCK));
	CHECK(stele_malloc_fault_set(STELE_FAULT_SLAB, NULL) == 0);
	choose_all(STELE_FAULT_PAGE);
	every_call_fails(BLOCK);
	every_call_fails(3 << 20);
	CHECK(!malloc_fails(24));
	CHECK(stele_malloc_fault_set(STELE_FAULT_PAGE, NULL) == 0);
	CHECK(!malloc_fails(BLOCK) && !malloc_fails(24));
}

static void a_realloc_that_fails_keeps_the_block(void)
{
	static const size_t from[] = { 40, 3000, 40000, 1900000, 3 << 20 };

	for (unsigned i = 0; i < 5; i++) {
		size_t more[2] = { from[i] + from[i] / 8, from[i] * 3 };

		for (unsigned j = 0; j < 2; j++) {
			char *p = malloc(from[i]), *q;

			CHECK(p);
			fill(p, 0, from[i], i);
			stele_malloc_fault_nth(1);
			errno = 0;
			q = realloc(p, more[j]);
			/* Within what the block has to spare, nothing is allocated. */
			if (stele_malloc_fault_nth(0) == 1)
				CHECK(q == p && more[j] <= malloc_usable_size(p));
			else
				CHECK(!q && errno == ENOMEM);
			check_filled(q ? q : p, from[i], i);
			free(q ? q : p);
		}
	}
}

static void the_options_say_the_same(void)
{
	struct stele_fault_counts counts;

	/* 64 KiB of objects come first. */
	for (unsigned i = 0; i < 1000; i++)
		malloc_fails(100);
	stele_malloc_fault_read(STELE_FAULT_SLAB, &counts);
	CHECK_FOR(counts.failed == 5, counts.failed);
	CHECK(counts.asked >= 1000);
	CHECK(!malloc_fails(100));
}

int main(int argc, char **argv)
{
	if (argc > 1 && !strcmp(argv[1], "options")) {
		the_options_say_the_same();
		return 0;
	}
	need_drop_in();
	CHECK(stele_malloc_fault_set && stele_malloc_fault_nth);
	each_kind_fails_alone();
	a_realloc_that_fails_keeps_the_block();
	return 0;
}
