/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/sync/one_mutex.h - a lock, and threads that take it
 */
#ifndef STELE_TESTS_SYNC_ONE_MUTEX_H
#define STELE_TESTS_SYNC_ONE_MUTEX_H

#include "sync/mutex.h"

#include "../unit.h"

#include <sched.h>
#include <stdlib.h>

/* An emulator knows no priorities; TSan delivers signals late, and loses a child that it did not
 * make. */
#if STELE_TEST_EMULATED || defined(__SANITIZE_THREAD__)
#define NATIVE false
#else
#define NATIVE true
#endif

#define THREADS 4
#define ROUNDS 20000

static struct stele_mutex mutex;
static long guarded; /* under mutex */
static _Atomic uint32_t arrived;

static inline bool is_held(void)
{
	return (uint32_t)load_relaxed(&mutex.word);
}

static inline void *count_up(void *arg)
{
	for (int i = 0; i < ROUNDS; i++) {
		if (stele_lock(&mutex) != 0)
			abort();
		guarded++;
		if (i % 1024 == 0)
			sched_yield(); /* so that others find it held */
		stele_unlock(&mutex);
	}
	return arg;
}

static inline void *lock_once(void *arg)
{
	if (stele_lock(&mutex) != 0)
		abort();
	add_relaxed(&arrived, 1);
	stele_unlock(&mutex);
	return arg;
}

#endif
