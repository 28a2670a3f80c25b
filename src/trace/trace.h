/* SPDX-License-Identifier: MIT */
/*
 * trace/trace.h - reporting an event
 *
 * Idea      The slow paths report; on a fast path there is at most a probe, which is one
 *           no-operation. A callback for what the fast paths do closes them instead: every step
 *           then fails as on a thread without restartable sequences (stele_fast_path()).
 * Objects   stele_trace_wanted: the events that any callback asked for; racy, the table decides. And
 *           the WATCH_ bits: other work that is for slow paths alone.
 * Context   any.
 */
#ifndef STELE_TRACE_TRACE_H
#define STELE_TRACE_TRACE_H

#include "base/bits.h"
#include "sync/atomic.h"
#include <stele/trace.h>

/* These happen on fast paths. */
#define TRACE_FAST                                                                                 \
	(STELE_TRACE_KMALLOC | STELE_TRACE_KFREE | STELE_TRACE_KMEM_CACHE_ALLOC |                  \
	 STELE_TRACE_KMEM_CACHE_FREE)

extern _Atomic uint32_t stele_trace_wanted __attribute__((visibility("hidden")));

/* In the same word: other work of the slow paths. The fast paths are closed for it. */
#define WATCH_CLEAR_NEW (1u << 24)   /* the option init_on_alloc */
#define WATCH_CLEAR_FREED (1u << 25) /* the option init_on_free */
#define WATCH_FAIL_SLAB (1u << 26)   /* some objects are to fail (trace/fault.h) */
#define WATCH_FAIL_PAGE (1u << 27)   /* some blocks of pages are */
#define WATCH_FAIL (WATCH_FAIL_SLAB | WATCH_FAIL_PAGE)
/* Some caches check their objects (slab/layout.h). The fast paths of the others stay open. */
#define WATCH_OBJECTS (1u << 28)
#define WATCH_ALL (WATCH_CLEAR_NEW | WATCH_CLEAR_FREED | WATCH_FAIL)
_Static_assert(!((WATCH_ALL | WATCH_OBJECTS) & (STELE_TRACE_ALL | STELE_TRACE_NESTED)),
	       "bits of their own");

/* Sets @on of the WATCH_ bits and clears @off, and opens or closes the fast paths. Any context. */
void stele_trace_watch(uint32_t on, uint32_t off);

/* Calls each callback that asked for event->event. */
void stele_trace_call(const struct stele_trace_event *event);

/* An event about memory of a cache. Out of line, so that the slow paths, which are deep, need no
 * room for it. */
void stele_trace_of_cache(uint32_t event, const void *ptr, const char *name, unsigned objects,
			  size_t bytes);

/* In the child of fork(): the calls of threads that are gone do not count. */
void stele_trace_after_fork(void);

/* The address that the function at hand returns to: the caller. In a function that is always
 * inlined, the one around it. Taken where it is needed, it costs nothing elsewhere. */
#define STELE_CALLER __builtin_return_address(0)

static inline bool trace_asked(uint32_t event)
{
	return stele_unlikely(load_relaxed(&stele_trace_wanted) & event);
}

/* TRACE(KFREE, .ptr = p): fields are evaluated only when a callback asked for the event. The event
 * takes 72 bytes of the function's frame: a function that others are called from has it done
 * elsewhere. */
#define TRACE(kind, ...)                                                                           \
	do {                                                                                       \
		if (trace_asked(STELE_TRACE_##kind))                                               \
			stele_trace_call(&(const struct stele_trace_event){                        \
				.event = STELE_TRACE_##kind, __VA_ARGS__ });                       \
	} while (0)

#endif
