/* SPDX-License-Identifier: MIT */
/*
 * arch/aarch64/rseq.h - the steps of arch/contract.h
 *
 * Idea      As on x86-64; `rs` and `id` are offsets from TPIDR_EL0.
 * Order     The kernel orders a slot's memory when the slot changes CPU or thread, so
 *           the committing store is a plain store.
 * Status    compiled and run under the fallback; run for real only on such a machine.
 *           The start-up self-test (percpu/system.c) decides whether it is used.
 */
#ifndef STELE_ARCH_RSEQ_H
#define STELE_ARCH_RSEQ_H

#include "arch/contract.h"

#define STELE_ARCH_HAS_RSEQ 1
#define STELE_RSEQ_SIG 0xd428bc00

#define STEP_BEGIN                                                                                 \
	".pushsection __rseq_cs, \"aw\"\n\t"                                                       \
	".balign 32\n\t"                                                                           \
	"55:\n\t"                                                                                  \
	".long 0, 0\n\t"                                                                           \
	".quad 1f, 2f - 1f, 4f\n\t"                                                                \
	".popsection\n\t"                                                                          \
	".pushsection __rseq_failure, \"ax\"\n\t"                                                  \
	".inst 0xd428bc00\n\t"                                                                     \
	"4: b %l[aborted]\n\t"                                                                     \
	".popsection\n\t"                                                                          \
	"adrp %[word], 55b\n\t"                                                                    \
	"add %[word], %[word], :lo12:55b\n\t"                                                      \
	"str %[word], [%[area], #8]\n\t"                                                           \
	"1:\n\t"                                                                                   \
	"ldr %w[word], [%[area], #4]\n\t"                                                          \
	"tbnz %w[word], #31, %l[aborted]\n\t"

#define STEP_WORD                                                                                  \
	"ldr %w[word], [%[idp]]\n\t"                                                               \
	"ldr %[word], [%[slots], %[word], lsl #3]\n\t"                                             \
	"add %[word], %[word], %[off]\n\t"

static inline struct rseq_area *step_area(long rs)
{
	return (struct rseq_area *)((char *)__builtin_thread_pointer() + rs);
}

static inline uint32_t step_slot(long id)
{
	return *(volatile uint32_t *)((char *)__builtin_thread_pointer() + id);
}

static inline void *step_pop_any(char *base, long rs, long id, uint64_t off)
{
	char *tp = __builtin_thread_pointer();
	uint64_t word, top;
	void *p;

	__asm__ goto volatile(STEP_BEGIN STEP_WORD
			      "ldr %[top], [%[word]]\n\t"
			      "ldr %[p], [%[top], #-8]\n\t"
			      "cbz %[p], %l[aborted]\n\t"
			      "sub %[top], %[top], #8\n\t"
			      "str %[top], [%[word]]\n\t"
			      "2:\n\t"
			      : [p] "=&r"(p), [word] "=&r"(word), [top] "=&r"(top)
			      : [area] "r"(tp + rs), [idp] "r"(tp + id),
				[slots] "r"(base + STELE_SLOTS_OFFSET), [off] "r"(off)
			      : "memory", "cc"
			      : aborted);
	return p;
aborted:
	STEP_LEFT();
	return (void *)0;
}

static inline bool step_push_any(char *base, long rs, long id, uint64_t off, void *p)
{
	char *tp = __builtin_thread_pointer();
	uint64_t word, top, entry;

	__asm__ goto volatile(STEP_BEGIN STEP_WORD
			      "ldr %[top], [%[word]]\n\t"
			      "ldr %[entry], [%[top]]\n\t"
			      "cmp %[entry], #1\n\t"
			      "b.eq %l[aborted]\n\t"
			      "ldr %[entry], [%[top], #-8]\n\t"
			      "cmp %[entry], %[p]\n\t"
			      "b.eq %l[aborted]\n\t"
			      "str %[p], [%[top]], #8\n\t"
			      "str %[top], [%[word]]\n\t"
			      "2:\n\t"
			      : [word] "=&r"(word), [top] "=&r"(top), [entry] "=&r"(entry)
			      : [area] "r"(tp + rs), [idp] "r"(tp + id),
				[slots] "r"(base + STELE_SLOTS_OFFSET), [off] "r"(off), [p] "r"(p)
			      : "memory", "cc"
			      : aborted);
	return true;
aborted:
	STEP_LEFT();
	return false;
}

static inline void *step_pop(char *base, long rs, uint64_t off)
{
	return step_pop_any(base, rs, rs + 24, off);
}

static inline bool step_push(char *base, long rs, uint64_t off, void *p)
{
	return step_push_any(base, rs, rs + 24, off, p);
}

static inline enum step_result step_cas(char *base, long rs, long id, uint64_t off, uint64_t old,
					uint64_t new)
{
	char *tp = __builtin_thread_pointer();
	uint64_t word, seen;

	__asm__ goto volatile(STEP_BEGIN STEP_WORD
			      "ldr %[seen], [%[word]]\n\t"
			      "cmp %[seen], %[old]\n\t"
			      "b.ne %l[differs]\n\t"
			      "str %[new], [%[word]]\n\t"
			      "2:\n\t"
			      : [word] "=&r"(word), [seen] "=&r"(seen)
			      : [area] "r"(tp + rs), [idp] "r"(tp + id),
				[slots] "r"(base + STELE_SLOTS_OFFSET), [off] "r"(off),
				[old] "r"(old), [new] "r"(new)
			      : "memory", "cc"
			      : aborted, differs);
	return STEP_DONE;
differs:
	STEP_LEFT();
	return STEP_DIFFERS;
aborted:
	STEP_LEFT();
	return STEP_ABORTED;
}

static inline bool step_spin(long rs, uint64_t spins)
{
	char *tp = __builtin_thread_pointer();
	uint64_t word, left;

	__asm__ goto volatile(STEP_BEGIN
			      "mov %[left], %[spins]\n\t"
			      "3:\n\t"
			      "yield\n\t"
			      "subs %[left], %[left], #1\n\t"
			      "b.ne 3b\n\t"
			      "2:\n\t"
			      : [word] "=&r"(word), [left] "=&r"(left)
			      : [area] "r"(tp + rs), [spins] "r"(spins)
			      : "memory", "cc"
			      : aborted);
	return false;
aborted:
	STEP_LEFT();
	return true;
}

#endif
