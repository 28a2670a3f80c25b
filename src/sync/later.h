/* SPDX-License-Identifier: MIT */
/*
 * sync/later.h - a list of things that another thread shall look at
 *
 * Idea      A thread that must not do a piece of work notes the thing that needs it, and goes on. A
 *           note says "look here"; the thing's own state says what to do. So a thing is on the list
 *           once, however often it was noted, and a note that is out of date is harmless.
 * Objects   a stack (sync/stack.h) of things that never leave memory. noted: a thread sets it to 1
 *           before it pushes the thing, and the taker sets it to 0 after it has popped the thing.
 * Order     LATER: the mark is set and cleared by exchanges that acquire and release. A thread that
 *           finds it set pushes nothing: the thread that clears it sees all that was done before.
 * Context   any, a few steps; each lost race means that another thread made progress.
 * Tests     tests/model/deferred.c
 */
#ifndef STELE_SYNC_LATER_H
#define STELE_SYNC_LATER_H

#include "sync/stack.h"

struct stele_later_list {
	struct stele_stack stack; /* of links; its base is such that they are on its grain */
};

static inline bool later_is_empty(struct stele_later_list *list)
{
	return !STELE_STACK_INDEX(load_relaxed(&list->stack.head));
}

/* After the thing's state says that there is something to do. */
static inline void later_note(struct stele_later_list *list, void *base, struct stele_later *later)
{
	STELE_POINT("later:note");
	/* ORDER(LATER) release: the thread that clears the mark sees that state. */
	if (!exchange_acq_rel(&later->noted, 1))
		stack_push(&list->stack, base, &later->link);
}

/* One that was noted, or NULL. Its state is to be looked at after this. */
static inline struct stele_later *later_take(struct stele_later_list *list, void *base)
{
	struct stele_later *later = (struct stele_later *)stack_pop(&list->stack, base);

	if (!later)
		return NULL;
	STELE_POINT("later:taken");
	/* ORDER(LATER) acquire: each thread that found the mark set is done with the state. */
	exchange_acq_rel(&later->noted, 0);
	return later;
}

#endif
