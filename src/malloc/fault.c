/* SPDX-License-Identifier: MIT */
/*
 * malloc/fault.c - the drop-in's door to allocations that fail on purpose
 *
 * Idea      Under names of its own, as for its events (malloc/trace.c).
 * Context   ordinary threads.
 * Tests     tests/preload/fault.c
 */
#include <stele/fault.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int stele_malloc_fault_set(enum stele_fault_kind kind, const struct stele_fault *how)
{
	return stele_fault_set(kind, how);
}

EXPORT void stele_malloc_fault_read(enum stele_fault_kind kind, struct stele_fault_counts *counts)
{
	stele_fault_read(kind, counts);
}

EXPORT int stele_malloc_fault_thread(bool marked)
{
	return stele_fault_thread(marked);
}

EXPORT int stele_malloc_fault_nth(unsigned int n)
{
	return stele_fault_nth(n);
}
