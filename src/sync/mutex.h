/* SPDX-License-Identifier: MIT */
/*
 * sync/mutex.h - the lock of the control path: create, destroy, shrink
 *
 * Idea      Three states in one futex word: free, held, held with waiters.
 * Context   ordinary threads; never waited for in a signal handler or on the data path.
 * Fork      the fork handlers hold it across fork(), so a child finds it free.
 */
#ifndef STELE_SYNC_MUTEX_H
#define STELE_SYNC_MUTEX_H

#include "sync/atomic.h"

struct stele_mutex {
	_Atomic uint32_t word; /* 0 free, 1 held, 2 held and somebody may wait */
};

void stele_lock(struct stele_mutex *mutex);
bool stele_trylock(struct stele_mutex *mutex); /* any context */
void stele_unlock(struct stele_mutex *mutex);

#endif
