/* SPDX-License-Identifier: MIT */
/*
 * rcu/fork.c - rounds and fork()
 *
 * Idea      The child has no runner, and starts one when it needs it; objects that waited wait on.
 *           A child can never get a lock of liburcu that another thread held at the fork. So the
 *           forking thread first waits until the rounds are out of liburcu and of the functions
 *           that they call, and keeps them out. It waits for rcu_wait milliseconds at most. If it
 *           is a reader itself, it does not wait, because a round may be waiting for it. A child
 *           may find a thread inside of liburcu all the same. It then has no grace periods of that
 *           flavour: it keeps the objects that wait, and says so once.
 * Order     RUNNER (rcu/runner.h).
 * Context   the forking thread, and the child's one thread.
 * Tests     tests/contract/test_rcu_grace.c  tests/contract/test_rcu_trouble.c  tests/rcu/flavors.c
 */
#include "base/options.h"
#include "percpu/system.h"
#include "sync/grace.h"
#include "sync/in_hand.h"
#include "os/os.h"
#include "rcu/rounds.h"
#include "sync/ranks.h"
#include <pthread.h>

static _Thread_local struct name forking;
static void (*also_in_child)(void);

/* Waits until the rounds are outside, where they stay. They may wait for a thread that reads: then
 * it does nothing. */
static void wait_outside(struct stele_grace *g)
{
	if (!stele_reading(g))
		runner_wait_outside(runner_of(g), stele_thread_name(), stele_thread_nap,
				    (int)stele_opt.rcu_wait);
}

static void before_fork(void)
{
	runner_announce_fork(&stele_forks, stele_thread_name(), &forking);
	for (int i = 0; i < STELE_GRACES && !stele_rounds_inside; i++)
		if (stele_graces[i].flavor)
			wait_outside(&stele_graces[i]);
}

static void after_fork_parent(void)
{
	in_hand_leave(&forking);
}

/* Entries that were taken for a round which no thread runs any more wait for the next one. */
static void put_hand_back(struct stele_grace_list *list, _Atomic(struct stele_grace_link *) *hand)
{
	struct stele_grace_link *link;

	while ((link = hand_next(hand)))
		grace_put(list, link);
}

/* In the child, a hand of one of the parent's threads. Relaxed: the child has one thread. */
static void empty_hand(struct stele_grace *g, struct hand *h)
{
	put_hand_back(&g->calls, &h->calls);
	put_hand_back(&g->heads, &h->heads);
	h->readers_left = false;
	store_relaxed(&h->round, 0);
	store_relaxed(&h->owner, 0);
}

/* In the child, for a flavour whose runner this thread is not. @inside: it is in a round all the
 * same. */
static void start_again(struct stele_grace *g, bool inside)
{
	store_relaxed(&g->served, 0);
	store_relaxed(&runner_of(g)->owner, 0);
	store_relaxed(&g->asleep, GRACE_AWAKE);
	if (!inside)
		store_relaxed(&g->done, load_relaxed(&g->begun));
}

/* A destructor may have forked: the hand of this thread, which is in a round, is its own in the child
 * as well. */
static void keep_own_hand(struct stele_grace *g, uint64_t me)
{
	uint32_t before = stele_thread_rename(); /* its name in the parent */

	for (unsigned i = 0; i < RUNNER_HANDS; i++) {
		struct hand *h = &runner_of(g)->hand[i];
		uint64_t owner = load_relaxed(&h->owner);

		if (me && owner && owner != OWNER_LEFT && (uint32_t)h->name.word == before)
			store_relaxed(&h->owner, me);
		else
			empty_hand(g, h);
	}
}

static void forget_others(struct stele_grace *g)
{
	struct runner *r = runner_of(g);
	bool inside = stele_rounds_inside & bit_of(g);

	r->broken |= names_are_held(&r->syncing);
	names_after_fork(&r->syncing);
	names_after_fork(&r->busy);
	keep_own_hand(g, inside ? stele_owner_me() : 0);
	if (inside && load_relaxed(&r->serving) == stele_thread_token())
		store_relaxed(&r->owner, stele_owner_me());
	else
		start_again(g, inside);
}

/* In the child, with the other locks. */
static void start_all_again(void)
{
	names_after_fork(&stele_forks);
	also_in_child();
	for (int i = 0; i < STELE_GRACES; i++)
		forget_others(&stele_graces[i]);
}

void stele_rcu_watch_fork(void (*also)(void))
{
	static bool watched;

	also_in_child = also;
	stele_rank_in_child(STELE_RANK_RUNNER, start_all_again);
	if (!watched && pthread_atfork(before_fork, after_fork_parent, NULL) == 0)
		watched = true;
}
