/* SPDX-License-Identifier: MIT */
/*
 * rcu/wait.c - waiting for rounds: barriers, and threads that give more than may wait
 *
 * Idea      A thread that waits looks again every few milliseconds, and mends what it finds: a
 *           runner that is gone is made anew, one that was called and perhaps not woken is woken,
 *           and where there is none the thread runs a round itself.
 *           Past `rcu_max` bytes a thread that may sleep is held back.
 * Readers   A thread that is online with qsbr counts as reading. It is taken offline for the wait,
 *           as liburcu's synchronize_rcu() does. Another thread that reads, and waits for readers,
 *           waits for itself: that is said.
 * Context   ordinary threads. Signals stay open.
 * Failure   -EDEADLK: a child of fork() without grace periods.
 * Tests     tests/contract/test_rcu_grace.c  tests/contract/test_rcu_leave.c  tests/rcu/qsbr.c
 */
#include "base/options.h"
#include "sync/grace.h"
#include "os/os.h"
#include "percpu/cpus.h"
#include "rcu/rounds.h"
#include <errno.h>

/* Asks for a round without gathering. */
static void hurry(struct stele_grace *g)
{
	if (grace_ask(g))
		stele_os_futex_wake(&g->asleep, 1);
}

/* A runner, or a round here. False: there are no grace periods. */
/* ORDER(RUNNER) acquire: the thread that serves was started, and its flavour set. */
static bool provide_runner(struct stele_grace *g)
{
	if (load_acquire(&g->served))
		stele_runner_is_gone(g);
	if (stele_runner_start(g) != 0 && !runner_of(g)->broken)
		stele_round_here(g);
	return !runner_of(g)->broken;
}

/* ---- readers that wait ---- */

/* True: the thread was online, and is not any more. */
static bool go_offline(const struct stele_grace *g)
{
	if (!stele_reading(g) || !flavor_of(g)->thread_offline || !flavor_of(g)->thread_online)
		return false;
	flavor_of(g)->thread_offline();
	return true;
}

static void go_online(const struct stele_grace *g, bool was)
{
	if (was)
		flavor_of(g)->thread_online();
}

static void say_if_reading(struct stele_grace *g)
{
	if (stele_reading(g))
		stele_rcu_say_once(g, "a thread that is reading waits for a grace period, "
				      "and so for itself");
}

/* ---- barriers ---- */

static int wait_for(struct stele_grace *g, uint32_t ticket)
{
	while (!grace_is_done(g, ticket)) {
		/* ORDER(GRACE_ROUND) acquire: before this thread looks again at what it waits
		 * for. */
		uint32_t done = load_acquire(&g->done);

		if (!provide_runner(g))
			return -EDEADLK;
		if (grace_is_done(g, ticket))
			break;
		hurry(g);
		stele_os_futex_wait_ms(&g->done, done, 10);
	}
	return 0;
}

int stele_runner_wait(struct stele_grace *g, uint32_t ticket)
{
	int error = stele_runner_start(g);
	bool was_online;

	if (runner_of(g)->broken)
		stele_rcu_say_once(
			g, "this process was forked while a grace period was under way: what waits "
			   "for readers is kept");
	if (error == -EINVAL || runner_of(g)->broken)
		return error;
	if (stele_rounds_inside & bit_of(g)) {
		stele_round_nested(g);
		return 0;
	}
	was_online = go_offline(g);
	say_if_reading(g);
	error = wait_for(g, ticket);
	go_online(g, was_online);
	return error;
}

/* ORDER(GRACE_ROUND) sequentially consistent: put, then look. */
static bool is_in_round(struct stele_grace *g)
{
	return load_seq(&g->done) != load_seq(&g->begun);
}

/* Entries in a runner's hand count as waiting until they are done. ORDER(GRACE_ROUND) sequentially
 * consistent: put, then look. */
int stele_runner_barrier(struct stele_grace *g)
{
	uint32_t ticket = grace_ticket(g);

	return load_seq(&g->waiting) || is_in_round(g) ? stele_runner_wait(g, ticket) : 0;
}

int stele_runner_synchronize(struct stele_grace *g)
{
	int error = stele_runner_start(g);
	bool was_online;

	if (error == -EINVAL || runner_of(g)->broken)
		return error ? error : -EDEADLK;
	was_online = go_offline(g);
	say_if_reading(g);
	stele_period_here(g);
	go_online(g, was_online);
	return 0;
}

/* ---- too much waits ---- */

/* Whether this thread may be held back now. ORDER(GRACE_ROUND) acquire: as of the last round. */
static bool may_wait(struct stele_grace *g, bool patient)
{
	if (stele_rounds_inside || (stele_in_period && !patient) || runner_of(g)->broken)
		return false;
	if (stele_reading(g) || stele_cpus_are_held())
		return false;
	return patient || load_relaxed(&runner_of(g)->gave_up) != load_acquire(&g->done) + 1;
}

/*
 * The counted entries are not there: they were lost in a circle (rounds.c), or this is a child
 * whose parent's thread was between counting and queueing, or in a call.
 */
static bool nobody_waits(struct stele_grace *g, uint32_t ticket)
{
	return grace_is_done(g, ticket) && grace_is_empty(g) && !is_in_round(g);
}

static bool is_too_much(struct stele_grace *g)
{
	return load_relaxed(&g->waiting) > (uint64_t)stele_opt.rcu_max;
}

/* ORDER(GRACE_ROUND) acquire: all calls of the rounds are over, and the bytes that they freed are
 * counted. */
static void wait_for_less(struct stele_grace *g, int64_t left, bool patient)
{
	uint32_t ticket = grace_ticket(g);

	while (is_too_much(g) && left > 0) {
		uint32_t done = load_acquire(&g->done);

		if (nobody_waits(g, ticket) || !provide_runner(g))
			return;
		hurry(g);
		if (load_acquire(&g->done) == done)
			stele_os_futex_wait_ms(&g->done, done, 5);
		if (load_acquire(&g->done) == done && !patient)
			left -= 5;
	}
	/* A thread that waits in vain may hold what a reader needs: until a round is done, no other
	 * thread waits. */
	if (left <= 0)
		store_relaxed(&runner_of(g)->gave_up, load_acquire(&g->done) + 1);
}

void stele_runner_hold_back(struct stele_grace *g, bool patient)
{
	bool was_online;

	if (!is_too_much(g))
		return;
	was_online = patient && go_offline(g);
	if (may_wait(g, patient))
		wait_for_less(g, patient ? INT64_MAX : stele_opt.rcu_wait, patient);
	go_online(g, was_online);
}
