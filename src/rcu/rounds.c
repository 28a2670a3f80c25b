/* SPDX-License-Identifier: MIT */
/*
 * rcu/rounds.c - a round: take all entries, wait for readers, call each entry
 *
 * Idea      A thread takes all that was put into the queue (sync/grace.h) into a hand
 *           (rcu/runner.h), waits for a grace period of liburcu, and calls each entry. So the
 *           number of grace periods does not grow with that of objects, and liburcu's own call_rcu
 *           threads are not needed. Mostly the runner does it (runner.c).
 * Beside    Rounds may run beside each other. When the runner does not get on, another runner
 *           takes what it has in hand and has not called yet (stele_runner_replace()), and what
 *           comes into the queue. When a hand of another thread does not get on, the next round
 *           takes what it has (wait.c). Only an entry that is just being called waits for its thread.
 * Here      Where no thread can be made, a thread that waits runs a round itself (stele_round_here()).
 *           It waits for readers with its signals open, and a handler may jump out of that. So it
 *           owns the hand only to take the queue and to call the entries, with signals held back,
 *           and leaves it in between. Any thread may call the entries that sees the end of a grace
 *           period which began after they were taken.
 * Nested    A destructor that is called in a round may wait for rounds itself. They are run inside
 *           of that one, with its hand, which is done later than they are.
 * Order     GRACE, GRACE_ROUND (sync/grace.h), RUNNER, ROUNDS (rcu/runner.h).
 * Context   the runner, which has all signals held back; an ordinary thread that waits where no thread
 *           can be made; a callback of a round, which may wait for rounds.
 * Limits    Where no thread can be made, a destructor that waits for readers waits with signals
 *           held back, as it is called with signals held back.
 *           A handler that jumps out of liburcu's synchronize_rcu() leaves liburcu's lock held.
 *           RUNNER_HANDS threads that all stall in callbacks stop the rounds of their flavour.
 * Tests     tests/contract/test_rcu_grace.c  tests/contract/test_rcu_leave.c
 *           tests/contract/test_rcu_stall.c  tests/model/runner.c
 */
#include "rcu/rounds.h"
#include "percpu/system.h"
#include "sync/grace.h"
#include "sync/in_hand.h"
#include "os/os.h"
#include <pthread.h>

struct runner stele_runners[STELE_GRACES] = {
	[0 ... STELE_GRACES - 1] = { .busy.is_gone = stele_thread_is_gone },
};
struct names stele_forks = { .is_gone = stele_thread_is_gone };
_Thread_local uint32_t stele_rounds_inside;
_Thread_local bool stele_in_period;

/* ---- owners ---- */

uint64_t stele_owner_me(void)
{
	return stele_os_own(stele_os_thread());
}

/* Of another process, which this one was forked from, or of none; or its thread has ended. */
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

/* Takes a hand for this thread: first one whose owner left or is gone, since entries wait in it; else a
 * free one. NULL: there is none. */
static struct hand *claim_hand(struct runner *r, uint64_t me)
{
	for (int free = false; free <= true; free++)
		for (unsigned i = 0; i < RUNNER_HANDS; i++) {
			struct hand *h = &r->hand[i];
			uint64_t seen = load_relaxed(&h->owner);

			if ((seen == 0) == free && is_gone(seen) &&
			    owner_change(&h->owner, seen, me))
				return h;
		}
	return NULL;
}

static struct hand *hand_of(struct runner *r, uint64_t owner)
{
	for (unsigned i = 0; i < RUNNER_HANDS; i++)
		if (load_relaxed(&r->hand[i].owner) == owner)
			return &r->hand[i];
	return NULL;
}

/* A round got on. */
static void got_on(struct runner *r, struct hand *h)
{
	add_relaxed(&r->steps, 1);
	add_relaxed(&h->steps, 1);
}

/* ---- rounds and forks ---- */

#define FORK_PATIENCE 5000 /* naps: for a thread that left fork() half way, once */

static void get_busy(struct runner *r, struct name *name)
{
	runner_get_busy(r, &stele_forks, stele_thread_name(), name, stele_thread_nap,
			FORK_PATIENCE);
}

static _Thread_local struct hand *pausing;

/* A hand that waits for a fork gets on: only a thread that stands still is given up on. */
static bool nap_in_pause(uint32_t name)
{
	add_relaxed(&pausing->steps, 1);
	return stele_thread_nap(name);
}

static void let_fork(struct runner *r, struct hand *h)
{
	pausing = h;
	runner_pause(r, &stele_forks, stele_thread_name(), &h->name, nap_in_pause, FORK_PATIENCE);
}

/* The caller is busy. */
static void synchronize(struct stele_grace *g)
{
	struct runner *r = runner_of(g);
	uint32_t me = stele_thread_token();
	struct name name;

	/* A place of a thread that died inside stays, as it may hold liburcu's lock: a child of
	 * fork() sees it. So the name is no number that the kernel gives out again. */
	names_leave_all(&r->syncing, me);
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
	struct name name = { NULL, 0 };

	if (!(stele_rounds_inside & bit_of(g))) {
		names_leave_all(&r->busy, stele_thread_name());
		get_busy(r, &name);
	}
	synchronize(g);
	in_hand_leave(&name);
}

/* ---- what the owner of a hand does ---- */

static uint64_t call(struct stele_grace_link *link)
{
	struct stele_grace_call *entry = (struct stele_grace_call *)link;

	return load_relaxed(&entry->done)(entry);
}

/* Calls the entries, one by one: a callback may run rounds itself, and another thread may take the
 * rest meanwhile. */
static void call_each(struct stele_grace *g, struct hand *h,
		      _Atomic(struct stele_grace_link *) *list,
		      uint64_t (*each)(struct stele_grace_link *))
{
	struct stele_grace_link *link;

	while ((link = hand_next(list))) {
		uint64_t bytes;

		store_relaxed(&h->away, true);
		STELE_POINT("runner:calls");
		bytes = each(link);
		sub_relaxed(&g->waiting, bytes);
		store_relaxed(&h->away, false);
		got_on(runner_of(g), h);
		/* An object given twice may have made a circle: the rest is lost, and stays counted. */
		if (stele_unlikely(!bytes))
			store_relaxed(list, NULL);
	}
}

static void call_all(struct stele_grace *g, struct hand *h)
{
	call_each(g, h, &h->calls, call);
	call_each(g, h, &h->heads, stele_rcu_head_done);
}

/* Takes the entries of the other hands, whose threads do not get on. */
static void adopt_if_asked(struct runner *r, struct hand *h)
{
	if (stele_likely(!load_relaxed(&r->adopt)) || !exchange_relaxed(&r->adopt, 0))
		return;
	for (unsigned i = 0; i < RUNNER_HANDS; i++)
		if (&r->hand[i] != h)
			hand_adopt(h, &r->hand[i]);
}

static void round_inside(struct stele_grace *g, struct hand *h)
{
	struct runner *r = runner_of(g);

	if (h->readers_left)
		call_all(
			g,
			h); /* left by a round that this one is inside of, or whose owner is gone */
	adopt_if_asked(r, h);
	hand_begin(r, h, g);
	got_on(r, h);
	if (hand_has(h)) {
		let_fork(r, h);
		store_relaxed(&h->away, true);
		synchronize(g);
		store_relaxed(&h->away, false);
	}
	STELE_POINT("runner:readers-left");
	got_on(r, h);
	h->readers_left = true;
	call_all(g, h);
}

/* The round has called all that it took. */
static void end_round(struct stele_grace *g, struct hand *h)
{
	hand_end(runner_of(g), h, g);
	got_on(runner_of(g), h);
	STELE_POINT("runner:ended");
	/* If this thread is gone before it wakes them, the waiters look again after some
	 * milliseconds. */
	stele_os_futex_wake(&g->done, INT32_MAX);
}

void stele_round_run(struct stele_grace *g)
{
	struct runner *r = runner_of(g);
	uint64_t me = stele_owner_me();
	struct name name;
	struct hand *h;

	names_leave_all(&r->busy, stele_thread_name());
	get_busy(r, &name);
	h = claim_hand(r, me);
	if (!h) {
		in_hand_leave(&name);
		stele_os_nap(); /* all of them stall */
		return;
	}
	h->name = name;
	store_relaxed(&h->away, false); /* of one that is gone */
	stele_rounds_inside |= bit_of(g);
	round_inside(g, h);
	stele_rounds_inside &= ~bit_of(g);
	in_hand_leave(&h->name);
	end_round(g, h);
	hand_let_go(h, me, 0);
}

void stele_round_nested(struct stele_grace *g)
{
	struct hand *h = hand_of(runner_of(g), stele_owner_me());

	if (!h)
		return;
	round_inside(g, h);
	/* Back in the callback that asked. */
	store_relaxed(&h->away, true);
}

/* ---- a round in a thread that is no runner ---- */

/* Owns a hand for a moment, busy and with signals held back. */
struct turn {
	uint64_t me, signals;
	struct hand *hand; /* NULL: it has none */
};

/* With any hand, or with @again, which the thread has left before. */
static struct turn begin_turn(struct stele_grace *g, struct hand *again)
{
	struct runner *r = runner_of(g);
	struct turn turn = { .me = stele_owner_me(), .signals = stele_os_signals_hold() };
	struct name name;

	names_leave_all(&r->busy, stele_thread_name());
	if (!runner_try_busy(r, &stele_forks, stele_thread_name(), &name))
		return turn;
	if (!again)
		turn.hand = claim_hand(r, turn.me);
	else if (owner_change(&again->owner, OWNER_LEFT, turn.me))
		turn.hand = again;
	if (!turn.hand) {
		in_hand_leave(&name);
		return turn;
	}
	turn.hand->name = name;
	store_relaxed(&turn.hand->away, false);
	return turn;
}

/* @next: OWNER_LEFT, or 0 when the round is over. */
static void end_turn(const struct turn *turn, uint64_t next)
{
	if (turn->hand) {
		struct name name = turn->hand->name;

		hand_let_go(turn->hand, turn->me, next);
		in_hand_leave(&name);
	}
	stele_os_signals_release(turn->signals);
}

/* The thread ends in a callback: the rest of its hand waits for the next round. */
void stele_owner_ended(void *grace)
{
	struct stele_grace *g = grace;
	uint64_t me = stele_owner_me();
	struct hand *h = hand_of(runner_of(g), me);

	if (h) {
		in_hand_leave(&h->name);
		hand_let_go(h, me, OWNER_LEFT);
	}
	if (runner_stop(runner_of(g), me))
		runner_say_gone(g);
}

static void call_here(struct stele_grace *g, struct hand *h)
{
	stele_rounds_inside |= bit_of(g);
	pthread_cleanup_push(stele_owner_ended, g);
	call_all(g, h);
	pthread_cleanup_pop(0);
	stele_rounds_inside &= ~bit_of(g);
	end_round(g, h);
}

void stele_round_here(struct stele_grace *g)
{
	struct turn turn = begin_turn(g, NULL);
	struct hand *h = turn.hand;
	uint32_t filled = 0;
	bool wait = false, over;

	if (h) {
		adopt_if_asked(runner_of(g), h);
		hand_begin(runner_of(g), h, g);
		got_on(runner_of(g), h);
		filled = h->filled;
		wait = hand_has(h) && !h->readers_left;
	}
	end_turn(&turn, OWNER_LEFT);
	if (!h)
		return;
	if (wait)
		stele_period_here(g);
	turn = begin_turn(g, h);
	over = turn.hand && hand_saw_period(h, filled);
	if (over)
		call_here(g, h);
	end_turn(&turn, over ? 0 : OWNER_LEFT);
}
