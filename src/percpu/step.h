/* SPDX-License-Identifier: MIT */
/*
 * percpu/step.h - the fast steps on a slot's words, inlined into the fast paths
 *
 * Idea      One restartable sequence each (arch/contract.h). A step that cannot be done as it is says
 *           NULL or false, and its caller goes the slow way.
 * Context   any.
 * Tests     tests/unit/percpu/test_steps.c
 */
#ifndef STELE_PERCPU_STEP_H
#define STELE_PERCPU_STEP_H

#include "arch/rseq.h"
#include "percpu/percpu.h"

/* Fast steps. NULL or false: take the slow way. */
static inline __attribute__((always_inline)) void *pcpu_pop(uint64_t words)
{
	return step_pop(stele_hot.base, stele_hot.rseq, words);
}

static inline __attribute__((always_inline)) bool pcpu_push(uint64_t words, void *p)
{
	return step_push(stele_hot.base, stele_hot.rseq, words, p);
}

/* The same for WORD_RCU. */
static inline __attribute__((always_inline)) bool pcpu_push_rcu(uint64_t words, void *p)
{
	return step_push(stele_hot.base, stele_hot.rseq, words + WORD_RCU, p);
}

/*
 * The fast steps read mm_cid. If slots are numbered by CPU or by thread, the fast steps give up at
 * once, and a slow way starts with one of these. With mm_cid these give up at once.
 */
static inline __attribute__((always_inline)) void *pcpu_pop_late(uint64_t words)
{
	long area = stele_hot.by_cpu;

	if (area)
		return step_pop_any(stele_hot.base, area, area + STELE_CPU_ID_OFFSET, words);
	return stele_hot.by_thread ? stele_pcpu_pop(words) : NULL;
}

static inline __attribute__((always_inline)) bool pcpu_push_late(uint64_t words, void *p)
{
	long area = stele_hot.by_cpu;

	if (area)
		return step_push_any(stele_hot.base, area, area + STELE_CPU_ID_OFFSET, words, p);
	return stele_hot.by_thread && stele_pcpu_push(words, p);
}

#endif
