/* SPDX-License-Identifier: MIT */
/*
 * tests/model/model.h - what every model shares: threads, rounds, payloads, points
 *
 * Idea      A model is a real protocol header of src/ and two or three threads that use it on
 *           almost nothing: a few nodes, objects or frames. The protocol hands out a
 *           plain payload, so a broken order is a data race and a broken step has two holders.
 * Two ways  Without MODEL_ROUNDS: one round, few steps, pthread_create and join and nothing
 *           else, for a model checker (tests/model/run-genmc).
 *           With MODEL_ROUNDS=n: up to n rounds, for at most MODEL_SECONDS. STELE_POINT() in
 *           the protocol headers then yields at random, so that threads meet inside of steps. A
 *           round that does not end in MODEL_ROUND_SECONDS fails.
 * Scenes    A model may have directed scenes beside its random walk: in each the threads do a
 *           few steps that are fixed, so that a checker reaches its end and a broken variant
 *           fails soon. Such a model names them in an enum, SCENE_NONE first and SCENES last,
 *           defines MODEL_SCENES, and asks model_scene. A checker is given one of them by
 *           -DMODEL_SCENE=SCENE_X; a native run does the walk and all scenes in turn. Every other
 *           round is of the scene that -DMODEL_MOSTLY=SCENE_X names: a broken variant runs so.
 * Choice    model_choice() and model_chance() are random in a native run. A checker follows all
 *           answers of the first MODEL_DICE calls of each thread: a thread of its own stores
 *           every answer below MODEL_SIDES, and a relaxed load may see any of them. A later call
 *           or a wider one is a mistake of the model, which ends the search. The main thread, which
 *           sets up and checks, gets 0.
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
#endif
#ifndef MODEL_STEPS
#define MODEL_STEPS (MODEL_NATIVE ? 200 : 2)
#endif
#ifndef MODEL_SECONDS
#define MODEL_SECONDS 1
#endif
#ifndef MODEL_ROUND_SECONDS
#define MODEL_ROUND_SECONDS 20 /* a round takes milliseconds */
#endif
#ifndef MODEL_THREADS
#define MODEL_THREADS 3
#endif
#ifndef MODEL_DICE
#define MODEL_DICE 6 /* a scene that needs none is as fast with them */
#endif
#ifndef MODEL_SIDES
#define MODEL_SIDES 2u
#endif

#define STELE_RACY_UNCHECKED /* there is no arena */
#include "sync/atomic.h"
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
	return (model_seed * 0x9e3779b1u >> 16) % n;
}

/* True one time in n. */
static inline bool model_chance(unsigned n)
{
	return model_choice(n) == 0;
}

static _Atomic unsigned model_arrived; /* threads that are done with this round */

/* Until the others of this round are done, or until they could have gone far. */
static inline void model_hold(void)
{
	for (unsigned i = 1u << (2 + model_choice(6)); i; i--) {
		if (load_relaxed(&model_arrived) >= MODEL_THREADS - 1)
			return;
		sched_yield();
	}
}

/* Mostly goes on at once, sometimes pauses. In a nap or a hold the other threads are sure to run. */
static inline void model_point(const char *point)
{
	const struct timespec nap = { 0, 1 };
	unsigned choice = model_choice(64);

	(void)point;
	if (choice < 1)
		nanosleep(&nap, NULL);
	else if (choice < 4)
		model_hold();
	else if (choice < 12)
		sched_yield();
	else if (choice < 24)
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

static _Atomic unsigned model_dice[MODEL_THREADS + 2][MODEL_DICE + 1];
static _Thread_local unsigned model_me, model_turn;

static inline unsigned model_choice(unsigned n)
{
	if (!model_me)
		return 0;
	model_assert(model_turn < MODEL_DICE && n <= MODEL_SIDES);
	return load_relaxed(&model_dice[model_me][model_turn++]) % n;
}

/* Both answers are followed, whatever @n. */
static inline bool model_chance(unsigned n)
{
	(void)n;
	return model_choice(2) == 1;
}

static inline void *model_thrower(void *arg)
{
	for (int me = 1; me <= MODEL_THREADS; me++)
		for (int turn = 0; turn < MODEL_DICE; turn++)
			for (unsigned side = 1; side < MODEL_SIDES; side++)
				store_relaxed(&model_dice[me][turn], side);
	return arg;
}

static inline void model_throw(pthread_t *thrower)
{
	if (MODEL_DICE)
		pthread_create(thrower, NULL, model_thrower, NULL);
}

static inline void model_thrown(pthread_t *thrower)
{
	if (MODEL_DICE)
		pthread_join(*thrower, NULL);
}

static inline void model_seed_thread(int me, unsigned round)
{
	model_me = (unsigned)me;
	model_turn = 0;
	(void)round;
}
#endif

/* Which scene it is; 0, the walk, where a model has none. */
#ifndef MODEL_SCENES
#define MODEL_SCENES 1
#endif
#ifdef MODEL_SCENE
#define model_scene ((unsigned)MODEL_SCENE)
#elif !MODEL_NATIVE
#define model_scene 0u
#elif defined(MODEL_MOSTLY)
#define model_scene                                                                                \
	(model_round % 2 ? (unsigned)MODEL_MOSTLY : model_round / 2 % (unsigned)MODEL_SCENES)
#else
#define model_scene (model_round % (unsigned)MODEL_SCENES)
#endif
static unsigned model_round;

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

static inline void model_run_thread(int me)
{
	model_seed_thread(me, model_round);
	model_thread(me);
}

#if MODEL_NATIVE
/* The same threads in all rounds, so that they start each one together. Even: main's turn. */
static _Atomic unsigned model_turns;
static bool model_over; /* plain: read after a turn has begun */

static inline void model_wait_turn(unsigned turn)
{
	while (load_acquire(&model_turns) < turn)
		sched_yield();
}

/* Threads that never end are a failure: a broken list may lead them in a circle. */
static inline void model_wait_for_all(void)
{
	double given_up = model_seconds() + MODEL_ROUND_SECONDS;

	while (load_acquire(&model_arrived) < MODEL_THREADS) {
		sched_yield();
		model_assert(model_seconds() < given_up);
	}
}

static void *model_body(void *arg)
{
	int me = (int)(intptr_t)arg;

	for (unsigned turn = 1;; turn += 2) {
		model_wait_turn(turn);
		if (model_over)
			return NULL;
		model_run_thread(me);
		atomic_fetch_add_explicit(&model_arrived, 1, memory_order_acq_rel);
	}
}

static inline void model_rounds(void)
{
	for (model_round = 0; model_round < MODEL_ROUNDS && model_time_left(); model_round++) {
		model_seed_thread(MODEL_THREADS + 1, model_round);
		model_setup();
		store_relaxed(&model_arrived, 0);
		store_release(&model_turns, 2 * model_round + 1);
		model_wait_for_all();
		model_seed_thread(MODEL_THREADS + 1, model_round);
		model_check();
	}
	model_over = true;
	store_release(&model_turns, 2 * model_round + 1);
}

int main(void)
{
	pthread_t threads[MODEL_THREADS];

	for (int i = 0; i < MODEL_THREADS; i++)
		pthread_create(&threads[i], NULL, model_body, (void *)(intptr_t)(i + 1));
	model_rounds();
	for (int i = 0; i < MODEL_THREADS; i++)
		pthread_join(threads[i], NULL);
	return 0;
}
#else
static void *model_body(void *arg)
{
	model_run_thread((int)(intptr_t)arg);
	return NULL;
}

int main(void)
{
	pthread_t threads[MODEL_THREADS], thrower;

	model_seed_thread(0, 0);
	model_setup();
	model_throw(&thrower);
	for (int i = 0; i < MODEL_THREADS; i++)
		pthread_create(&threads[i], NULL, model_body, (void *)(intptr_t)(i + 1));
	for (int i = 0; i < MODEL_THREADS; i++)
		pthread_join(threads[i], NULL);
	model_thrown(&thrower);
	model_check();
	return 0;
}
#endif

#endif
