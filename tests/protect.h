/* SPDX-License-Identifier: MIT */
/*
 * tests/protect.h - pages of the program's own, which it takes all access from
 *
 * Idea      A program may do with pages that it was given what the kernel lets it do; mprotect(2)
 *           has that as its example. So a thread that reads them without owning them dies. Pages
 *           that lie side by side are changed by one call.
 * Failure   false: the system refuses (too many mappings); the caller gives up the round.
 */
#ifndef TESTS_PROTECT_H
#define TESTS_PROTECT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

static inline int by_page(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;

	return x < y ? -1 : x > y;
}

/* @n pages, which this sorts. */
static inline bool pages_protect(char **pages, unsigned n, int access)
{
	size_t size = (size_t)sysconf(_SC_PAGESIZE);
	unsigned first = 0, end;

	qsort(pages, n, sizeof(pages[0]), by_page);
	for (; first < n; first = end) {
		for (end = first + 1; end < n && pages[end] == pages[end - 1] + size; end++)
			;
		if (mprotect(pages[first], (end - first) * size, access) != 0)
			return false;
	}
	return true;
}

#endif
