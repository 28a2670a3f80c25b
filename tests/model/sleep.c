/* SPDX-License-Identifier: MIT */
/*
 * tests/model/sleep.c - ORDER(GRACE_SLEEP): a thread that leaves half way wakes nobody's runner late
 *
 * Idea      Two threads put things into the queue of sync/grace.h and wake the runner where they
 *           have to. The first one may leave right after it has said that it calls, and never wake.
 *           Whatever the second one has put must be called all the same.
 *           The futex is a word, a lock and "sleeps". Whoever wakes the runner goes on as it.
 * Broken    SLEEP_TOLD   the word says "awake" before the runner was woken
 *           SLEEP_SWAP   the runner looks at the queue, then says that it sleeps
 *           SLEEP_LOOK   no fence between saying and looking (GenMC)
 */
#ifdef BROKEN_SLEEP_LOOK
#define GRACE_SLEEP_FENCE() ((void)0)
#endif
#ifndef MODEL_ROUNDS
#define MODEL_STEPS 1
#endif
#include "model.h"
#include "sync/grace.h"

#define RUNNER MODEL_THREADS

struct thing {
	struct stele_grace_call call;
	_Atomic int called;
};

static struct stele_grace grace;
static struct thing things[2][MODEL_STEPS];
static pthread_mutex_t kernel = PTHREAD_MUTEX_INITIALIZER;
static bool sleeps; /* under the lock */

static bool futex_wait(void)
{
	bool slept;

	pthread_mutex_lock(&kernel);
	slept = load_relaxed(&grace.asleep) == GRACE_ASLEEP;
	sleeps = slept;
	pthread_mutex_unlock(&kernel);
	return slept;
}

static bool futex_wake(void)
{
	bool slept;

	pthread_mutex_lock(&kernel);
	slept = sleeps;
	sleeps = false;
	pthread_mutex_unlock(&kernel);
	return slept;
}

static bool fall_asleep(void)
{
#ifdef BROKEN_SLEEP_SWAP
	bool empty = grace_is_empty(&grace);

	STELE_POINT("model:looked");
	store_seq(&grace.asleep, empty ? GRACE_ASLEEP : GRACE_AWAKE);
	return empty;
#else
	return grace_fall_asleep(&grace);
#endif
}

/* Until it sleeps. */
static void runner(void)
{
	for (;;) {
		struct stele_grace_link *link;

		if (fall_asleep()) {
			if (futex_wait())
				return;
			continue;
		}
		for (link = grace_take(&grace.calls); link; link = load_relaxed(&link->next))
			store_relaxed(&((struct thing *)link)->called, 1);
	}
}

static bool must_wake(void)
{
#ifdef BROKEN_SLEEP_TOLD
	fence_seq();
	return load_relaxed(&grace.asleep) != GRACE_AWAKE &&
	       atomic_exchange(&grace.asleep, GRACE_AWAKE) != GRACE_AWAKE;
#else
	return grace_must_wake(&grace, false);
#endif
}

static void put(struct thing *thing, bool leaves)
{
	grace_put(&grace.calls, &thing->call.link);
	if (!must_wake() || leaves)
		return;
	STELE_POINT("model:called");
	if (futex_wake())
		runner();
}

static void model_thread(int me)
{
	if (me == RUNNER) {
		runner();
		return;
	}
	for (int step = 0; step < MODEL_STEPS; step++)
		put(&things[me - 1][step], me == 1 && model_chance(2));
}

static void model_setup(void)
{
	store_relaxed(&grace.calls.first, NULL);
	store_relaxed(&grace.asleep, GRACE_AWAKE);
	sleeps = false;
	for (int i = 0; i < 2; i++)
		for (int step = 0; step < MODEL_STEPS; step++)
			store_relaxed(&things[i][step].called, 0);
}

static void model_check(void)
{
	for (int step = 0; step < MODEL_STEPS; step++)
		model_assert(load_relaxed(&things[1][step].called));
}
