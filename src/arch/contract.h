/* SPDX-License-Identifier: MIT */
/*
 * arch/contract.h - the steps every architecture answers
 *
 * A step is a restartable sequence: the kernel sends it to its abort label when the
 * thread is preempted, migrated or interrupted by a signal before the committing store.
 * Each has exactly one committing store, its last instruction.
 *
 *   slot     = registered(area) ? area.slot_id : give up
 *   word     = slots[slot] + offset                      (address of a per-slot word)
 *
 *   pop      top = *word; p = top[-1]; if (!p) give up;             commit *word = top - 1
 *   push     top = *word; if (*top == STELE_SHEAF_END || top[-1] == p) give up;
 *            *top = p;                                              commit *word = top + 1
 *   cas      if (*word != old) differ;                              commit *word = new
 *   read     value = *word                                          (no commit; a snapshot)
 *
 * A word that points into a sheaf always has a readable word before it and at it, so
 * pop and push need no other check: 0 below the first entry, STELE_SHEAF_END after the last.
 *
 * Addressing is by one plain register for the word and for the entry. Processors of the
 * last years predict store-to-load forwarding for such accesses; with an index register
 * the same code took three times as long (docs/decisions/0001-hot-path.md).
 *
 * The results of cas.
 */
#ifndef STELE_ARCH_CONTRACT_H
#define STELE_ARCH_CONTRACT_H

#include <stdbool.h>
#include <stdint.h>

#define STELE_SHEAF_END 1 /* the entry after the last of a sheaf */
#ifndef STELE_SLOTS_OFFSET	  /* a model has less before them */
#define STELE_SLOTS_OFFSET 262144 /* slots[] from the heap's base */
#endif

enum step_result {
	STEP_DONE,
	STEP_DIFFERS,
	STEP_ABORTED, /* interrupted, or the thread is not registered */
};

/*
 * At each label a step may leave by. GCC 12 takes the label for the fall-through otherwise and
 * returns the step's output as if it had been done: an aborted pop gave out its scratch register.
 */
#define STEP_LEFT() __asm__ volatile("")

struct rseq_area; /* percpu/system.h */
#define STELE_CPU_ID_OFFSET 4 /* of cpu_id in struct rseq_area */

#endif
