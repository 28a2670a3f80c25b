/* SPDX-License-Identifier: MIT */
/*
 * rcu/fork.c - rounds and fork()
 *
 * Idea      The child has no runner, and starts one when it needs it; what waited, waits on. What
 *           a child cannot have is a lock of liburcu that another thread held: so before a fork
 *           rounds are let out of liburcu and of what they call, and kept out, unless the forking
 *           thread is a reader itself, for which one may be waiting; for rcu_wait at most. A child
 *           that finds a thread inside of liburcu all the same has no grace periods of that
 *           flavour: it keeps what waits, and says so once.
 * Order     RUNNER (rcu/runner.h).
 * Context   the forking thread, and the child's one thread.
 * Tests     tests/contract/test_rcu_grace.c  tests/contract/test_rcu_trouble.c  tests/rcu/flavors.c
 */
#include "base/options.h"
#include "sync/grace.h"
#include "sync/in_hand.h"
#include "os/os.h"
#include "rcu/rounds.h"
#include "sync/ranks.h"
#include <pthread.h>

static _Thread_local struct in_hand_name forking;

/* Rounds leave liburcu and what they call, and stay out, unless they wait for this thread. */
static void wait_outside(struct stele_grace *g)
{
	if (!stele_reading(g))
		in_hand_wait(&runner_of(g)->busy, stele_thread_token(), stele_os_nap,
			     (int)stele_opt.rcu_wait);
}

static void before_fork(void)
{
	runner_announce_fork(&stele_forks, stele_thread_token(), &forking);
	for (int i = 0; i < STELE_GRACES && !stele_rounds_inside; i++)
		if (stele_graces[i].flavor)
			wait_outside(&stele_graces[i]);
}

static void after_fork_parent(void)
{
	in_hand_leave(&forking);
}

/* Entries that were taken for a round which no thread runs any more wait for the next one. */
static void put_hand_back(struct stele_grace_list *list, struct stele_grace_link **hand)
{
	while (*hand) {
		struct stele_grace_link *link = *hand;

		*hand = load_relaxed(&link->next);
		grace_put(list, link);
	}
}

/* In the child, for a flavour whose round this thread is not in. Relaxed: it has one thread. */
static void start_again(struct stele_grace *g)
{
	struct runner *r = runner_of(g);

	store_relaxed(&g->served, 0);
	store_relaxed(&r->owner, 0);
	store_relaxed(&g->asleep, GRACE_AWAKE);
	store_relaxed(&g->done, load_relaxed(&g->begun));
	if (r->readers_left)
		return;
	put_hand_back(&g->calls, &r->calls);
	put_hand_back(&g->heads, &r->heads);
}

static void forget_others(struct stele_grace *g)
{
	struct runner *r = runner_of(g);

	r->broken |= in_hand_is_held(&r->syncing);
	in_hand_after_fork(&r->syncing);
	in_hand_after_fork(&r->busy);
	/* A destructor may have forked: the rounds that called it go on in the child. */
	if (stele_rounds_inside & bit_of(g))
		store_relaxed(&r->owner, stele_owner_me());
	else
		start_again(g);
}

/* In the child, with the other locks. */
static void start_all_again(void)
{
	in_hand_after_fork(&stele_forks);
	stele_flavors_after_fork();
	for (int i = 0; i < STELE_GRACES; i++)
		forget_others(&stele_graces[i]);
}

void stele_rcu_watch_fork(void)
{
	static bool watched;

	stele_rank_in_child(STELE_RANK_RUNNER, start_all_again);
	if (!watched && pthread_atfork(before_fork, after_fork_parent, NULL) == 0)
		watched = true;
}
