/* SPDX-License-Identifier: MIT */
/*
 * sync/held.h - debug builds: are locks waited for in order, and where that may be done?
 *
 * Idea      There is a record of the locks that each thread holds, and of where it took them.
 *           Before a thread waits for one, the lock's rank must be below those of all that it holds
 *           (sync/ranks.h), and no function among its callers may be one that never waits.
 *           Each pair of ranks is reported once, with both stacks.
 * Never     STELE_NEVER_WAITS before a function puts it into a section of its own: it is found by
 *           its return address among the callers. So there is no mark that a handler
 *           which never comes back, or a fork, could leave standing.
 * Stacks    by frame pointers, which debug builds keep. Behind code that was compiled without them
 *           a stack ends early: then the check finds less, but reports nothing false. An address
 *           with a plus is an offset into the file that has the library in it: addr2line -e.
 * Readers   A lock that many threads may hold at a time is no mutex: it calls these by itself, with
 *           the mutex of its writers in place of its name, when a thread's first hold begins, and
 *           when its last one ends.
 * Context   any; with all signals held back, so that no handler sees a record half written.
 * Fork      The thread that forks keeps its record; locks of the parent's threads were never in it.
 *           A lock that it held and that the child did not take over counts as not held.
 * Failure   on_error=abort and abort_on_order: the end after a report. When more locks are held
 *           at a time than there is room for, those beyond are not checked.
 * Release   has none of this.
 * Tests     tests/unit/sync/test_ranks.c  tests/death/lock_order.c
 */
#ifndef STELE_SYNC_HELD_H
#define STELE_SYNC_HELD_H

#include "sync/atomic.h"

struct stele_mutex;

#if STELE_DEBUG
#define STELE_FRAME __builtin_frame_address(0)

/* @frame: of the function that is called to lock; its caller is the first of the stack. */
void stele_held_wait(const struct stele_mutex *mutex, const void *frame);
void stele_held_add(const struct stele_mutex *mutex, const void *frame);
void stele_held_remove(const struct stele_mutex *mutex);
/* The child of a fork is inside of @mutex as its parent was. */
void stele_held_again(const struct stele_mutex *mutex);
/* Nothing that @thread held is held any more. */
void stele_held_gone(uint32_t thread);

/* Reports since the start. */
uint32_t stele_held_reports(void);
/* How many locks this thread holds, for tests. */
unsigned stele_held_count(void);
#else
#define STELE_FRAME NULL

static inline void stele_held_wait(const struct stele_mutex *mutex, const void *frame)
{
	(void)mutex;
	(void)frame;
}

static inline void stele_held_add(const struct stele_mutex *mutex, const void *frame)
{
	(void)mutex;
	(void)frame;
}

static inline void stele_held_remove(const struct stele_mutex *mutex)
{
	(void)mutex;
}

static inline void stele_held_again(const struct stele_mutex *mutex)
{
	(void)mutex;
}

static inline void stele_held_gone(uint32_t thread)
{
	(void)thread;
}
#endif

#endif
