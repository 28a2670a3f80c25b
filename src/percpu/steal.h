/* SPDX-License-Identifier: MIT */
/*
 * percpu/steal.h - taking a word from a slot whose owner cannot be asked
 *
 * Idea      mark: the sheaf is replaced by REMOTE, which no step attaches over. Barrier: every
 *           step in flight is aborted or done. finish: if REMOTE is still there, no step that
 *           had read the sheaf committed over it, and the sheaf is ours.
 *           REMOTE must be a value that nothing else stores: with EMPTY, a step that popped
 *           over the mark, and an owner that detached that sheaf after it, would leave EMPTY
 *           too, and the sheaf would be taken as it was before. For the same reason only one
 *           thread takes at a time: another's REMOTE would look like one's own.
 * Order     SLOT: the barrier makes the owner's stores visible to the taker, and the taker's
 *           mark to every later step.
 * Failure   mark: 0, no sheaf is there. finish: false, try again from the start.
 * Tests     tests/model/steal.c tests/model/steal.pml
 */
#ifndef STELE_PERCPU_STEAL_H
#define STELE_PERCPU_STEAL_H

#include "sync/atomic.h"

/* Replaces *seen, a sheaf, by @mark. False: it was not there any more; *seen is what was. */
static inline bool steal_mark(_Atomic uint64_t *word, uint64_t *seen, uint64_t mark)
{
	bool done = cas_relaxed(word, seen, mark);

	STELE_POINT("steal:marked");
	return done;
}

/* After the barrier: replaces @mark by @nothing. True: the sheaf that was seen is the caller's. */
static inline bool steal_finish(_Atomic uint64_t *word, uint64_t mark, uint64_t nothing)
{
	STELE_POINT("steal:finish");
	/* ORDER(SLOT) the barrier has made the owner's stores visible. */
	return cas_acquire(word, &mark, nothing);
}

#endif
