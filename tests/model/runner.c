/* SPDX-License-Identifier: MIT */
/*
 * tests/model/runner.c - ORDER(RUNNER), ORDER(ROUNDS): hands, rounds beside each other, and forks
 *
 * Idea      ROUNDS: two threads that are no runners run rounds of rcu/runner.h. The first one has
 *           unlinked an object and put it into the queue; a reader may hold it. Each owns a hand
 *           to take the queue, owns nothing while it waits for the reader, and owns the hand again
 *           to free what its grace period allows. The object is plain memory.
 *           BESIDE: an object was given. Two threads run a round each, beside each other. The third one
 *           waits for the object: its round must be over. (No reader.)
 *           ADOPT: the first thread has an object in hand, and calls it, or the second one does,
 *           which takes what the first has. The third one waits for the round.
 *           FORK: a thread goes into liburcu while others fork. A fork that finds nobody busy
 *           copies the memory, in which the lock of liburcu must be free.
 *           PAUSE: a thread runs a round, and pauses in it for forks; another one forks, and waits
 *           for it. In the memory that the fork copies the lock is free, and the child finds the
 *           object in the queue or in a hand, unless it was called.
 *           SERVED: a runner ends while the thread that made it says that one serves.
 * Restated  The rounds and the fork follow rcu/rounds.c and rcu/fork.c: between the calls of rcu/runner.h,
 *           which are shipped, these wait in liburcu, hold signals back and ask the kernel about
 *           threads. A word that a reader sets stands in for its section, and a word for the lock of
 *           liburcu.
 * Broken    RUNNER_BECOME  the owner's word is taken relaxed: a race for what is in hand (TSan)
 *           RUNNER_TWO     a thread becomes the owner where another one is
 *           RUNNER_STALE   a thread frees what was taken after its grace period had begun
 *           ROUNDS_BESIDE  a barrier does not ask whether rounds began beside each other
 *           ROUNDS_LATE    a round takes another hand's entries, then says an older number
 *           ROUNDS_ORDER   rounds are said and looked at without order (GenMC)
 *           RUNNER_EARLY   a thread looks for forks, then says that it is busy
 *           RUNNER_LOOK    no fence between saying and looking (GenMC)
 *           PAUSE_STAY     a thread that has paused goes on without a look for forks
 *           PAUSE_WAIT     a fork looks at nobody: it does not wait until busy threads pause
 *           PAUSE_TAKEN    a thread pauses with an entry that is in no list
 *           SERVED_LATE    a thread says that one serves, and does not look whether it ended
 *           PAUSE_LEAVE    it pauses relaxed: the fork copies what was before (TSan)
 */
#ifdef BROKEN_RUNNER_BECOME
#define ORDER_RUNNER_BECOME memory_order_relaxed
#endif
#ifdef BROKEN_RUNNER_LOOK
#define RUNNER_FENCE() ((void)0)
#endif
#ifdef BROKEN_ROUNDS_ORDER
#define ORDER_ROUNDS memory_order_relaxed
#endif
#ifdef BROKEN_PAUSE_LEAVE
#define ORDER_IN_HAND_LEAVE memory_order_relaxed
#endif
#define NAMES_PLACES 3u
#define RUNNER_HANDS 2u
enum { SCENE_ROUNDS, SCENE_BESIDE, SCENE_ADOPT, SCENE_FORK, SCENE_PAUSE, SCENE_SERVED, SCENES };
#define MODEL_SCENES SCENES
#include "model.h"
#include "names.h"
#include "rcu/runner.h"
#include <limits.h>
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

static struct payload owned[RUNNER_HANDS];

#define ASKED (MODEL_NATIVE ? 1000 : 1)

/* Mostly all use one hand. */
static bool own(struct hand *h, uint64_t seen, int me)
{
#ifdef BROKEN_RUNNER_TWO
	bool mine = owner_change(&h->owner, load_relaxed(&h->owner), (uint64_t)me << 32);

	(void)seen;
#else
	bool mine = owner_change(&h->owner, seen, (uint64_t)me << 32);
#endif

	if (mine)
		payload_take(&owned[h - r.hand], me);
	STELE_POINT("model:owned");
	return mine;
}

static void stop(struct hand *h, int me, uint64_t next)
{
	payload_leave(&owned[h - r.hand], me);
	hand_let_go(h, (uint64_t)me << 32, next);
}

static bool may_call(struct hand *h, uint32_t filled)
{
#ifdef BROKEN_RUNNER_STALE
	(void)filled;
	h->readers_left = true;
	return true;
#else
	return hand_saw_period(h, filled);
#endif
}

static void call(struct hand *h)
{
	while (hand_next(&h->calls))
		object.value = 0;
}

/* As stele_round_here(). */
static void round_here(int me)
{
	struct hand *h = &r.hand[0];
	uint32_t filled;
	bool wait, over;

	if (!own(h, 0, me) && !own(h, OWNER_LEFT, me))
		return;
	hand_begin(&r, h, &grace);
	filled = h->filled;
	wait = hand_has(h) && !h->readers_left;
	stop(h, me, OWNER_LEFT);
	if (wait)
		grace_period();
	STELE_POINT("model:period");
	if (!own(h, OWNER_LEFT, me))
		return;
	over = may_call(h, filled);
	if (over) {
		call(h);
		hand_end(&r, h, &grace);
	}
	stop(h, me, over ? 0 : OWNER_LEFT);
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

/* ---- rounds beside each other ---- */

/* As stele_round_run(), where there are no readers. */
static void round_beside(int me)
{
	struct hand *h = &r.hand[me - 1];

	hand_begin(&r, h, &grace);
	STELE_POINT("model:begun");
	call(h);
	hand_end(&r, h, &grace);
}

static bool is_over(struct awaited *a)
{
#ifdef BROKEN_ROUNDS_BESIDE
	return grace_is_done(&grace, a->ticket);
#else
	return runner_is_over(&r, &grace, a);
#endif
}

/* A barrier that asks a few times; when it is over, the object is no other's. */
static void wait_for_all(struct awaited *a)
{
	for (int i = 0; i < ASKED; i++) {
		if (is_over(a)) {
			model_assert(object.value == 0);
			return;
		}
		STELE_POINT("model:asked");
	}
}

static struct awaited given;

static void beside(int me)
{
	if (me == READER)
		wait_for_all(&given);
	else
		round_beside(me);
}

static void beside_setup(void)
{
	grace_put(&grace.calls, &object.call.link);
	runner_await(&r, &grace, &given);
}

static void adopt(int me)
{
	struct awaited a = { 1, 0 };

	if (me == READER) {
		wait_for_all(&a);
		return;
	}
	if (me == 2) {
#ifdef BROKEN_ROUNDS_LATE
		hand_add(&r.hand[1].calls, exchange_acq_rel(&r.hand[0].calls, NULL));
		STELE_POINT("model:late");
		store_seq(&r.hand[1].round, load_seq(&r.hand[0].round));
#else
		hand_adopt(&r.hand[1], &r.hand[0]);
#endif
	}
	call(&r.hand[me - 1]);
	hand_end(&r, &r.hand[me - 1], &grace);
}

static void adopt_setup(void)
{
	grace_put(&grace.calls, &object.call.link);
	hand_begin(&r, &r.hand[0], &grace);
}

/* ---- fork ---- */

static struct names forks;
static _Atomic int lock; /* liburcu's */

static bool try_busy(int me, struct name *name)
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
	struct name name;

	if (!try_busy(me, &name))
		return;
	store_relaxed(&lock, 1);
	STELE_POINT("model:inside");
	store_relaxed(&lock, 0);
	in_hand_leave(&name);
}

static void fork_once(int me)
{
	struct name name;

	runner_announce_fork(&forks, (uint32_t)me, &name);
	if (!in_hand_is_busy(&r.busy, (uint32_t)me)) {
		model_assert(load_relaxed(&lock) == 0);
		STELE_POINT("model:copied");
		model_assert(load_relaxed(&lock) == 0);
	}
	in_hand_leave(&name);
}

/* ---- a round that pauses for forks ---- */

/* A checker follows the orders in which this thread naps so often at most. */
#define NAPS 2

static _Thread_local int naps;

static bool nap(uint32_t thread)
{
	(void)thread;
	AWAIT(MODEL_NATIVE || ++naps <= NAPS);
	STELE_POINT("model:naps");
	return true;
}

static void pause_for_forks(int me, struct name *name)
{
#ifdef BROKEN_PAUSE_STAY
	if (!in_hand_is_busy(&forks, (uint32_t)me))
		return;
	in_hand_leave(name);
	STELE_POINT("model:paused");
	in_hand_enter(&r.busy, (uint32_t)me, name);
#else
	runner_pause(&r, &forks, (uint32_t)me, name, nap, INT_MAX);
#endif
}

static void pause_here(int me, struct hand *h, struct name *name)
{
#ifdef BROKEN_PAUSE_TAKEN
	struct stele_grace_link *taken = exchange_acq_rel(&h->calls, NULL);

	pause_for_forks(me, name);
	store_release(&h->calls, taken);
#else
	(void)h;
	pause_for_forks(me, name);
#endif
}

/* As stele_round_run(). */
static void round_that_pauses(int me)
{
	struct hand *h = &r.hand[0];
	struct name name;

	naps = 0;
	runner_get_busy(&r, &forks, (uint32_t)me, &name, nap, INT_MAX);
	hand_begin(&r, h, &grace);
	pause_here(me, h, &name);
	store_relaxed(&lock, 1);
	STELE_POINT("model:inside");
	store_relaxed(&lock, 0);
	call(h);
	in_hand_leave(&name);
	hand_end(&r, h, &grace);
}

/* What the child finds. */
static void copy(void)
{
	bool waits = load_relaxed(&grace.calls.first) || load_relaxed(&r.hand[0].calls);

	model_assert(load_relaxed(&lock) == 0);
	STELE_POINT("model:copied");
	model_assert(load_relaxed(&lock) == 0);
	model_assert(object.value == (waits ? 1 : 0));
}

/* As before_fork() and after_fork_parent(). */
static void fork_and_wait(int me)
{
	struct name name;

	naps = 0;
	runner_announce_fork(&forks, (uint32_t)me, &name);
#ifndef BROKEN_PAUSE_WAIT
	runner_wait_outside(&r, (uint32_t)me, nap, INT_MAX);
#endif
	copy();
	in_hand_leave(&name);
}

static void pauses(int me)
{
	if (me == 1)
		round_that_pauses(me);
	else if (me == 2)
		fork_and_wait(me);
}

/* ---- whether a runner serves ---- */

#define RUNNER_OWNER (2ull << 32)

/* As say_served() and stele_owner_ended(). */
static void served(int me)
{
	uint32_t said = 1;

	if (me == 2 && runner_stop(&r, RUNNER_OWNER))
		runner_say_gone(&grace);
	if (me != 1)
		return;
	runner_say_served(&grace);
	STELE_POINT("model:said");
#ifndef BROKEN_SERVED_LATE
	if (!load_relaxed(&r.owner))
		cas_relaxed(&grace.served, &said, 0);
#else
	(void)said;
#endif
}

/* ---- all ---- */

static void model_thread(int me)
{
	if (model_scene == SCENE_ROUNDS)
		rounds(me);
	else if (model_scene == SCENE_BESIDE)
		beside(me);
	else if (model_scene == SCENE_ADOPT)
		adopt(me);
	else if (model_scene == SCENE_PAUSE)
		pauses(me);
	else if (model_scene == SCENE_SERVED)
		served(me);
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
	owned[0].holder = owned[1].holder = 0;
	store_relaxed(&published, 1);
	store_relaxed(&reading, 0);
	store_relaxed(&lock, 0);
	if (model_scene == SCENE_BESIDE)
		beside_setup();
	if (model_scene == SCENE_PAUSE)
		grace_put(&grace.calls, &object.call.link);
	if (model_scene == SCENE_SERVED)
		store_relaxed(&r.owner, RUNNER_OWNER);
	if (model_scene == SCENE_ADOPT)
		adopt_setup();
}

static void model_check(void)
{
	for (unsigned i = 0; i < RUNNER_HANDS; i++) {
		uint64_t owner = load_relaxed(&r.hand[i].owner);

		model_assert(!owner || owner == OWNER_LEFT);
	}
	model_assert(!names_are_held(&r.busy) && !names_are_held(&forks));
	if (model_scene == SCENE_SERVED)
		model_assert(!load_relaxed(&r.owner) && !load_relaxed(&grace.served));
	if (model_scene == SCENE_ADOPT || model_scene == SCENE_PAUSE)
		model_assert(load_relaxed(&grace.done) == 1 && object.value == 0);
}
