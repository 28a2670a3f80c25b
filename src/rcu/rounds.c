/* SPDX-License-Identifier: MIT */
/*
 * rcu/rounds.c - a round: take all entries, wait for readers, call each entry
 *
 * Idea      The owner of a flavour's rounds (rcu/runner.h) takes all that was put into the queue
 *           (sync/grace.h), waits for a grace period of liburcu, and calls each. So the number of
 *           grace periods does not grow with that of objects, and liburcu's own call_rcu threads
 *           are not needed.
 * Here      Where no thread can be made, a thread that waits runs a round itself (stele_round_here()).
 *           It waits for readers with its signals open, and a handler may jump out of that. So it
 *           owns the rounds only to take the queue and to call the entries, with signals held back,
 *           and owns nothing in between: the entries lie in the flavour's own structure. Any thread
 *           may call them that sees the end of a grace period which began after they were taken.
 * Nested    A destructor that is called in a round may wait for rounds itself. They are run inside
 *           of that one, which is done later than they are.
 * Order     GRACE, GRACE_ROUND (sync/grace.h), RUNNER (rcu/runner.h).
 * Limits    Where no thread can be made, a destructor that waits for readers waits with signals
 *           held back, as it is called with signals held back.
 *           A handler that jumps out of liburcu's synchronize_rcu() leaves liburcu's lock held.
 * Tests     tests/contract/test_rcu_grace.c  tests/contract/test_rcu_leave.c  tests/model/runner.c
 */
#include "rcu/rounds.h"
#include "slab/kmem_cache.h"
#include "sync/grace.h"
#include "sync/in_hand.h"
#include "base/options.h"
#include "os/os.h"
#include <pthread.h>

struct runner stele_runners[STELE_GRACES];
struct in_hand stele_forks;
_Thread_local uint32_t stele_rounds_inside;
_Thread_local bool stele_in_period;

/* ---- the owner of the rounds ---- */

uint64_t stele_owner_me(void)
{
	return stele_os_own(stele_os_thread());
}

/* Of another process, which this one was forked from; or its thread has ended. */
static bool is_gone(uint64_t owner)
{
	return !owner || owner >> 32 != stele_os_process() ||
	       !stele_os_thread_lives((uint32_t)owner & ~OWNER_STARTING);
}

bool stele_runner_become(struct stele_grace *g, uint64_t me)
{
	uint64_t seen = load_relaxed(&runner_of(g)->owner);

	return is_gone(seen) && runner_become(runner_of(g), seen, me);
}

bool stele_runner_is_gone(struct stele_grace *g)
{
	uint32_t served = 1;

	if (!is_gone(load_relaxed(&runner_of(g)->owner)))
		return false;
	cas_relaxed(&g->served, &served, 0);
	return true;
}

/* ---- rounds and forks ---- */

#define FORK_PATIENCE 5000 /* naps: for a thread that left fork() half way, once */

/* Returns when no fork is under way, and keeps forks out for a while, until be_idle(). */
static void get_busy(struct runner *r, struct in_hand_name *name)
{
	uint32_t me = stele_thread_token();

	while (!runner_try_busy(r, &stele_forks, me, name)) {
		in_hand_wait(&stele_forks, me, stele_os_nap, FORK_PATIENCE);
		stele_os_nap();
	}
}

/* Between two steps of the owner: lets a fork in. */
static void let_fork(struct runner *r)
{
	/* ORDER(RUNNER) a look: get_busy() decides. */
	if (stele_likely(!in_hand_is_busy(&stele_forks, stele_thread_token())))
		return;
	in_hand_leave(&r->name);
	get_busy(r, &r->name);
}

/* The caller is busy. */
static void synchronize(struct stele_grace *g)
{
	struct runner *r = runner_of(g);
	uint32_t me = stele_thread_token();
	struct in_hand_name name;

	in_hand_forget(&r->syncing, me);
	while (!in_hand_enter(&r->syncing, me, &name))
		stele_os_nap();
	STELE_POINT("runner:syncing");
	stele_in_period = true;
	flavor_of(g)->update_synchronize_rcu();
	stele_in_period = false;
	in_hand_leave(&name);
}

void stele_period_here(struct stele_grace *g)
{
	struct runner *r = runner_of(g);
	struct in_hand_name name = { NULL, 0 };

	if (!(stele_rounds_inside & bit_of(g))) {
		in_hand_forget(&r->busy, stele_thread_token());
		get_busy(r, &name);
	}
	synchronize(g);
	in_hand_leave(&name);
}

/* ---- what the owner does ---- */

static uint64_t call(struct stele_grace_link *link)
{
	struct stele_grace_call *entry = (struct stele_grace_call *)link;

	return load_relaxed(&entry->done)(entry);
}

/* Calls the entries in hand, one by one: a callback may run rounds itself. */
static void call_each(struct stele_grace *g, struct stele_grace_link **hand,
		      uint64_t (*each)(struct stele_grace_link *))
{
	while (*hand) {
		struct stele_grace_link *link = *hand;
		uint64_t bytes;

		*hand = load_relaxed(&link->next);
		bytes = each(link);
		sub_relaxed(&g->waiting, bytes);
		/* An object given twice may have made a circle: the rest is lost, and stays counted. */
		if (stele_unlikely(!bytes))
			*hand = NULL;
	}
}

static void call_all(struct stele_grace *g)
{
	struct runner *r = runner_of(g);

	call_each(g, &r->calls, call);
	call_each(g, &r->heads, stele_rcu_head_done);
}

static void round_inside(struct stele_grace *g)
{
	struct runner *r = runner_of(g);

	if (r->readers_left)
		call_all(
			g); /* left by a round that this one is inside of, or whose owner is gone */
	runner_take(r, g);
	if (runner_has_in_hand(r)) {
		let_fork(r);
		synchronize(g);
	}
	STELE_POINT("runner:readers-left");
	r->readers_left = true;
	call_all(g);
}

/* Everything is called that was taken; a round inside of another one is not the end of that. */
static void end_round(struct stele_grace *g)
{
	grace_end(g, load_relaxed(&g->begun));
	STELE_POINT("runner:ended");
	/* A waiter looks again after some milliseconds, should this thread be gone now. */
	stele_os_futex_wake(&g->done, INT32_MAX);
}

void stele_round_run(struct stele_grace *g)
{
	struct runner *r = runner_of(g);

	in_hand_forget(&r->busy, stele_thread_token());
	get_busy(r, &r->name);
	stele_rounds_inside |= bit_of(g);
	round_inside(g);
	stele_rounds_inside &= ~bit_of(g);
	in_hand_leave(&r->name);
	end_round(g);
}

void stele_round_nested(struct stele_grace *g)
{
	round_inside(g);
}

/* ---- a round in a thread that is no runner ---- */

/* Owns the rounds for a moment, busy and with signals held back. */
struct turn {
	uint64_t me, signals;
	bool mine;
};

static struct turn begin_turn(struct stele_grace *g)
{
	struct runner *r = runner_of(g);
	struct turn turn = { .me = stele_owner_me(), .signals = stele_os_signals_hold() };
	struct in_hand_name name;

	in_hand_forget(&r->busy, stele_thread_token());
	if (!runner_try_busy(r, &stele_forks, stele_thread_token(), &name))
		return turn;
	turn.mine = stele_runner_become(g, turn.me);
	if (turn.mine)
		r->name = name;
	else
		in_hand_leave(&name);
	return turn;
}

static void end_turn(struct stele_grace *g, const struct turn *turn)
{
	struct in_hand_name name = runner_of(g)->name;

	if (turn->mine) {
		runner_stop(runner_of(g), turn->me);
		in_hand_leave(&name);
	}
	stele_os_signals_release(turn->signals);
}

void stele_owner_ended(void *grace)
{
	struct stele_grace *g = grace;

	in_hand_leave(&runner_of(g)->name);
	/* ORDER(RUNNER) release: as giving up the right to run rounds. */
	store_release(&g->served, 0);
	runner_stop(runner_of(g), stele_owner_me());
}

static void call_here(struct stele_grace *g)
{
	stele_rounds_inside |= bit_of(g);
	pthread_cleanup_push(stele_owner_ended, g);
	call_all(g);
	pthread_cleanup_pop(0);
	stele_rounds_inside &= ~bit_of(g);
	end_round(g);
}

void stele_round_here(struct stele_grace *g)
{
	struct runner *r = runner_of(g);
	struct turn turn = begin_turn(g);
	uint32_t round = 0;
	bool wait = false, mine = turn.mine;

	if (mine) {
		round = runner_take(r, g);
		wait = runner_has_in_hand(r) && !r->readers_left;
	}
	end_turn(g, &turn);
	if (!mine)
		return;
	if (wait)
		stele_period_here(g);
	turn = begin_turn(g);
	if (turn.mine && runner_saw_period(r, g, round))
		call_here(g);
	end_turn(g, &turn);
}
