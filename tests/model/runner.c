/* SPDX-License-Identifier: MIT */
/*
 * tests/model/runner.c - ORDER(RUNNER): owners, periods without an owner, and forks
 *
 * Idea      ROUNDS: two threads that are no runners run rounds of rcu/runner.h. The first one has
 *           unlinked an object and put it into the queue; a reader may hold it. Each owns the
 *           rounds to take the queue, owns nothing while it waits for the reader, and owns them
 *           again to free what its grace period allows. The object is plain memory.
 *           FORK: a thread goes into liburcu while others fork. A fork that finds nobody busy
 *           copies the memory, in which the lock of liburcu must be free.
 * Broken    RUNNER_BECOME  the owner's word is taken relaxed: what is in hand is raced for (TSan)
 *           RUNNER_TWO     a thread becomes the owner where another one is
 *           RUNNER_STALE   a thread frees what was taken after its grace period had begun
 *           RUNNER_EARLY   a thread looks for forks, then says that it is busy
 *           RUNNER_LOOK    no fence between saying and looking (GenMC)
 */
#ifdef BROKEN_RUNNER_BECOME
#define ORDER_RUNNER_BECOME memory_order_relaxed
#endif
#ifdef BROKEN_RUNNER_LOOK
#define RUNNER_FENCE() ((void)0)
#endif
#define IN_HAND_PLACES 3u
enum { SCENE_ROUNDS, SCENE_FORK, SCENES };
#define MODEL_SCENES SCENES
#include "model.h"
#include "rcu/runner.h"
#include <string.h>

#define READER MODEL_THREADS

static struct runner r;
static struct stele_grace grace;

/* Native: waits. A checker follows another order of the same steps, in which @what is true. */
#if MODEL_NATIVE
#define AWAIT(what)                                                                                \
	do {                                                                                       \
		while (!(what))                                                                    \
			sched_yield();                                                             \
	} while (0)
#else
#define AWAIT(what) __VERIFIER_assume(what)
#endif

/* ---- rounds ---- */

static struct {
	struct stele_grace_call call;
	int value; /* plain */
} object;
static _Atomic int published, reading;

static void read_object(void)
{
	store_seq(&reading, 1);
	fence_seq();
	if (load_relaxed(&published)) {
		STELE_POINT("model:found");
		model_assert(object.value == 1);
		STELE_POINT("model:read");
		model_assert(object.value == 1);
	}
	store_release(&reading, 0);
}

static void grace_period(void)
{
	fence_seq();
	AWAIT(!load_acquire(&reading));
}

static struct payload owned;

static bool own(int me)
{
#ifdef BROKEN_RUNNER_TWO
	bool mine = runner_become(&r, load_relaxed(&r.owner), (uint64_t)me);
#else
	bool mine = runner_become(&r, 0, (uint64_t)me);
#endif

	if (mine)
		payload_take(&owned, me);
	STELE_POINT("model:owned");
	return mine;
}

static void stop(int me)
{
	payload_leave(&owned, me);
	runner_stop(&r, (uint64_t)me);
}

static bool may_call(uint32_t round)
{
#ifdef BROKEN_RUNNER_STALE
	(void)round;
	r.readers_left = true;
	return true;
#else
	return runner_saw_period(&r, &grace, round);
#endif
}

static void call(void)
{
	while (r.calls) {
		r.calls = load_relaxed(&r.calls->next);
		object.value = 0;
	}
}

/* As stele_round_here(). */
static void round_here(int me)
{
	uint32_t round;
	bool wait;

	if (!own(me))
		return;
	round = runner_take(&r, &grace);
	wait = runner_has_in_hand(&r) && !r.readers_left;
	stop(me);
	if (wait)
		grace_period();
	STELE_POINT("model:period");
	if (!own(me))
		return;
	if (may_call(round))
		call();
	stop(me);
}

static void rounds(int me)
{
	if (me == READER) {
		read_object();
		return;
	}
	if (me == 1) {
		store_relaxed(&published, 0);
		grace_put(&grace.calls, &object.call.link);
	}
	round_here(me);
}

/* ---- fork ---- */

static struct in_hand forks;
static _Atomic int lock; /* liburcu's */

static bool try_busy(int me, struct in_hand_name *name)
{
#ifdef BROKEN_RUNNER_EARLY
	if (in_hand_is_busy(&forks, (uint32_t)me))
		return false;
	STELE_POINT("model:looked");
	return in_hand_enter(&r.busy, (uint32_t)me, name);
#else
	return runner_try_busy(&r, &forks, (uint32_t)me, name);
#endif
}

static void go_inside(int me)
{
	struct in_hand_name name;

	if (!try_busy(me, &name))
		return;
	store_relaxed(&lock, 1);
	STELE_POINT("model:inside");
	store_relaxed(&lock, 0);
	in_hand_leave(&name);
}

static void fork_once(int me)
{
	struct in_hand_name name;

	runner_announce_fork(&forks, (uint32_t)me, &name);
	if (!in_hand_is_busy(&r.busy, (uint32_t)me)) {
		model_assert(load_relaxed(&lock) == 0);
		STELE_POINT("model:copied");
		model_assert(load_relaxed(&lock) == 0);
	}
	in_hand_leave(&name);
}

/* ---- both ---- */

static void model_thread(int me)
{
	if (model_scene == SCENE_ROUNDS)
		rounds(me);
	else if (me == 1)
		go_inside(me);
	else if (me == 2)
		fork_once(me);
}

static void model_setup(void)
{
	memset(&r, 0, sizeof(r));
	memset(&forks, 0, sizeof(forks));
	memset(&grace, 0, sizeof(grace));
	object.value = 1;
	owned.holder = 0;
	store_relaxed(&published, 1);
	store_relaxed(&reading, 0);
	store_relaxed(&lock, 0);
}

static void model_check(void)
{
	model_assert(!load_relaxed(&r.owner));
	model_assert(!in_hand_is_held(&r.busy) && !in_hand_is_held(&forks));
}
