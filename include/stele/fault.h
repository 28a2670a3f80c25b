/* SPDX-License-Identifier: MIT */
/*
 * stele/fault.h - allocations that fail on purpose: the kernel's failslab and fail_page_alloc
 *
 * Idea      A program's error paths run when memory is short, which it never is in a test. These calls
 *           choose allocations, and those give NULL as if there were no memory.
 * Kinds     STELE_FAULT_SLAB: objects of caches, kmalloc() up to KMALLOC_MAX_CACHE_SIZE. In the kernel:
 *           failslab. STELE_FAULT_PAGE: alloc_pages() and its kin, and blocks with pages of their own; in
 *           the kernel fail_page_alloc.
 * Never     __GFP_NOFAIL; the _nolock calls; kmem_cache_alloc_from_sheaf(), and the objects that go
 *           into such a sheaf; a reserve of a mempool; the library's own memory.
 * Context   stele_fault_set() and stele_fault_thread(): ordinary threads. stele_fault_read() and
 *           stele_fault_cache(): any.
 * Cost      None while no faults are chosen. While some are, every call takes the slow way.
 * Options   failslab, fail_page_alloc, fail_nth and more set the same from outside (docs/faults.md).
 * Limits    libstele and the drop-in choose apart.
 */
#ifndef STELE_FAULT_H
#define STELE_FAULT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include <stele/compiler.h>

STELE_EXTERN_C_BEGIN

struct kmem_cache;

enum stele_fault_kind { STELE_FAULT_SLAB, STELE_FAULT_PAGE, STELE_FAULT_KINDS };

/*
 * An allocation is asked in this order: the filters (thread, cache, order, flags, call site), times,
 * space, interval, probability. The first that spares it ends the questions. All zeros: none fails.
 */
struct stele_fault {
	unsigned int probability; /* percent of those that are left; 0: none fails, 100: all do */
	unsigned int interval;	  /* of those that are left, every n-th; 0 and 1: each */
	int times;		  /* how many fail at most; -1: without a limit. 0 is none */
	size_t space;		  /* bytes that succeed before the first failure */
	uint64_t seed;		  /* chance: the same calls with the same seed fail alike */
	unsigned int min_order;	  /* PAGE: smaller blocks are spared */
	bool only_marked_caches;  /* SLAB: others are spared (stele_fault_cache()) */
	bool only_marked_threads; /* others are spared (stele_fault_thread()) */
	bool spare_waiting;	  /* spares __GFP_DIRECT_RECLAIM: the kernel's ignore-gfp-wait */
	bool silent;		  /* no line on standard error for each of the first failures */
	/* Where the call returns to: only within the first range, and not within the second. An end of 0
	 * is no range. */
	uintptr_t require_start, require_end;
	uintptr_t reject_start, reject_end;
};

struct stele_fault_counts {
	uint64_t asked;	 /* allocations that passed the filters, since the choice was made */
	uint64_t failed; /* on purpose */
};

/**
 * stele_fault_set - choose the allocations of a kind that fail from now on
 * @how: NULL: none
 *
 * The counts begin anew.
 *
 * Return:  0; -EINVAL: no such kind, a probability above 100, times below -1.
 * Context: ordinary threads. Of two calls at the same time either may win in part.
 * Source:  Linux fault-injection.rst. Unlike there: only the call site is compared, not the whole stack;
 *          spare_waiting and min_order are off unless asked for; without `times` nothing fails.
 */
STELE_API int stele_fault_set(enum stele_fault_kind kind, const struct stele_fault *how);

/** stele_fault_read - how many were asked, and how many failed */
STELE_API void stele_fault_read(enum stele_fault_kind kind, struct stele_fault_counts *counts);

/**
 * stele_fault_thread - mark the calling thread, as /proc/self/make-it-fail does
 *
 * Return: 0; -ENOSPC: 256 threads are marked, or count.
 */
STELE_API int stele_fault_thread(bool marked);

/** stele_fault_cache - mark a cache, as its failslab file in /sys does; the mark before */
STELE_API bool stele_fault_cache(struct kmem_cache *s, bool marked);

/**
 * stele_fault_nth - let the @n-th allocation of this thread fail, as /proc/self/fail-nth does
 * @n: counts allocations of both kinds, whatever else is chosen; 0: none; below 2^31
 *
 * Return: the number that was left; 0: that allocation has failed. -ENOSPC: as above.
 */
STELE_API int stele_fault_nth(unsigned int n);

/*
 * The same for the drop-in malloc, whose allocations are its own. NULL in a program that runs without
 * it.
 */
__attribute__((weak)) int stele_malloc_fault_set(enum stele_fault_kind kind,
						 const struct stele_fault *how);
__attribute__((weak)) void stele_malloc_fault_read(enum stele_fault_kind kind,
						   struct stele_fault_counts *counts);
__attribute__((weak)) int stele_malloc_fault_thread(bool marked);
__attribute__((weak)) int stele_malloc_fault_nth(unsigned int n);

STELE_EXTERN_C_END

#endif
