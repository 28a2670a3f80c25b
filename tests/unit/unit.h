/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/unit.h - what the unit tests of all floors share
 *
 * Threads   cmocka's assertions leave by longjmp() and so are for the main thread. Other threads
 *           count their faults, and the main thread asserts the count.
 */
#ifndef STELE_TESTS_UNIT_UNIT_H
#define STELE_TESTS_UNIT_UNIT_H

#ifndef STELE_TEST_EMULATED
#define STELE_TEST_EMULATED 0
#endif

#include "sync/atomic.h"
#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static inline uint32_t unit_random(uint32_t *seed)
{
	*seed = *seed * 1664525 + 1013904223;
	return *seed >> 8;
}

#if STELE_DEBUG
/* Lets another thread in between the steps of a protocol, now and then. */
static void yield_sometimes(const char *point)
{
	static _Thread_local uint32_t seed;

	(void)point;
	if (unit_random(&seed) % 4 == 0)
		sched_yield();
}

static inline void meet_inside_steps(bool on)
{
	stele_inject = on ? yield_sometimes : NULL;
}
#else
static inline void meet_inside_steps(bool on)
{
	(void)on;
}
#endif

/* Runs @body(arg) in @n threads at once, n at most 16; arg is the thread's number, from 0. */
static inline void in_threads(unsigned n, void *(*body)(void *))
{
	pthread_t thread[16];

	for (unsigned i = 0; i < n; i++)
		assert_int_equal(pthread_create(&thread[i], NULL, body, (void *)(uintptr_t)i), 0);
	for (unsigned i = 0; i < n; i++)
		pthread_join(thread[i], NULL);
}

/* Every byte of [p, p+n) has this value. */
static inline bool all_bytes(const void *p, size_t n, unsigned char value)
{
	const unsigned char *bytes = p;

	for (size_t i = 0; i < n; i++)
		if (bytes[i] != value)
			return false;
	return true;
}

/* The mappings of ThreadSanitizer and of an emulator come to lie anywhere, also in the heap's
 * range. */
#if defined(__SANITIZE_THREAD__) || STELE_TEST_EMULATED
#define RANGE_IS_OURS 0
#else
#define RANGE_IS_OURS 1
#endif

#endif
