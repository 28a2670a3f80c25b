/* SPDX-License-Identifier: MIT */
/*
 * sync/mutex.c - the control path's lock
 *
 * Order     MUTEX: unlock releases, lock acquires.
 * Tests     tests/unit/sync/test_mutex.c
 */
#include "sync/mutex.h"
#include "sync/inject.h"
#include "os/os.h"
#include <pthread.h>

#if STELE_DEBUG
void (*volatile stele_inject)(const char *point);
#endif

bool stele_trylock(struct stele_mutex *mutex)
{
	uint32_t seen = 0;

	/* ORDER(MUTEX) acquire */
	if (!cas_acquire(&mutex->word, &seen, 1))
		return false;
	store_relaxed(&mutex->owner, (uintptr_t)pthread_self());
	return true;
}

void stele_lock(struct stele_mutex *mutex)
{
	if (stele_trylock(mutex))
		return;
	while (atomic_exchange_explicit(&mutex->word, 2, memory_order_acquire) != 0)
		stele_os_futex_wait(&mutex->word, 2);
	store_relaxed(&mutex->owner, (uintptr_t)pthread_self());
}

void stele_unlock(struct stele_mutex *mutex)
{
	store_relaxed(&mutex->owner, 0);
	/* ORDER(MUTEX) release */
	if (atomic_exchange_explicit(&mutex->word, 0, memory_order_release) == 2)
		stele_os_futex_wake(&mutex->word, 1);
}

bool stele_mutex_after_fork(struct stele_mutex *mutex)
{
	/* Between lock and owner nothing was done yet, and after it nothing is left to do. */
	if (load_relaxed(&mutex->owner) == (uintptr_t)pthread_self())
		return false;
	store_relaxed(&mutex->word, 0);
	return true;
}
