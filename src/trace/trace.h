/* SPDX-License-Identifier: MIT */
/*
 * trace/trace.h - reporting an event to callbacks and to tracers; and failing on purpose
 *
 * Idea      The slow paths report; on a fast path there is at most a probe, which is one
 *           no-operation. A callback for what the fast paths do closes them instead: every step
 *           then fails as on a thread without restartable sequences (stele_fast_path()).
 * Objects   stele_trace_wanted: the events that any callback asked for; racy, the table decides. And
 *           the WATCH_ bits: other work that is for slow paths alone. Two of them ask for failures
 *           (fault.c): while one is set, the slow paths of the kind ask here.
 * Probes    A probe is one no-operation, and a note in the file that says where it is and in
 *           which registers its arguments are. A tracer puts a breakpoint there: perf, bpftrace and
 *           their like. Arguments are values that are in registers anyway, or fields that the tracer
 *           itself reads through one.
 * Format    notes of the owner "stapsdt", type 3: address, base, semaphore (none here), then
 *           provider, name and arguments as text, each SIZE@OPERAND. Written here and not taken
 *           from <sys/sdt.h>, so that every build has the same probes.
 * Context   any; a probe is always outside of a restartable sequence, which a breakpoint would abort.
 * Tests     tests/contract/test_trace.c, tests/contract/test_fault.c, tests/tooling/probes
 */
#ifndef STELE_TRACE_TRACE_H
#define STELE_TRACE_TRACE_H

#include "base/basics.h"
#include "sync/atomic.h"
#include <stddef.h>
#include <stdint.h>
#include <stele/fault.h>
#include <stele/gfp.h>
#include <stele/trace.h>

/* These happen on fast paths. */
#define TRACE_FAST                                                                                 \
	(STELE_TRACE_KMALLOC | STELE_TRACE_KFREE | STELE_TRACE_KMEM_CACHE_ALLOC |                  \
	 STELE_TRACE_KMEM_CACHE_FREE)

extern _Atomic uint32_t stele_trace_wanted __attribute__((visibility("hidden")));

/* In the same word: other work of the slow paths. The fast paths are closed for it. */
#define WATCH_CLEAR_NEW (1u << 24)   /* the option init_on_alloc */
#define WATCH_CLEAR_FREED (1u << 25) /* the option init_on_free */
#define WATCH_FAIL_SLAB (1u << 26)   /* some objects are to fail (trace/fault.c) */
#define WATCH_FAIL_PAGE (1u << 27)   /* some blocks of pages are */
#define WATCH_FAIL (WATCH_FAIL_SLAB | WATCH_FAIL_PAGE)
/* Some caches check their objects (slab/checks.h). The fast paths of the others stay open. */
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

/* ---- failing on purpose ---- */

struct fault_call {
	const char *name; /* of the cache; NULL: pages */
	size_t bytes;
	gfp_t gfp;
	bool marked;	  /* the cache is marked for failures */
	const void *site; /* the caller; NULL: a structure of the library for a user */
};

bool stele_fault_hits(enum stele_fault_kind kind, const struct fault_call *call);
/* For a block of pages. Out of line: the callers are deep. */
bool stele_fault_hits_pages(size_t bytes, gfp_t gfp, const void *site);

static inline bool pages_fail(size_t bytes, gfp_t gfp, const void *site)
{
	return trace_asked(WATCH_FAIL_PAGE) && stele_fault_hits_pages(bytes, gfp, site);
}

/* Makes the choices that the options name, once the options are known. */
void stele_fault_by_options(void);

/* ---- probes ---- */

#ifdef STELE_NO_PROBES /* a test counts what a fast path is without its probe */
#define PROBE(name, arguments, ...) ((void)0)
#elif defined(__x86_64__) || defined(__aarch64__)
#define PROBE(name, arguments, ...)                                                                \
	__asm__ volatile("990: nop\n\t"                                                            \
			 ".pushsection .note.stapsdt, \"\", \"note\"\n\t"                          \
			 ".balign 4\n\t"                                                           \
			 ".4byte 992f - 991f, 994f - 993f, 3\n"                                    \
			 "991: .asciz \"stapsdt\"\n"                                               \
			 "992: .balign 4\n"                                                        \
			 "993: .8byte 990b, _.stapsdt.base, 0\n\t"                                 \
			 ".asciz \"kmem\"\n\t"                                                     \
			 ".asciz \"" name "\"\n\t"                                                 \
			 ".asciz \"" arguments "\"\n"                                              \
			 "994: .balign 4\n\t"                                                      \
			 ".popsection\n\t"                                                         \
			 ".ifndef _.stapsdt.base\n\t"                                              \
			 ".pushsection .stapsdt.base, \"aG\", \"progbits\", .stapsdt.base, "       \
			 "comdat\n\t"                                                              \
			 ".weak _.stapsdt.base\n\t"                                                \
			 ".hidden _.stapsdt.base\n"                                                \
			 "_.stapsdt.base: .space 1\n\t"                                            \
			 ".size _.stapsdt.base, 1\n\t"                                             \
			 ".popsection\n\t"                                                         \
			 ".endif\n" ::__VA_ARGS__)
#else
#define PROBE(name, arguments, ...) __asm__ volatile("" ::__VA_ARGS__)
#endif

/*
 * The events of an object. perf wants each place of a probe to have the same arguments, all in
 * registers or memory; so a probe has only the arguments that every place has at hand.
 */
static inline __attribute__((always_inline)) void probe_kmalloc(const void *ptr, size_t req)
{
	PROBE("kmalloc", "8@%[ptr] 8@%[req]", [ptr] "r"(ptr), [req] "r"(req));
}

static inline __attribute__((always_inline)) void probe_kfree(const void *ptr)
{
	PROBE("kfree", "8@%[ptr]", [ptr] "r"(ptr));
}

/* Fields of the cache are read by the tracer. */
static inline __attribute__((always_inline)) void
probe_kmem_cache_alloc(const void *ptr, const char *const *name, const _Atomic uint32_t *req,
		       const uint32_t *alloc, unsigned gfp)
{
	PROBE("kmem_cache_alloc",
	      "8@%[ptr] 8@%[name] 4@%[req] 4@%[alloc] 4@%[gfp]", [ptr] "r"(ptr), [name] "m"(*name),
	      [req] "m"(*(const uint32_t *)req), [alloc] "m"(*alloc), [gfp] "r"(gfp));
}

static inline __attribute__((always_inline)) void probe_kmem_cache_free(const void *ptr,
									const char *const *name)
{
	PROBE("kmem_cache_free", "8@%[ptr] 8@%[name]", [ptr] "r"(ptr), [name] "m"(*name));
}

static inline void probe_mm_page_alloc(const void *ptr, size_t bytes, unsigned gfp)
{
	PROBE("mm_page_alloc",
	      "8@%[ptr] 8@%[bytes] 4@%[gfp]", [ptr] "r"(ptr), [bytes] "r"(bytes), [gfp] "r"(gfp));
}

static inline void probe_mm_page_free(const void *ptr, size_t bytes)
{
	PROBE("mm_page_free", "8@%[ptr] 8@%[bytes]", [ptr] "r"(ptr), [bytes] "r"(bytes));
}

/* The events of a sheaf or a slab: its address, the cache's name, the number of objects in it. */
#define PROBE_OF_CACHE(what, ptr, cache_name, n)                                                   \
	PROBE(what, "8@%[p] 8@%[name] 4@%[objects]", [p] "r"((const void *)(ptr)),                 \
	      [name] "r"((const char *)(cache_name)), [objects] "r"((uint32_t)(n)))

#endif
