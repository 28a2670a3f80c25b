/* SPDX-License-Identifier: MIT */
/*
 * stele/trace.h - callbacks at the allocator's events, which are the kernel's trace points
 *
 * Idea      The library calls a registered callback once per event, in the thread and at the
 *           instruction where the event happens: in the middle of a slow path, in a signal
 *           handler, anywhere. The callback may use every call that is for any context, such as
 *           kmalloc_nolock().
 * Cost      None while no callback is registered: no fast path tests a flag. Callbacks for the
 *           first four events send every call the slow way; the others leave the fast paths alone.
 * USDT      The same events are static probes of the provider `kmem`, for perf and bpftrace.
 * Limits    Eight callbacks at a time. libstele and the drop-in have their events apart.
 * See       docs/tracing.md
 */
#ifndef STELE_TRACE_H
#define STELE_TRACE_H

#include <stddef.h>

#include <stele/compiler.h>
#include <stele/gfp.h>

STELE_EXTERN_C_BEGIN

/* The fields of each event; a field that is not named is 0 or NULL. */
enum stele_trace {
	/* After an allocation, one that failed included (ptr NULL); bulk: once per object.
	 * call_site ptr bytes_req bytes_alloc gfp_flags node */
	STELE_TRACE_KMALLOC = 1u << 0,
	/* Before an object is freed: it still belongs to the caller. Not for NULL or a refused free.
	 * call_site ptr */
	STELE_TRACE_KFREE = 1u << 1,
	/* As KMALLOC, with the cache's name. */
	STELE_TRACE_KMEM_CACHE_ALLOC = 1u << 2,
	/* As KFREE, with the cache's name. */
	STELE_TRACE_KMEM_CACHE_FREE = 1u << 3,

	/* A run of pages: for alloc_pages(), a large kmalloc(), or a slab.
	 * ptr bytes_req bytes_alloc order gfp_flags (0 for a slab's) */
	STELE_TRACE_MM_PAGE_ALLOC = 1u << 4,
	/* Before a run goes back. ptr bytes_alloc order */
	STELE_TRACE_MM_PAGE_FREE = 1u << 5,

	/* Objects moved from slabs into a sheaf, and back. ptr (the sheaf) name objects */
	STELE_TRACE_SHEAF_REFILL = 1u << 6,
	STELE_TRACE_SHEAF_FLUSH = 1u << 7,
	/* A sheaf with objects left the barn, and entered it. ptr (the sheaf) name objects */
	STELE_TRACE_BARN_GET = 1u << 8,
	STELE_TRACE_BARN_PUT = 1u << 9,
	/* A slab was made, and is about to be given back. ptr (its memory) name objects bytes_alloc */
	STELE_TRACE_SLAB_NEW = 1u << 10,
	STELE_TRACE_SLAB_FREE = 1u << 11,

	STELE_TRACE_ALL = (1u << 12) - 1,

	/* Added to events: also report events that callbacks cause, up to STELE_TRACE_DEPTH deep. */
	STELE_TRACE_NESTED = 1u << 30,
};

#define STELE_TRACE_MAX 8   /* callbacks at a time */
#define STELE_TRACE_DEPTH 4 /* callbacks inside of callbacks, at most */

struct stele_trace_event {
	unsigned int event; /* one of enum stele_trace */
	int node;	    /* the requested node; NUMA_NO_NODE for none */
	gfp_t gfp_flags;
	unsigned int order;    /* the smallest whose block holds bytes_alloc */
	unsigned int objects;  /* objects that moved, or that the slab holds */
	const void *call_site; /* in the caller, or in the library for its own calls */
	const void *ptr;
	const char *name; /* of the cache, as long as it exists */
	size_t bytes_req;
	size_t bytes_alloc;
};

/**
 * stele_trace_fn - a callback
 * @event: valid until the callback returns
 *
 * Context: the context of the call that caused the event. It may allocate and free as a signal
 *          handler may. It must return; it must not use longjmp() or end its thread. errno is kept.
 *          Signals that are sent to the thread are held back meanwhile. Its own allocations cause
 *          no events except for callbacks with STELE_TRACE_NESTED.
 *          Compilers assume that malloc() calls nothing of the program: make the variables that a
 *          callback changes atomic or volatile.
 */
typedef void (*stele_trace_fn)(const struct stele_trace_event *event, void *arg);

/**
 * stele_trace_register - call @fn(event, @arg) at @events
 * @events: STELE_TRACE_* or'ed, with or without STELE_TRACE_NESTED
 *
 * Return:  0. -EINVAL: no event, an unknown one, or no function. -EEXIST: @fn with @arg is there
 *          already. -ENOSPC: there are STELE_TRACE_MAX. -EDEADLK: called from a callback.
 * Context: ordinary threads.
 * Order:   events that happen after this call has returned are reported.
 */
STELE_API int stele_trace_register(unsigned int events, stele_trace_fn fn, void *arg);

/**
 * stele_trace_unregister - remove a callback; @fn and @arg as they were registered
 *
 * Return:  0: @fn runs in no thread any more, and @arg may be freed. -ENOENT: not registered.
 *          -EDEADLK: called from a callback; it stays.
 * Context: ordinary threads; waits for calls of @fn that are under way. It does not wait for a
 *          thread that has died, or for one that a signal handler made leave the library.
 */
STELE_API int stele_trace_unregister(stele_trace_fn fn, void *arg);

/**
 * stele_trace_name - "kmem:kmalloc" and so on; NULL if @event is not a single event
 *
 * Context: any.
 */
STELE_API const char *stele_trace_name(unsigned int event);

/*
 * The same for the drop-in malloc, whose events are its own: kmalloc and kfree for malloc(),
 * free() and their kin. NULL in a program that runs without it.
 */
__attribute__((weak)) int stele_malloc_trace_register(unsigned int events, stele_trace_fn fn,
						      void *arg);
__attribute__((weak)) int stele_malloc_trace_unregister(stele_trace_fn fn, void *arg);

STELE_EXTERN_C_END

#endif
