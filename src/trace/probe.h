/* SPDX-License-Identifier: MIT */
/*
 * trace/probe.h - static probes of the provider kmem, for perf, bpftrace and their like
 *
 * Idea      A probe is one no-operation, and a note in the file that says where it is and in
 *           which registers its arguments are. A tracer puts a breakpoint there. Arguments are
 *           values that are in registers anyway, or fields that the tracer itself reads through
 *           one.
 * Format    notes of the owner "stapsdt", type 3: address, base, semaphore (none here), then
 *           provider, name and arguments as text, each SIZE@OPERAND. Written here and not taken
 *           from <sys/sdt.h>, so that every build has the same probes.
 * Context   any; always outside of a restartable sequence, which a breakpoint would abort.
 * Tests     tests/tooling/probes
 */
#ifndef STELE_TRACE_PROBE_H
#define STELE_TRACE_PROBE_H

#include <stddef.h>
#include <stdint.h>

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
