/* SPDX-License-Identifier: MIT */
/*
 * arch/generic/rseq.h - no restartable sequences: every step gives up
 *
 * percpu/ then uses slots picked by thread with a trylock each.
 */
#ifndef STELE_ARCH_RSEQ_H
#define STELE_ARCH_RSEQ_H

#include "arch/contract.h"

#define STELE_ARCH_HAS_RSEQ 0
#define STELE_RSEQ_SIG 0

static inline void *step_pop(char *base, long rs, uint64_t off)
{
	(void)base, (void)rs, (void)off;
	return (void *)0;
}

static inline bool step_push(char *base, long rs, uint64_t off, void *p)
{
	(void)base, (void)rs, (void)off, (void)p;
	return false;
}

static inline void *step_pop_any(char *base, long rs, long id, uint64_t off)
{
	(void)base, (void)rs, (void)id, (void)off;
	return (void *)0;
}

static inline bool step_push_any(char *base, long rs, long id, uint64_t off, void *p)
{
	(void)base, (void)rs, (void)id, (void)off, (void)p;
	return false;
}

static inline enum step_result step_cas(char *base, long rs, long id, uint64_t off, uint64_t old,
					uint64_t new)
{
	(void)base, (void)rs, (void)id, (void)off, (void)old, (void)new;
	return STEP_ABORTED;
}

static inline bool step_spin(long rs, uint64_t spins)
{
	(void)rs, (void)spins;
	return false;
}

static inline struct rseq_area *step_area(long rs)
{
	(void)rs;
	return (struct rseq_area *)0;
}

static inline uint32_t step_slot(long id)
{
	(void)id;
	return 0;
}

#endif
