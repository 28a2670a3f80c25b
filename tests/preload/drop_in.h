/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/drop_in.h - what the programs that run under the drop-in share
 *
 * Idea      The programs know malloc and nothing of Stele, but for one question: is the
 *           malloc that they call the drop-in's? Without it every test fails.
 * Failure   CHECK() says where and what, and ends the process without running anything else;
 *           it is usable in a signal handler and in a forked child.
 */
#ifndef TESTS_MALLOC_DROP_IN_H
#define TESTS_MALLOC_DROP_IN_H

#include "../random.h"
#include <dlfcn.h>
#include <malloc.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHECK(what) ((what) ? (void)0 : failed(__FILE__, __LINE__, #what, 0))
#define CHECK_FOR(what, value)                                                                     \
	((what) ? (void)0 : failed(__FILE__, __LINE__, #what, (unsigned long)(value)))

static inline __attribute__((noreturn)) void failed(const char *file, int line, const char *what,
						    unsigned long value)
{
	char text[300];
	int n = snprintf(text, sizeof(text), "%s:%d: not so: %s (%lu, %#lx)\n", file, line, what,
			 value, value);

	if (write(STDERR_FILENO, text, (size_t)n) != n)
		_exit(2);
	_exit(1);
}

/* Each program's first call. */
static inline void need_drop_in(void)
{
	Dl_info info;
	void *where = dlsym(RTLD_DEFAULT, "malloc");

	CHECK(where && dladdr(where, &info) != 0 && info.dli_fname);
	CHECK(strstr(info.dli_fname, "libstele-malloc") != NULL);
}

/* Contents that depend on the place and on a seed. */
static inline unsigned char pattern(size_t i, unsigned seed)
{
	return (unsigned char)(i * 31 + (i >> 8) * 7 + (i >> 16) + seed);
}

static inline void fill(void *p, size_t from, size_t to, unsigned seed)
{
	for (size_t i = from; i < to; i++)
		((unsigned char *)p)[i] = pattern(i, seed);
}

static inline void check_filled(const void *p, size_t to, unsigned seed)
{
	for (size_t i = 0; i < to; i++)
		CHECK_FOR(((const unsigned char *)p)[i] == pattern(i, seed), i);
}

/* Resident bytes of this process. */
static inline size_t resident(void)
{
	size_t total, pages = 0;
	FILE *f = fopen("/proc/self/statm", "r");

	CHECK(f && fscanf(f, "%zu %zu", &total, &pages) == 2);
	fclose(f);
	return pages * (size_t)sysconf(_SC_PAGESIZE);
}

#endif
