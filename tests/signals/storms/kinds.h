/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/storms/kinds.h - the ways to make an object
 *
 * Idea      kinds_malloc.c and kinds_stele.c have a list each; a program is linked with one of
 *           them, and does not know which.
 */
#ifndef TESTS_STORMS_KINDS_H
#define TESTS_STORMS_KINDS_H

#include <stdbool.h>
#include <stddef.h>

struct kind {
	const char *name;
	void *(*make)(size_t size);
	void (*drop)(void *p);
	void *(*resize)(void *p, size_t size); /* NULL: it keeps its size */
	size_t fixed;			       /* the only size, or 0 */
	size_t most;			       /* the largest, or 0 */
	size_t align;
	bool zeroed;
};

/* The list that this program is linked with. */
extern const struct kind kinds[];
extern const unsigned kinds_count;

/* Runs before the first object, and calls wrong() when another allocator serves than this list is
 * for. */
void kinds_start(const char *argument);
/* Runs after the last of @made objects was dropped: nothing may be left. */
int kinds_finish(unsigned long made);
/* Takes cached memory away, as malloc_trim() does. */
void kinds_trim(void);

#endif
