/* SPDX-License-Identifier: MIT */
/*
 * tests/model/model.h - what every model shares: threads, rounds, payloads, points
 *
 * Idea      A model is a real protocol header of src/ and two or three threads that use it on
 *           almost nothing: a few nodes, objects or frames. What the protocol hands out is a
 *           plain payload, so a broken order is a data race and a broken step has two holders.
 * Two ways  Without MODEL_ROUNDS: one round, few steps, pthread_create and join and nothing
 *           else, for a model checker: genmc -- -Isrc tests/model/NAME.c
 *           With MODEL_ROUNDS=n: up to n rounds, for at most MODEL_SECONDS. STELE_POINT() in
 *           the protocol headers then yields at random, so that threads meet inside of steps.
 * Broken    -DBROKEN_X weakens one order or leaves out one step; that must fail: by
 *           model_assert(), or (orders) by a report of ThreadSanitizer.
 * Threads   one model includes this once; `me` of a thread is 1..MODEL_THREADS.
 */
#ifndef STELE_TESTS_MODEL_MODEL_H
#define STELE_TESTS_MODEL_MODEL_H

#undef STELE_DEBUG
#ifdef MODEL_ROUNDS
#define STELE_DEBUG 1
#define MODEL_NATIVE 1
#else
#define STELE_DEBUG 0
#define MODEL_NATIVE 0
#define MODEL_ROUNDS 1
#endif
#ifndef MODEL_STEPS
#define MODEL_STEPS (MODEL_NATIVE ? 200 : 2)
#endif
#ifndef MODEL_SECONDS
#define MODEL_SECONDS 1
#endif
#ifndef MODEL_THREADS
#define MODEL_THREADS 3
#endif

#include "sync/atomic.h"
#include "sync/inject.h"
#include <assert.h>
#include <pthread.h>
#include <stdint.h>

/* Filled in by the model. */
static void model_setup(void);
static void model_thread(int me);
static void model_check(void);

#if MODEL_NATIVE
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

void (*volatile stele_inject)(const char *point);
static _Thread_local uint32_t model_seed;

#define model_assert(what)                                                                         \
	do {                                                                                       \
		if (!(what)) {                                                                     \
			fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #what);       \
			_Exit(1);                                                                  \
		}                                                                                  \
	} while (0)

/* One of 0..n-1. */
static inline unsigned model_choice(unsigned n)
{
	model_seed ^= model_seed << 13;
	model_seed ^= model_seed >> 17;
	model_seed ^= model_seed << 5;
	return (model_seed >> 7) % n;
}

/* Mostly on, sometimes a short pause, sometimes somebody else's turn. */
static inline void model_point(const char *point)
{
	unsigned choice = model_choice(16);

	(void)point;
	if (choice < 3)
		sched_yield();
	else if (choice < 6)
		for (volatile unsigned i = model_choice(200); i; i--)
			;
}

static inline double model_seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static inline bool model_time_left(void)
{
	static double end;

	if (!end) {
		end = model_seconds() + MODEL_SECONDS;
		stele_inject = model_point;
	}
	return model_seconds() < end;
}

static inline void model_seed_thread(int me, unsigned round)
{
	model_seed = (round * 2654435761u ^ (uint32_t)me * 0x9e3779b9u) | 1;
}
#else
#define model_assert(what) assert(what)
static inline unsigned model_choice(unsigned n)
{
	static _Thread_local unsigned turn;

	return turn++ % n;
}
static inline bool model_time_left(void)
{
	return true;
}
static inline void model_seed_thread(int me, unsigned round)
{
	(void)me, (void)round;
}
#endif

/* What a protocol hands out: plain, one holder at a time. */
struct payload {
	volatile int holder;
};

static inline void payload_take(struct payload *payload, int me)
{
	model_assert(payload->holder == 0);
	payload->holder = me;
}

static inline void payload_leave(struct payload *payload, int me)
{
	model_assert(payload->holder == me);
	payload->holder = 0;
}

static unsigned model_round;

static void *model_body(void *arg)
{
	int me = (int)(intptr_t)arg;

	model_seed_thread(me, model_round);
	model_thread(me);
	return NULL;
}

int main(void)
{
	pthread_t threads[MODEL_THREADS];

	for (model_round = 0; model_round < MODEL_ROUNDS && model_time_left(); model_round++) {
		model_seed_thread(MODEL_THREADS + 1, model_round);
		model_setup();
		for (int i = 0; i < MODEL_THREADS; i++)
			pthread_create(&threads[i], NULL, model_body, (void *)(intptr_t)(i + 1));
		for (int i = 0; i < MODEL_THREADS; i++)
			pthread_join(threads[i], NULL);
		model_check();
	}
	return 0;
}

#endif
