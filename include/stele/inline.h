/* SPDX-License-Identifier: MIT */
/*
 * stele/inline.h - kmem_cache_alloc() and kmem_cache_free() within the caller's own code
 *
 * Idea      A file that includes this header, before or after <stele/slab.h>, gets the two calls with
 *           their fast step in its own code. Whatever the step cannot do is done by the call in the
 *           library. So all that <stele/slab.h> says of the two holds here too.
 * Version   The code knows where the library keeps a few words. When a program or plugin is loaded, it
 *           asks the library for its words of this version. A library that keeps them otherwise gives
 *           none, and each call then goes to the library.
 * Where     x86-64, gcc 11 or clang 12 and later. Elsewhere the two calls are the library's.
 * Context   any.
 * Limits    Static probes (docs/tracing.md) do not see a call that ends within the caller's code.
 *           Callbacks of events do: while there is one, each call goes to the library.
 * Names     The two calls are macros with arguments. Their addresses are those of the library's calls.
 */
#ifndef STELE_INLINE_H
#define STELE_INLINE_H

#include <stddef.h>
#include <stdint.h>

#include <stele/gfp.h>
#include <stele/slab.h>

#define STELE_INLINE_VERSION 1u

STELE_EXTERN_C_BEGIN

/* What the library keeps for calls of version 1. All but `base` and `first` may change at any time. */
struct stele_inline {
	char *base;
	long area; /* of restartable sequences, from the thread pointer; a dead one: no step is done */
	size_t span;
	uint64_t unused[4];
	char *first;
};

/** stele_inline_words - the words for calls of a version; NULL: there are none. Context: any. */
STELE_API const struct stele_inline *stele_inline_words(unsigned int version);

/* What a cache begins with. */
struct stele_inline_cache {
	uint64_t words;
	uint32_t recip;
	uint32_t limit;
} __attribute__((may_alias));

#define STELE_INLINE_TAGS ((3u << 18) + (1u << 17))
#define STELE_INLINE_FRAME_SHIFT 12

#if defined(__x86_64__) && !defined(__ILP32__) && defined(__linux__) &&                            \
	((defined(__clang__) && __clang_major__ >= 12) ||                                          \
	 (!defined(__clang__) && defined(__GNUC__) && __GNUC__ >= 11))

/* One for each program and plugin. */
extern const struct stele_inline *stele_inline_here __attribute__((visibility("hidden")));
__attribute__((weak, visibility("hidden"))) const struct stele_inline *stele_inline_here = NULL;

static __attribute__((constructor, unused)) void stele_inline_begin(void)
{
	stele_inline_here = stele_inline_words(STELE_INLINE_VERSION);
}

/*
 * A plugin may be unloaded, and the kernel may look at a sequence's table after the sequence has ended.
 * So a plugin takes the table back. A program stays.
 */
#if defined(__PIC__) && !defined(__PIE__)
#define STELE_INLINE_END(area) __asm__ volatile("movq $0, %%fs:8(%0)" : : "r"(area) : "memory")
#else
#define STELE_INLINE_END(area) (void)(area)
#endif

/* {version, flags, start, length, abort}; the signature stands before the place of the abort. Then the
 * address of this slot's word. */
#define STELE_INLINE_STEP(scratch)                                                                 \
	".pushsection __rseq_cs, \"aw\"\n\t"                                                       \
	".balign 32\n\t"                                                                           \
	"55:\n\t"                                                                                  \
	".long 0, 0\n\t"                                                                           \
	".quad 1f, 2f - 1f, 4f\n\t"                                                                \
	".popsection\n\t"                                                                          \
	".pushsection __rseq_failure, \"ax\"\n\t"                                                  \
	".byte 0x0f, 0xb9, 0x3d\n\t"                                                               \
	".long 0x53053053\n\t"                                                                     \
	"4: jmp %l[aborted]\n\t"                                                                   \
	".popsection\n\t"                                                                          \
	"leaq 55b(%%rip), %[" scratch "]\n\t"                                                      \
	"movq %[" scratch "], %%fs:8(%[area])\n\t"                                                 \
	"1:\n\t"                                                                                   \
	"cmpl $0, %%fs:4(%[area])\n\t"                                                             \
	"js %l[aborted]\n\t"                                                                       \
	"movl %%fs:24(%[area]), %k[word]\n\t"                                                      \
	"movq 262144(%[base],%[word],8), %[word]\n\t"                                              \
	"addq %[words], %[word]\n\t"

/* NULL: the sheaf is empty, or the step was interrupted. */
static inline __attribute__((always_inline)) void *stele_inline_pop(const struct stele_inline *here,
								    uint64_t words)
{
	uint64_t word, top;
	char *base = here->base;
	long area = here->area;
	void *p;

	__asm__ goto volatile(STELE_INLINE_STEP("p") "movq (%[word]), %[top]\n\t"
						     "movq -8(%[top]), %[p]\n\t"
						     "testq %[p], %[p]\n\t"
						     "je %l[aborted]\n\t"
						     "subq $8, %[top]\n\t"
						     "movq %[top], (%[word])\n\t"
						     "2:\n\t"
			      : [p] "=&r"(p), [word] "=&r"(word), [top] "=&r"(top)
			      : [area] "r"(area), [base] "r"(base), [words] "r"(words)
			      : "memory", "cc"
			      : aborted);
	STELE_INLINE_END(area);
	if (!p)
		__builtin_unreachable();
	return p;
aborted:
	/* Without it gcc 12 takes the label for the end of the step. */
	__asm__ volatile("");
	STELE_INLINE_END(area);
	return NULL;
}

/* False: the sheaf is full, or has @p on top, or the step was interrupted. */
static inline __attribute__((always_inline)) bool stele_inline_push(const struct stele_inline *here,
								    uint64_t words, void *p)
{
	uint64_t word, top;
	char *base = here->base;
	long area = here->area;

	__asm__ goto volatile(STELE_INLINE_STEP("top") "movq (%[word]), %[top]\n\t"
						       "cmpq $1, (%[top])\n\t"
						       "je %l[aborted]\n\t"
						       "cmpq %[p], -8(%[top])\n\t"
						       "je %l[aborted]\n\t"
						       "movq %[p], (%[top])\n\t"
						       "addq $8, %[top]\n\t"
						       "movq %[top], (%[word])\n\t"
						       "2:\n\t"
			      : [word] "=&r"(word), [top] "=&r"(top)
			      : [area] "r"(area), [base] "r"(base), [words] "r"(words), [p] "r"(p)
			      : "memory", "cc"
			      : aborted);
	STELE_INLINE_END(area);
	return true;
aborted:
	__asm__ volatile("");
	STELE_INLINE_END(area);
	return false;
}

static inline __attribute__((always_inline, malloc)) void *stele_inline_alloc(struct kmem_cache *s,
									      gfp_t gfp)
{
	const struct stele_inline *here = stele_inline_here;
	void *p = NULL;

	if (__builtin_expect(here && !(gfp & __GFP_ZERO), 1))
		p = stele_inline_pop(here, ((const struct stele_inline_cache *)s)->words);
	return __builtin_expect(p != NULL, 1) ? p : kmem_cache_alloc(s, gfp);
}

/* Whether an object of @s starts at @p, as the page map says. */
static inline __attribute__((always_inline)) bool
stele_inline_is_object(const struct stele_inline *here, const struct stele_inline_cache *s,
		       const void *p)
{
	uint64_t offset = (uintptr_t)p - (uintptr_t)here->first, tag;

	if (__builtin_expect(offset >= here->span, 0))
		return false;
	tag = __atomic_load_n((const uint64_t *)(here->base + STELE_INLINE_TAGS) +
				      (offset >> STELE_INLINE_FRAME_SHIFT),
			      __ATOMIC_RELAXED);
	return tag >> 32 == s->words &&
	       ((uint32_t)tag - (uint32_t)(uintptr_t)p) * s->recip < s->limit;
}

static inline __attribute__((always_inline)) void stele_inline_free(struct kmem_cache *s, void *p)
{
	const struct stele_inline *here = stele_inline_here;
	const struct stele_inline_cache *cache = (const struct stele_inline_cache *)s;

	if (__builtin_expect(!here || !stele_inline_is_object(here, cache, p) ||
				     !stele_inline_push(here, cache->words, p),
			     0))
		kmem_cache_free(s, p);
}

#define kmem_cache_alloc(s, gfp) stele_inline_alloc(s, gfp)
#define kmem_cache_free(s, p) stele_inline_free(s, p)

#endif

STELE_EXTERN_C_END

#endif
