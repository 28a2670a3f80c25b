/* SPDX-License-Identifier: MIT */
/*
 * sync/racy.h - reads of memory that the reader does not own
 *
 * Idea      A lock-free protocol reads through pointers that may be out of date: the link of a node
 *           that another thread has popped meanwhile, the state of a slab that is another one by
 *           now. The value that such a read finds is thrown away, or only counted. But the read
 *           must not fault: the target must be memory that the library never gives to a program,
 *           for its owner may unmap it or take its access away (mprotect(2)).
 * Rule      A pointer that was not obtained together with ownership leads to the library's own
 *           tables (slots, descriptors, the page map), to static memory, or to runs that are never
 *           returned (page/permanent.c). Those are the slabs of the caches that keep theirs for good
 *           (SLAB_KEPT, slab/kept.c): sheaves, caches, and what caches have for nodes.
 *           docs/memory-model.md lists every such read.
 * Check     Debug builds abort when a racy read leads anywhere else.
 * Context   any.
 * Tests     tests/death/racy_read.c, tests/contract/test_protected.c, tests/unit/page/test_permanent.c
 */
#ifndef STELE_SYNC_RACY_H
#define STELE_SYNC_RACY_H

#include <stdbool.h>
#include <stddef.h>

#if STELE_DEBUG && !defined(STELE_RACY_UNCHECKED)
extern bool (*stele_racy_allowed)(const void *p); /* fixed when the heap starts */
void stele_racy_report(const void *p) __attribute__((noreturn));

static inline void racy_target(const void *p)
{
	if (stele_racy_allowed && !stele_racy_allowed(p))
		stele_racy_report(p);
}

static inline void racy_ask(bool (*allowed)(const void *p))
{
	stele_racy_allowed = allowed;
}
#else
/* @p: the target of the next read, through a pointer that may be out of date. */
static inline void racy_target(const void *p)
{
	(void)p;
}

/* Registers a function, once, that knows whether a racy read may lead to @p. */
static inline void racy_ask(bool (*allowed)(const void *p))
{
	(void)allowed;
}
#endif

#endif
