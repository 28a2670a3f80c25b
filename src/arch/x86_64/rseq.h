/* SPDX-License-Identifier: MIT */
/*
 * arch/x86_64/rseq.h - the steps of arch/contract.h
 *
 * Idea      asm goto, one descriptor per use in its own section. The thread's area is
 *           reached through %fs, so `rs` is an offset from the thread pointer.
 * Order     x86 keeps stores in order; the committing store needs no fence. The kernel
 *           orders a slot's memory when the slot changes CPU or thread.
 * Tests     tests/unit/percpu/test_steps.c
 */
#ifndef STELE_ARCH_RSEQ_H
#define STELE_ARCH_RSEQ_H

#include "arch/contract.h"

#define STELE_ARCH_HAS_RSEQ 1
#define STELE_RSEQ_SIG 0x53053053

/* Descriptor {version, flags, start, length, abort}; the signature precedes the abort label. */
#define STEP_TABLE                                                                                 \
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
	".popsection\n\t"

#define STEP_BEGIN(scratch)                                                                        \
	STEP_TABLE                                                                                 \
	"leaq 55b(%%rip), %[" scratch "]\n\t"                                                      \
	"movq %[" scratch "], %%fs:8(%[rs])\n\t"                                                   \
	"1:\n\t"                                                                                   \
	"cmpl $0, %%fs:4(%[rs])\n\t"                                                               \
	"js %l[aborted]\n\t"

/* word = slots[slot] + offset, the slot being mm_cid (fast) or at any offset (slow). */
#define STEP_SLOT_CID "movl %%fs:24(%[rs]), %k[word]\n\t"
#define STEP_SLOT_ANY "movl %%fs:(%[id]), %k[word]\n\t"
#define STEP_WORD                                                                                  \
	"movq 262144(%[base],%[word],8), %[word]\n\t"                                               \
	"addq %[off], %[word]\n\t"

#define STEP_POP                                                                                   \
	"movq (%[word]), %[top]\n\t"                                                               \
	"movq -8(%[top]), %[p]\n\t"                                                                \
	"testq %[p], %[p]\n\t"                                                                     \
	"je %l[aborted]\n\t"                                                                       \
	"subq $8, %[top]\n\t"                                                                      \
	"movq %[top], (%[word])\n\t"                                                               \
	"2:\n\t"

#define STEP_PUSH                                                                                  \
	"movq (%[word]), %[top]\n\t"                                                               \
	"cmpq $1, (%[top])\n\t"                                                                    \
	"je %l[aborted]\n\t"                                                                       \
	"cmpq %[p], -8(%[top])\n\t"                                                                \
	"je %l[aborted]\n\t"                                                                       \
	"movq %[p], (%[top])\n\t"                                                                  \
	"addq $8, %[top]\n\t"                                                                      \
	"movq %[top], (%[word])\n\t"                                                               \
	"2:\n\t"

static inline __attribute__((always_inline)) void *step_pop(char *base, long rs, uint64_t off)
{
	uint64_t word, top;
	void *p;

	__asm__ goto volatile(STEP_BEGIN("p") STEP_SLOT_CID STEP_WORD STEP_POP
			      : [p] "=&a"(p), [word] "=&r"(word), [top] "=&r"(top)
			      : [rs] "r"(rs), [base] "r"(base), [off] "r"(off)
			      : "memory", "cc"
			      : aborted);
	if (!p)
		__builtin_unreachable();
	return p;
aborted:
	STEP_LEFT();
	return (void *)0;
}

static inline __attribute__((always_inline)) bool step_push(char *base, long rs, uint64_t off,
							    void *p)
{
	uint64_t word, top;

	__asm__ goto volatile(STEP_BEGIN("top") STEP_SLOT_CID STEP_WORD STEP_PUSH
			      : [word] "=&r"(word), [top] "=&r"(top)
			      : [rs] "r"(rs), [base] "r"(base), [off] "r"(off), [p] "r"(p)
			      : "memory", "cc"
			      : aborted);
	return true;
aborted:
	STEP_LEFT();
	return false;
}

/* The same two with the slot id read at thread-pointer offset @id. */
static inline void *step_pop_any(char *base, long rs, long id, uint64_t off)
{
	uint64_t word, top;
	void *p;

	__asm__ goto volatile(STEP_BEGIN("p") STEP_SLOT_ANY STEP_WORD STEP_POP
			      : [p] "=&r"(p), [word] "=&r"(word), [top] "=&r"(top)
			      : [rs] "r"(rs), [base] "r"(base), [off] "r"(off), [id] "r"(id)
			      : "memory", "cc"
			      : aborted);
	return p;
aborted:
	STEP_LEFT();
	return (void *)0;
}

static inline bool step_push_any(char *base, long rs, long id, uint64_t off, void *p)
{
	uint64_t word, top;

	__asm__ goto volatile(STEP_BEGIN("top") STEP_SLOT_ANY STEP_WORD STEP_PUSH
			      : [word] "=&r"(word), [top] "=&r"(top)
			      : [rs] "r"(rs), [base] "r"(base), [off] "r"(off), [p] "r"(p),
				[id] "r"(id)
			      : "memory", "cc"
			      : aborted);
	return true;
aborted:
	STEP_LEFT();
	return false;
}

static inline enum step_result step_cas(char *base, long rs, long id, uint64_t off, uint64_t old,
					uint64_t new)
{
	uint64_t word;

	__asm__ goto volatile(STEP_BEGIN("word") STEP_SLOT_ANY STEP_WORD
			      "cmpq %[old], (%[word])\n\t"
			      "jne %l[differs]\n\t"
			      "movq %[new], (%[word])\n\t"
			      "2:\n\t"
			      : [word] "=&r"(word)
			      : [rs] "r"(rs), [base] "r"(base), [off] "r"(off), [id] "r"(id),
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

/* A sequence that only waits to be aborted: true when that happened within @spins rounds. */
static inline bool step_spin(long rs, uint64_t spins)
{
	uint64_t left = spins;

	__asm__ goto volatile(STEP_BEGIN("left")
			      "movq %[spins], %[left]\n\t"
			      "3:\n\t"
			      "pause\n\t"
			      "subq $1, %[left]\n\t"
			      "jne 3b\n\t"
			      "2:\n\t"
			      : [left] "=&r"(left)
			      : [rs] "r"(rs), [spins] "r"(spins)
			      : "memory", "cc"
			      : aborted);
	return false;
aborted:
	STEP_LEFT();
	return true;
}

static inline struct rseq_area *step_area(long rs)
{
	return (struct rseq_area *)((char *)__builtin_thread_pointer() + rs);
}

static inline uint32_t step_slot(long id)
{
	return *(volatile uint32_t *)((char *)__builtin_thread_pointer() + id);
}

#endif
