/* SPDX-License-Identifier: MIT */
/*
 * rcu/rounds.h - what the files of grace periods share: rounds.c, runner.c, flavors.c, wait.c, fork.c
 */
#ifndef STELE_RCU_ROUNDS_H
#define STELE_RCU_ROUNDS_H

#include "rcu/flavor.h"
#include "rcu/rcu.h"
#include "rcu/runner.h"

/* ---- rounds.c ---- */
extern struct runner stele_runners[STELE_GRACES] __attribute__((visibility("hidden")));
/* Threads that are forking. */
extern struct names stele_forks __attribute__((visibility("hidden")));
/* Rounds that this thread owns now, a bit per flavour: it is called from inside of them. */
extern _Thread_local uint32_t stele_rounds_inside __attribute__((visibility("hidden")));
/* This thread is in a grace period of its own: a handler must not start another. */
extern _Thread_local bool stele_in_period __attribute__((visibility("hidden")));

static inline struct runner *runner_of(const struct stele_grace *g)
{
	return &stele_runners[g - stele_graces];
}

static inline const struct rcu_flavor_struct *flavor_of(const struct stele_grace *g)
{
	return g->flavor;
}

/* Whether this thread is between the read lock and unlock of these readers, as far as they say. */
static inline bool stele_reading(const struct stele_grace *g)
{
	return g->flavor && flavor_of(g)->read_ongoing();
}

static inline uint32_t bit_of(const struct stele_grace *g)
{
	return 1u << (g - stele_graces);
}

/* This thread's word as an owner. */
uint64_t stele_owner_me(void);
/* Becomes the runner as @me. False: another thread is, which lives. */
bool stele_runner_become(struct stele_grace *g, uint64_t me);
/* Whether the thread that runs the rounds is gone. If so, this call records that no thread runs them. */
bool stele_runner_is_gone(struct stele_grace *g);
/* The runner does not get on: the next one that is started takes over what it can. */
void stele_runner_replace(struct stele_grace *g);
/* A callback in a round ends the thread: the next round goes on with the entries in hand. */
void stele_owner_ended(void *grace);
/* A whole round, by the runner. */
void stele_round_run(struct stele_grace *g);
/* The same inside of another round of this thread. */
void stele_round_nested(struct stele_grace *g);
/* A round by a thread that does not become the runner: it owns nothing while it waits for readers.
 * Less, if others are at it. */
void stele_round_here(struct stele_grace *g);
/* A grace period. */
void stele_period_here(struct stele_grace *g);

/* ---- flavors.c ---- */
/* Says @what, once for each flavour. */
void stele_rcu_say_once(struct stele_grace *g, const char *what);
/* Gives @g its flavour, if it has none. 0 or -errno. */
int stele_flavor_find(struct stele_grace *g);

/* The answers of stele_rcu_set_flavor() and stele_rcu_suggest_flavor(). */
int stele_flavor_choose(const struct rcu_flavor_struct *flavor);
void stele_flavor_suggest(const struct rcu_flavor_struct *flavor);
/* The grace periods of the readers of @flavor; NULL: of the process. 0, -ENOSPC or -EDEADLK. */
int stele_flavor_grace(const void *flavor, struct stele_grace **grace);

/* ---- fork.c ---- */
/* Must have been called before the first grace period. @also: called in a child, first. */
void stele_rcu_watch_fork(void (*also)(void));

#endif
