/* SPDX-License-Identifier: MIT */
/*
 * slab/events.h - events of slabs and sheaves: a probe, and a call where a callback asked for it
 *
 * Context   any, at points where a signal might strike as well (trace/trace.h).
 */
#ifndef STELE_SLAB_EVENTS_H
#define STELE_SLAB_EVENTS_H

#include "trace/probe.h"
#include "trace/trace.h"

/* An event about a sheaf (bytes: 0) or a slab of @s, with @n objects in it. */
#define CACHE_EVENT(kind, probe, s, at, n, bytes)                                                  \
	do {                                                                                       \
		PROBE_OF_CACHE(probe, at, (s)->name, n);                                           \
		if (trace_asked(STELE_TRACE_##kind))                                               \
			stele_trace_of_cache(STELE_TRACE_##kind, at, (s)->name, n, bytes);         \
	} while (0)
#define SHEAF_EVENT(kind, probe, s, sheaf, n) CACHE_EVENT(kind, probe, s, sheaf, n, 0)

#endif
