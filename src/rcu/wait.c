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
 * Stalls    A thread that waits replaces a runner that does not get on. It lets the next round take
 *           the objects in a hand that does not get on. It gives up on a thread that stands still in
 *           a round where that thread waits for nobody.
 * Tests     tests/contract/test_rcu_grace.c  tests/contract/test_rcu_leave.c  tests/contract/test_rcu_waits.c
 *           tests/contract/test_rcu_stall.c
 */
#include "base/options.h"
#include "cache/rcu.h"
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

/* ---- a runner that does not get on ---- */

#define STUCK_MS 500  /* no round has got on for so long, while threads waited for one */
#define APART_MS 2000 /* looks that are further apart say nothing */

static uint32_t now_ms(void)
{
	return (uint32_t)stele_os_ms();
}

/*
 * Whether @steps have stood still for long. Inside of liburcu a round waits for readers, or holds
 * liburcu's lock: no other thread would get further.
 */
static bool stand_still(struct runner *r, struct looks *seen, uint32_t steps, bool may)
{
	uint32_t now = now_ms();
	bool moved = may || steps != load_relaxed(&seen->steps) || names_are_held(&r->syncing) ||
		     now - load_relaxed(&seen->last) > APART_MS;

	store_relaxed(&seen->last, now);
	if (moved) {
		store_relaxed(&seen->steps, steps);
		store_relaxed(&seen->first, now);
	}
	return now - load_relaxed(&seen->first) > STUCK_MS;
}

/* Whether no round gets on, though this thread waits for one. A wrong "true" costs a thread. */
static bool is_stuck(struct stele_grace *g)
{
	struct runner *r = runner_of(g);

	return stand_still(r, &r->seen, load_relaxed(&r->steps), false);
}

/* Whether a hand has entries and does not get on. Rounds of other threads may get on beside it, which
 * do not reach these entries. A wrong "true" costs a grace period. */
static bool hand_is_stuck(struct runner *r, struct hand *h)
{
	return stand_still(r, &h->seen, load_relaxed(&h->steps), !hand_has(h));
}

/* If a hand does not get on, the next round takes its entries. */
static void look_after_hands(struct runner *r)
{
	for (unsigned i = 0; i < RUNNER_HANDS; i++)
		if (hand_is_stuck(r, &r->hand[i])) {
			store_relaxed(&r->hand[i].seen.first, now_ms());
			store_relaxed(&r->adopt, 1);
		}
}

/* False: no thread serves, nor makes one that will. */
static bool look_after_runner(struct stele_grace *g)
{
	look_after_hands(runner_of(g));
	/* A runner that serves, or a thread that was to make one. */
	if (!stele_runner_is_gone(g) && is_stuck(g)) {
		stele_runner_replace(g);
		store_relaxed(&runner_of(g)->seen.first, now_ms());
	}
	return stele_runner_start(g) == 0;
}

/* A runner, or a round here. False: there are no grace periods. */
static bool provide_runner(struct stele_grace *g)
{
	if (!look_after_runner(g) && !runner_of(g)->broken)
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

/* @own: a cache of which it is enough that nothing waits any more, or NULL. */
static bool is_over(struct stele_grace *g, struct awaited *a, const struct kmem_cache *own)
{
	return (own && !stele_rcu_waits(own)) || runner_is_over(runner_of(g), g, a);
}

#define LOOK_MS 10
#define GIVE_UP_MS 5000

/* The view that a thread which waits has of each hand. */
struct watched {
	uint32_t steps[RUNNER_HANDS];
	uint32_t since[RUNNER_HANDS];
	uint32_t last; /* look */
};

/* A thread that stands still between two steps of its own round, where it waits for nobody, is given
 * up on, once: no barrier waits for its round any more. If the whole process stood still, so that two
 * looks are far apart, each thread is given its time anew. */
static void give_up_on_the_stuck(struct runner *r, struct watched *seen)
{
	uint32_t now = now_ms();
	bool apart = now - seen->last > APART_MS;

	seen->last = now;
	for (unsigned i = 0; i < RUNNER_HANDS; i++) {
		struct hand *h = &r->hand[i];
		uint64_t round = load_relaxed(&h->round);
		uint32_t steps = load_relaxed(&h->steps);

		if (apart || !round || load_relaxed(&h->away) || steps != seen->steps[i])
			seen->since[i] = now | 1;
		else if ((int32_t)(now - seen->since[i]) > GIVE_UP_MS)
			hand_give_up(h, round);
		seen->steps[i] = steps;
	}
}

static int wait_for(struct stele_grace *g, struct awaited *a, const struct kmem_cache *own)
{
	struct watched seen = { 0 };

	while (!is_over(g, a, own)) {
		/* ORDER(GRACE_ROUND) acquire: before this thread looks again at what it waits
		 * for. */
		uint32_t done = load_acquire(&g->done);

		if (!provide_runner(g))
			return -EDEADLK;
		if (is_over(g, a, own))
			break;
		hurry(g);
		stele_os_futex_wait_ms(&g->done, done, LOOK_MS);
		give_up_on_the_stuck(runner_of(g), &seen);
	}
	return 0;
}

static int wait_for_round(struct stele_grace *g, struct awaited *a, const struct kmem_cache *own)
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
	error = wait_for(g, a, own);
	go_online(g, was_online);
	return error;
}

/* ORDER(GRACE_ROUND) sequentially consistent: put, then look. */
static bool is_in_round(struct stele_grace *g)
{
	return load_seq(&g->done) != load_seq(&g->begun);
}

/* Entries in a hand count as waiting until they are done. ORDER(GRACE_ROUND) sequentially
 * consistent: put, then look. */
int stele_runner_barrier(struct stele_grace *g, const struct kmem_cache *own)
{
	struct awaited a;

	runner_await(runner_of(g), g, &a);
	return load_seq(&g->waiting) || is_in_round(g) ? wait_for_round(g, &a, own) : 0;
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

/* Whether this thread may be held back now. */
static bool may_wait(struct stele_grace *g, bool patient)
{
	if (stele_rounds_inside || (stele_in_period && !patient) || runner_of(g)->broken)
		return false;
	if (stele_reading(g) || stele_cpus_are_held())
		return false;
	return patient ||
	       load_relaxed(&runner_of(g)->gave_up) != load_relaxed(&runner_of(g)->ended) + 1;
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

/* Nothing is left but the entries that threads which do not get on are just calling. */
static bool is_left_to_the_stuck(struct stele_grace *g)
{
	bool has = !grace_is_empty(g);

	for (unsigned i = 0; !has && i < RUNNER_HANDS; i++)
		has = hand_has(&runner_of(g)->hand[i]);
	return !has && is_stuck(g);
}

/* ORDER(GRACE_ROUND) acquire: all calls of the rounds are over, and the bytes that they freed are
 * counted. */
static void wait_for_less(struct stele_grace *g, int64_t left, bool patient)
{
	uint32_t ticket = grace_ticket(g);

	while (is_too_much(g) && left > 0) {
		uint32_t done = load_acquire(&g->done), ended = load_relaxed(&runner_of(g)->ended);

		if (nobody_waits(g, ticket) || is_left_to_the_stuck(g) || !provide_runner(g))
			return;
		hurry(g);
		if (load_relaxed(&runner_of(g)->ended) == ended)
			stele_os_futex_wait_ms(&g->done, done, 5);
		if (load_relaxed(&runner_of(g)->ended) == ended && !patient)
			left -= 5;
	}
	/* A thread that waits in vain may hold what a reader needs: until a round has ended, no other
	 * thread waits. */
	if (left <= 0)
		store_relaxed(&runner_of(g)->gave_up, load_relaxed(&runner_of(g)->ended) + 1);
}

void stele_runner_hold_back(struct stele_grace *g, bool patient)
{
	bool was_online;

	if (!is_too_much(g))
		return;
	was_online = patient && go_offline(g);
	if (may_wait(g, patient))
		wait_for_less(g, patient ? INT64_MAX : stele_opt.rcu_wait, patient);
	else if (!stele_rounds_inside && !runner_of(g)->broken)
		look_after_runner(g);
	go_online(g, was_online);
}
