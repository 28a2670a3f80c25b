/* SPDX-License-Identifier: MIT */
/*
 * rcu/flavors.c - whose readers are waited for
 *
 * Idea      The process has one flavour of readers, and a cache may name another. Each in use has
 *           a queue (stele_graces[]) and, beside it, a runner.
 * Order     RUNNER: a flavour is set under the lock, with release. A thread that finds a runner
 *           finds the flavour set.
 * Context   ordinary threads.
 * Failure   no flavour: -EINVAL, and nothing is ever freed early.
 * Tests     tests/contract/test_rcu_grace.c  tests/rcu/flavors.c  tests/model/runner.c
 */
#include "base/fmt.h"
#include "sync/grace.h"
#include "os/os.h"
#include "rcu/rounds.h"
#include "sync/mutex.h"
#include "sync/ranks.h"
#include <errno.h>

static struct stele_mutex starting = STELE_MUTEX(RUNNER);
static const struct rcu_flavor_struct *chosen, *suggested;

/* From liburcu-memb or liburcu, where the program links it. */
extern const struct rcu_flavor_struct urcu_memb_flavor __attribute__((weak, visibility("default")));

void stele_rcu_say_once(struct stele_grace *g, const char *what)
{
	if (!exchange_relaxed(&runner_of(g)->said, 1))
		stele_say("stele: RCU: %s\n", what);
}

static const struct rcu_flavor_struct *process_flavor(void)
{
	return chosen ? chosen : suggested ? suggested : &urcu_memb_flavor;
}

/* In the child of a fork. */
static void after_fork(void)
{
	stele_mutex_after_fork(&starting);
}

/* Under `starting`. */
static void set_flavor(struct stele_grace *g, const void *flavor)
{
	stele_rcu_watch_fork(after_fork);
	stele_grace_use();
	/* ORDER(RUNNER) release: a thread may find it without the lock. */
	fence_release();
	g->flavor = flavor;
}

static int set_process_flavor(struct stele_grace *g)
{
	if (g->flavor)
		return 0;
	if (!process_flavor())
		return -EINVAL;
	set_flavor(g, process_flavor());
	return 0;
}

int stele_flavor_find(struct stele_grace *g)
{
	int error;

	if (stele_lock(&starting) != 0)
		return -EDEADLK;
	error = set_process_flavor(g);
	stele_unlock(&starting);
	return error;
}

/* The one for @flavor. Under `starting`. */
static struct stele_grace *find(const void *flavor)
{
	if (!flavor || flavor == stele_graces[0].flavor)
		return &stele_graces[0];
	for (int i = 1; i < STELE_GRACES; i++) {
		if (!stele_graces[i].flavor)
			set_flavor(&stele_graces[i], flavor);
		if (stele_graces[i].flavor == flavor)
			return &stele_graces[i];
	}
	return NULL;
}

int stele_flavor_grace(const void *flavor, struct stele_grace **grace)
{
	if (stele_lock(&starting) != 0)
		return -EDEADLK;
	*grace = find(flavor);
	stele_unlock(&starting);
	return *grace ? 0 : -ENOSPC;
}

int stele_flavor_choose(const struct rcu_flavor_struct *flavor)
{
	int error = -EBUSY;

	if (!flavor)
		return -EINVAL;
	if (stele_lock(&starting) != 0)
		return -EDEADLK;
	if (!stele_graces[0].flavor || stele_graces[0].flavor == flavor) {
		chosen = flavor;
		error = 0;
	}
	stele_unlock(&starting);
	return error;
}

void stele_flavor_suggest(const struct rcu_flavor_struct *flavor)
{
	if (suggested && suggested != flavor && !chosen)
		stele_rcu_say_once(&stele_graces[0],
				   "files of this program were compiled for two flavours; "
				   "call stele_rcu_set_flavor()");
	if (!suggested)
		suggested = flavor;
}

void stele_rcu_say_no_flavor(void)
{
	static _Atomic uint32_t said;

	if (!exchange_relaxed(&said, 1))
		stele_say("stele: kfree_rcu: no RCU flavour: link liburcu-memb or call "
			  "stele_rcu_set_flavor(); nothing is freed\n");
}
