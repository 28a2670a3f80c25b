/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/storms/kinds_malloc.c - the malloc family, for programs that run under the drop-in
 *
 * Validity  the drop-in does not export stele_caches_valid(), so these programs do not ask it.
 * Argument  "any": whatever malloc there is will do; for the run that must fail.
 */
#include "../../preload/drop_in.h"
#include "kinds.h"

static void *make_aligned(size_t size)
{
	return aligned_alloc(64, (size + 63) & ~63ul);
}

static void *make_page(size_t size)
{
	void *p;

	return posix_memalign(&p, 4096, size) == 0 ? p : NULL;
}

static void *make_by_calloc(size_t size)
{
	return calloc(1, size);
}

const struct kind kinds[] = {
	{ "malloc", malloc, free, realloc, 0, 0, 16, false },
	{ "malloc of small", malloc, free, realloc, 0, 200, 16, false },
	{ "calloc", make_by_calloc, free, NULL, 0, 0, 16, true },
	{ "aligned_alloc", make_aligned, free, NULL, 0, 0, 64, false },
	{ "posix_memalign", make_page, free, NULL, 0, 20000, 4096, false },
};
const unsigned kinds_count = sizeof(kinds) / sizeof(kinds[0]);

void kinds_start(const char *argument)
{
	if (!argument || strcmp(argument, "any") != 0)
		need_drop_in();
}

void kinds_trim(void)
{
	malloc_trim(1 << 20);
}

/* The C library itself keeps far less than the bounds; a storm loses more. */
int kinds_finish(unsigned long made)
{
	struct mallinfo2 info;

	malloc_trim(0);
	info = mallinfo2();
	printf("%lu made, %zu bytes in slabs in use, %zu large blocks\n", made, info.uordblks,
	       info.hblks);
	CHECK(made > 0);
	CHECK_FOR(info.uordblks < 256 << 10, info.uordblks);
	CHECK_FOR(info.hblks < 8, info.hblks);
	return 0;
}
