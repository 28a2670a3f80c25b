/* SPDX-License-Identifier: MIT */
/*
 * sync/mutex.h - the lock of the control path: create, destroy, shrink, start
 *
 * Idea      One word holds the futex (the kernel's number of the thread inside, and whether
 *           somebody waits) and the number of the process in which it was taken. The thread
 *           inside inherits the priority of those who wait for it. All signals are held back
 *           while a thread is inside, so that no handler can leave by siglongjmp(), fork, or end
 *           the thread there.
 * States    free: futex 0. held: futex not 0 and the process is this one. abandoned: futex not 0
 *           and another process, as its child has copied it; or the thread is gone, which
 *           the kernel tells (a child of vfork() was killed). It may then be taken.
 * Context   ordinary threads; never waited for in a signal handler or on the data path.
 * Fork      nobody waits for it before fork(). A child finds it abandoned, unless its thread is
 *           inside (a constructor or destructor forked): then it goes back there and leaves it.
 * Ranks     each has one, and debug builds see to their order (sync/ranks.h, sync/held.h).
 * Failure   where the kernel refuses inheriting futexes, a plain futex is waited for.
 * Tests     tests/unit/sync/test_mutex.c  tests/any_context/
 */
#ifndef STELE_SYNC_MUTEX_H
#define STELE_SYNC_MUTEX_H

#include "sync/atomic.h"
#include "sync/ranks.h"

struct stele_mutex {
	_Atomic uint64_t word;	 /* {process:32, futex:32} */
	_Atomic uintptr_t owner; /* the thread inside, or 0; others' may be out of date */
	uint64_t signals;	 /* under the lock: the thread's own mask */
	bool abandoned;		 /* under the lock: the last one inside never left */
	uint8_t rank;		 /* fixed: an enum stele_rank */
};

#define STELE_MUTEX(NAME)                                                                          \
	{                                                                                          \
		.rank = STELE_RANK_##NAME                                                          \
	}

/* 0, or -EDEADLK: this thread is inside already. */
int stele_lock(struct stele_mutex *mutex) __attribute__((warn_unused_result));
bool stele_trylock(struct stele_mutex *mutex); /* any context */
void stele_unlock(struct stele_mutex *mutex);
/* In the child of fork(): true when it was free or is now; false: this thread is inside. */
bool stele_mutex_after_fork(struct stele_mutex *mutex);

#endif
