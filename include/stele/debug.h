/* SPDX-License-Identifier: MIT */
/*
 * stele/debug.h - finding the mistakes of programs that use objects
 *
 * Idea      A cache with one of SLAB_DEBUG_FLAGS checks its objects. The program gives the flags
 *           when it makes the cache, or the user gives them in STELE_DEBUG, which has the syntax of
 *           the kernel's slab_debug: "FZPU" for all caches, "ZU,mine,kmalloc-*" for some, ";"
 *           between blocks. The first block that names a cache counts for it; for a cache that no
 *           block names, the last block without names counts.
 * Letters   F checks at each allocation and free. Z has red zones. P poisons free objects. U keeps
 *           the stacks of the allocation and of the free. T writes a line for each call. A marks
 *           the cache as stele_fault_cache() does. O drops the layout where it would make a slab
 *           longer. "-" is nothing.
 * Source    Linux slab_debug, validate_slab_cache(), lib/slub_kunit.c.
 * See       docs/debugging.md
 */
#ifndef STELE_DEBUG_H
#define STELE_DEBUG_H

#include <stddef.h>
#include <stdint.h>

#include <stele/compiler.h>

STELE_EXTERN_C_BEGIN

struct kmem_cache;

/**
 * stele_cache_debug - give a cache its debug flags at run time
 * @s:     a cache of which no object is in use
 * @flags: some of SLAB_DEBUG_FLAGS; 0 for none
 *
 * The layout of objects follows from the flags, so only a cache without slabs can change it: the
 * call empties the cache first. SLAB_CONSISTENCY_CHECKS and SLAB_TRACE do not change the layout:
 * they can come and go while objects are in use, if the cache has debug flags before and after.
 *
 * Return:  0; -EBUSY when objects are in use; -EINVAL for other flags, or a cache that is shared.
 * Context: an ordinary thread; no other thread uses the cache meanwhile.
 */
STELE_API int stele_cache_debug(struct kmem_cache *s, unsigned int flags);

/**
 * validate_slab_cache - check every object of a cache, free or in use
 *
 * Faults are reported and repaired, as when an object is freed. A cache without debug flags has
 * nothing to check. A cache that another thread validates just now is left to that thread.
 *
 * Return:  slabs that were looked at.
 * Context: an ordinary thread. Other threads may use the cache. They may take the access to whole pages
 *          of their objects away (mprotect(2)); the call reads no such page.
 * Promise: contract 41 and 42 (docs/contract.md).
 */
STELE_API long validate_slab_cache(struct kmem_cache *s);

/**
 * stele_slab_validate - validate_slab_cache() of all caches, and the same for large blocks
 *
 * Return:  faults found by this call.
 * Context: as validate_slab_cache().
 */
STELE_API long stele_slab_validate(void);

/** stele_slab_errors - faults of objects found so far, reported or only counted. Context: any. */
STELE_API uint64_t stele_slab_errors(void);

/**
 * stele_slab_errors_into - count this thread's faults instead of reporting them
 * @counter: each fault adds one, and so does each repair; NULL: report again
 *
 * For tests that cause faults, as the kernel's own: one overwritten byte counts 2. Bad frees that
 * do not concern the contents of an object are still reported. At most eight threads count at a time.
 * Context: any. @counter must stay until the thread says NULL.
 */
STELE_API void stele_slab_errors_into(int *counter);

/**
 * stele_leak_check - report the blocks that the program can no longer reach
 *
 * A block is lost if no word of the program's data, stacks and thread-local variables is an address in
 * it, nor a word of a block that is not lost. The report names each caller that allocated lost blocks,
 * the one with the most bytes first. It knows the blocks of caches with SLAB_STORE_USER and, with U in
 * STELE_DEBUG or with STELE_LEAK_CHECK=1, the large ones. A word that only looks like an address hides a
 * lost block. So can words that are left on a stack.
 *
 * Return:  how many blocks are lost; -ENOMEM; -EPERM where the system does not let the process look.
 * Context: an ordinary thread. Other threads may go on; words that only their registers have are not seen.
 * Source:  Linux kmemleak, LeakSanitizer.
 */
STELE_API long stele_leak_check(void);

/* Takes reports: @line gets a text that ends in a newline, and is called in any context. */
struct stele_report_to {
	void (*line)(void *arg, const char *text);
	void *arg;
};

/**
 * stele_report_to - send reports to @to, which must stay; NULL: to the file or stderr again
 *
 * Context: any.
 */
STELE_API void stele_report_to(const struct stele_report_to *to);

STELE_EXTERN_C_END

#endif
