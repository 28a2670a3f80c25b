/* SPDX-License-Identifier: MIT */
/*
 * tests/model/in_hand.c - ORDER(IN_HAND): what was taken before a barrier has arrived after it
 *
 * Idea      One thing lies in a place. Two movers try to take it and carry it to another place, with
 *           their names in the table of sync/in_hand.h; one of them gets it. A barrier sees the
 *           first place empty, waits for the names, and must find the thing in the second place,
 *           and all that its mover did to it. Now and then the barrier gives up on the names; then
 *           it may claim nothing, and the place is free again when its holder leaves.
 * Broken    NAME_LATE    a mover enters its name after it has taken the thing
 *           NO_WAIT      the barrier does not wait
 *           ONE_NAME     the barrier looks at one name only
 *           GIVEN_UP     a mover does not leave a place that was given up on
 *           LEAVE        leaving relaxed: the mover's work is not seen (TSan)
 *           ENTER        no fence after entering (GenMC)
 */
#ifdef BROKEN_LEAVE
#define ORDER_IN_HAND_LEAVE memory_order_relaxed
#endif
#ifdef BROKEN_ENTER
#define IN_HAND_FENCE() ((void)0)
#endif
#define IN_HAND_PLACES 2u
#include "model.h"
#include "sync/in_hand.h"

#define BARRIER MODEL_THREADS
#if MODEL_NATIVE
#define PATIENCE (1 << 30)
static void nap(void)
{
	sched_yield();
}
#else
#define PATIENCE 1
/* Where a barrier has to wait, another order of the same steps shows what comes after. */
static void nap(void)
{
	__VERIFIER_assume(0);
}
#endif

static struct in_hand table;
static _Atomic int source;
static int arrived; /* plain: the mover's work */

static void leave(const struct in_hand_name *name)
{
#ifdef BROKEN_GIVEN_UP
	uint64_t mine = name->word;

	if (name->place)
		cas_release(name->place, &mine, mine & ~(IN_HAND_TURN - 1));
#else
	in_hand_leave(name);
#endif
}

static void move(int me)
{
	struct in_hand_name name;
#ifdef BROKEN_NAME_LATE
	int taken = atomic_exchange_explicit(&source, 0, memory_order_acq_rel);

	in_hand_enter(&table, (uint32_t)me, &name);
#else
	int taken;

	in_hand_enter(&table, (uint32_t)me, &name);
	taken = atomic_exchange_explicit(&source, 0, memory_order_relaxed);
#endif

	STELE_POINT("model:taken");
	if (taken)
		arrived = me;
	STELE_POINT("model:arrived");
	leave(&name);
}

static void wait_for_names(int me, int patience)
{
#if defined(BROKEN_NO_WAIT)
	(void)me, (void)patience, (void)nap;
#elif defined(BROKEN_ONE_NAME)
	_Atomic uint64_t *place = &table.place[0];
	uint64_t seen = load_acquire(place);

	(void)patience;
	while (in_hand_is_other(seen, (uint32_t)me) && load_acquire(place) == seen)
		nap();
#else
	in_hand_wait(&table, (uint32_t)me, nap, patience);
#endif
}

static void barrier(int me)
{
	bool patient = !model_chance(4);

	if (load_acquire(&source))
		return;
	STELE_POINT("model:empty");
	wait_for_names(me, patient ? PATIENCE : 0);
	if (patient)
		model_assert(arrived != 0);
}

static void model_thread(int me)
{
	if (me == BARRIER)
		barrier(me);
	else
		move(me);
}

static void model_setup(void)
{
	for (unsigned i = 0; i < IN_HAND_PLACES; i++)
		store_relaxed(&table.place[i], 0);
	arrived = 0;
	store_relaxed(&source, 1);
}

static void model_check(void)
{
	model_assert(arrived != 0);
	model_assert(!in_hand_is_held(&table));
}
