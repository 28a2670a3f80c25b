/* SPDX-License-Identifier: MIT */
/*
 * malloc/trace.c - the drop-in's door to its events
 *
 * Idea      Under names of its own: a program that links libstele as well has two heaps, and
 *           asks for the events of the one that it means.
 * Context   ordinary threads.
 * Tests     tests/preload/trace.c
 */
#include <stele/trace.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int stele_malloc_trace_register(unsigned int events, stele_trace_fn fn, void *arg)
{
	return stele_trace_register(events, fn, arg);
}

EXPORT int stele_malloc_trace_unregister(stele_trace_fn fn, void *arg)
{
	return stele_trace_unregister(fn, arg);
}
