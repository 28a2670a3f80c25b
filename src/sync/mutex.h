/* SPDX-License-Identifier: MIT */
/*
 * sync/mutex.h - the lock of the control path: create, destroy, shrink
 *
 * Idea      Three states in one futex word: free, held, held with waiters.
 * Context   ordinary threads; never waited for in a signal handler or on the data path.
 * Fork      nobody waits for it before fork(): a handler may fork, and what its thread was doing
 *           may hold it. A child frees it, unless that is so: then it goes back there and does.
 */
#ifndef STELE_SYNC_MUTEX_H
#define STELE_SYNC_MUTEX_H

#include "sync/atomic.h"

struct stele_mutex {
	_Atomic uint32_t word;	 /* 0 free, 1 held, 2 held and somebody may wait */
	_Atomic uintptr_t owner; /* the thread inside, or 0; only the child of a fork looks */
};

void stele_lock(struct stele_mutex *mutex);
bool stele_trylock(struct stele_mutex *mutex); /* any context */
void stele_unlock(struct stele_mutex *mutex);
/* In the child of fork(): true when it was free or is now; false: this thread is inside. */
bool stele_mutex_after_fork(struct stele_mutex *mutex);

#endif
