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

#if STELE_DEBUG
void (*volatile stele_inject)(const char *point);
#endif

bool stele_trylock(struct stele_mutex *mutex)
{
	uint32_t seen = 0;

	/* ORDER(MUTEX) acquire */
	return cas_acquire(&mutex->word, &seen, 1);
}

void stele_lock(struct stele_mutex *mutex)
{
	if (stele_trylock(mutex))
		return;
	while (atomic_exchange_explicit(&mutex->word, 2, memory_order_acquire) != 0)
		stele_os_futex_wait(&mutex->word, 2);
}

void stele_unlock(struct stele_mutex *mutex)
{
	/* ORDER(MUTEX) release */
	if (atomic_exchange_explicit(&mutex->word, 0, memory_order_release) == 2)
		stele_os_futex_wake(&mutex->word, 1);
}
