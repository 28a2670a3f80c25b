/* SPDX-License-Identifier: MIT */
/*
 * tests/model/sleep.c - ORDER(GRACE_SLEEP): a thread that leaves half way wakes nobody's runner late
 *
 * Idea      Two threads put things into the queue of sync/grace.h and wake the runner where they
 *           have to. The first one may leave right after it has said that it calls, and never wake.
 *           All that the second one has put must be called all the same.
 *           The futex is a word, a lock and "sleeps". The thread that wakes the runner goes on as the runner.
 * Scenes    PUT     the runner falls asleep while two put
 *           GATHER  the runner lets things gather, up to two; two put one each
 *           URGENT  the runner runs a round and gathers again, while one puts something and waits for it.
 *                   In the library that sleep ends by itself, late; here it does not.
 * Broken    SLEEP_TOLD   the word says "awake" before the runner was woken
 *           SLEEP_SWAP   the runner looks at the queue, then says that it sleeps
 *           SLEEP_LOOK   no fence between saying and looking (GenMC)
 *           SLEEP_HURRY  a thread that brings the last of what may gather does not wake the runner
 *           SLEEP_GATHER no fence between saying that it gathers and looking (GenMC)
 *           SLEEP_URGENT the runner forgets that it was urgent after the round has begun
 */
#ifdef BROKEN_SLEEP_GATHER
#define GRACE_GATHER_FENCE() ((void)0)
#endif
#ifdef BROKEN_SLEEP_LOOK
#define GRACE_SLEEP_FENCE() ((void)0)
#endif
#ifdef MODEL_ROUNDS
#define MODEL_STEPS 4 /* few: a later put makes a late wake-up good */
#else
#define MODEL_STEPS 1
#endif
enum { SCENE_PUT, SCENE_GATHER, SCENE_URGENT, SCENES };
#define MODEL_SCENES SCENES
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
static uint32_t ticket;

#define MOST 2u /* may gather */

static bool futex_wait(uint32_t expected)
{
	bool slept;

	pthread_mutex_lock(&kernel);
	slept = load_relaxed(&grace.asleep) == expected;
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
			if (futex_wait(GRACE_ASLEEP))
				return;
			continue;
		}
		for (link = grace_take(&grace.calls); link; link = load_relaxed(&link->next))
			store_relaxed(&((struct thing *)link)->called, 1);
	}
}

static bool must_wake(bool hurry)
{
#ifdef BROKEN_SLEEP_TOLD
	(void)hurry;
	fence_seq();
	return load_relaxed(&grace.asleep) != GRACE_AWAKE &&
	       atomic_exchange(&grace.asleep, GRACE_AWAKE) != GRACE_AWAKE;
#else
	return grace_must_wake(&grace, hurry);
#endif
}

static void put(struct thing *thing, bool leaves)
{
	grace_put(&grace.calls, &thing->call.link);
	if (!must_wake(false) || leaves)
		return;
	STELE_POINT("model:called");
	if (futex_wake())
		runner();
}

/* ---- gathering ---- */

/* As put() of sync/grace.c. */
static void put_one(struct thing *thing)
{
	uint64_t now = add_relaxed(&grace.waiting, 1) + 1;

	grace_put(&grace.calls, &thing->call.link);
#ifdef BROKEN_SLEEP_HURRY
	now = 0;
#endif
	if (must_wake(now >= MOST))
		futex_wake();
}

/* True: it sleeps. A thread that wakes it would go on behind this. */
static bool gather(void)
{
	if (grace_gather(&grace, MOST) && futex_wait(GRACE_GATHERING))
		return true;
	grace_gathered(&grace);
	return false;
}

static void run_round(void)
{
	uint32_t round = grace_begin(&grace);
	struct stele_grace_link *link = grace_take(&grace.calls);

	STELE_POINT("model:taken");
#ifdef BROKEN_SLEEP_URGENT
	store_seq(&grace.urgent, 0);
#endif
	for (; link; link = load_relaxed(&link->next))
		store_relaxed(&((struct thing *)link)->called, 1);
	grace_end(&grace, round);
}

/* It has gathered, and gathers again behind the round. */
static void run_and_gather(void)
{
	grace_gathered(&grace);
	run_round();
	gather();
}

static void put_and_ask(struct thing *thing)
{
	grace_put(&grace.calls, &thing->call.link);
	ticket = grace_ticket(&grace);
	if (grace_ask(&grace))
		futex_wake();
}

static void gathering(int me)
{
	if (me == RUNNER && model_scene == SCENE_GATHER)
		gather();
	else if (me == RUNNER)
		run_and_gather();
	else if (model_scene == SCENE_GATHER)
		put_one(&things[me - 1][0]);
	else if (me == 1)
		put_and_ask(&things[0][0]);
}

/* ---- both ---- */

static void model_thread(int me)
{
	if (model_scene != SCENE_PUT) {
		gathering(me);
		return;
	}
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
	store_relaxed(&grace.urgent, 0);
	store_relaxed(&grace.waiting, 0);
	store_relaxed(&grace.begun, 0);
	store_relaxed(&grace.done, 0);
	sleeps = false;
	ticket = 0;
	for (int i = 0; i < 2; i++)
		for (int step = 0; step < MODEL_STEPS; step++)
			store_relaxed(&things[i][step].called, 0);
}

static void model_check(void)
{
	if (model_scene == SCENE_GATHER)
		model_assert(!sleeps);
	if (model_scene == SCENE_URGENT)
		model_assert(!sleeps || grace_is_done(&grace, ticket));
	for (int step = 0; model_scene == SCENE_PUT && step < MODEL_STEPS; step++)
		model_assert(load_relaxed(&things[1][step].called));
}
