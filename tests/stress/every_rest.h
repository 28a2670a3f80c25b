/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/every_rest.h - the others, and whether structures are valid when all threads rest
 *
 * Idea      Threads look between two calls whether they shall rest, and then make no more calls. So no
 *           call is under way but the one that its thread has left for good, and the test asks
 *           stele_listed_valid().
 * Not asked where a thread stands still in the middle of a call, or begins one without looking.
 * Included  by every_pair.c alone.
 */
#ifndef STELE_TESTS_STRESS_EVERY_REST_H
#define STELE_TESTS_STRESS_EVERY_REST_H

#include "every_scene.h"

#include <stele/rcu.h>

#define REST_SECONDS 20 /* until all rest: the machine may be busy */

static atomic_bool all_shall_rest;
static atomic_uint started, at_rest;

static inline void start_worker(void *(*body)(void *), uintptr_t arg)
{
	atomic_fetch_add(&started, 1);
	start_thread(body, arg);
}

/* Between two calls. */
static inline void rest_if_told(void)
{
	if (!atomic_load(&all_shall_rest))
		return;
	atomic_fetch_add(&at_rest, 1);
	for (;;)
		pause();
}

/* ---- the others ---- */

static inline void *work_on_data(void *arg)
{
	dice = random_seed((uintptr_t)arg + 100);
	for (;;)
		for (unsigned kind = 0; kind < FIRST_CONTROL; kind++) {
			rest_if_told();
			make_call(kind);
		}
	return NULL;
}

static inline void *work_on_control(void *arg)
{
	unsigned kind = (unsigned)(uintptr_t)arg;

	dice = random_seed(kind + 200);
	for (;;) {
		rest_if_told();
		make_call(kind);
		nap_ms(1);
	}
	return NULL;
}

static inline void start_others(uintptr_t seed)
{
	for (uintptr_t i = 0; i < 2; i++)
		start_worker(work_on_data, seed + i);
	for (uintptr_t i = 0; i < ELEMENTS; i++) /* with the one below, one more than elements */
		start_worker(work_on_control, POOL_WAIT);
	for (uintptr_t kind = FIRST_CONTROL; kind < KINDS; kind++)
		start_worker(work_on_control, kind);
}

/* ---- at the end ---- */

/* Where no thread stands still in a call, and none makes calls that the test does not end. */
static inline bool all_can_rest(unsigned spared)
{
	return !spared && leaving.way != LEAVING_STALLS && !scene->begin;
}

/* The victim of a jump, too, and one in whose stead a thread of the library went. */
static inline bool all_come_to_rest(void)
{
	unsigned n = atomic_load(&started) + (leaving.way == LEAVING_JUMPS || scene->goes);
	double end = seconds_now() + REST_SECONDS;

	atomic_store(&all_shall_rest, true);
	while (atomic_load(&at_rest) < n)
		if (nap_ms(1), seconds_now() > end)
			return false;
	/* The runner's work is done, and it sleeps. */
	kvfree_rcu_barrier();
	nap_ms(20);
	return true;
}

static inline bool rest_is_valid(void)
{
	const char *fault;

	if (!all_come_to_rest()) {
		printf("%u of %u threads rest\n", atomic_load(&at_rest), atomic_load(&started));
		return false;
	}
	fault = WHAT_IS_BROKEN_WHERE_THREADS_LEFT();
	if (fault)
		printf("%s\n", fault);
	return !fault;
}

#endif
