/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/plugin.c - loaded by early.c: a library with large thread-locals
 *
 * Idea      Its constructor and destructor allocate; each thread that calls it makes the
 *           loader allocate its thread-locals.
 */
#include <stdlib.h>
#include <string.h>

static __thread char mine[70000];
static __thread void *last;
static void *from_constructor;

__attribute__((visibility("default"))) void *plugin_make(size_t size);

static __attribute__((constructor)) void start(void)
{
	from_constructor = malloc(5000);
	if (!from_constructor)
		abort();
	memset(from_constructor, 3, 5000);
}

static __attribute__((destructor)) void end(void)
{
	if (((char *)from_constructor)[4999] != 3)
		abort();
	free(from_constructor);
}

void *plugin_make(size_t size)
{
	for (size_t i = 0; i < sizeof(mine); i++)
		if (mine[i] && !last)
			abort(); /* thread-locals start as zeroes */
	memset(mine, 1, sizeof(mine));
	last = malloc(size);
	return last;
}
