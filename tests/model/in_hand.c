/* SPDX-License-Identifier: MIT */
/*
 * tests/model/in_hand.c - ORDER(IN_HAND): a thing taken before a barrier has arrived after it
 *
 * Idea      One thing lies in a place. Two movers try to take it and carry it to another place, with
 *           their names in the table of sync/in_hand.h; one of them gets it. A barrier sees the
 *           first place empty, waits for the names, and must find the thing in the second place,
 *           and all that its mover did to it. Now and then the barrier gives up on the names; then
 *           it may claim nothing, and the place is free again when its holder leaves.
 * Scenes    ROOM   there are places enough
 *           GROW   the one place has a name that was given up on: the table grows
 *           DEAD   the one place has the name of a thread that is gone
 * Broken    NAME_LATE    a mover enters its name after it has taken the thing
 *           NO_WAIT      the barrier does not wait
 *           ONE_NAME     the barrier looks at one name only
 *           GIVEN_UP     a mover does not leave a place that was given up on
 *           LEAVE        leaving relaxed: the mover's work is not seen (TSan)
 *           ENTER        no fence after entering (GenMC)
 *           NAMES_STORE, NAMES_ADD  see names.h
 */
#ifdef BROKEN_LEAVE
#define ORDER_IN_HAND_LEAVE memory_order_relaxed
#endif
#ifdef BROKEN_ENTER
#define IN_HAND_FENCE() ((void)0)
#endif
#define NAMES_PLACES 1u
enum { SCENE_ROOM, SCENE_GROW, SCENE_DEAD, SCENES };
#define MODEL_SCENES SCENES
#include "model.h"
#include "names.h"
#include "sync/in_hand.h"

#define DEAD 9u
#define STALLED 8u

#define BARRIER MODEL_THREADS
#if MODEL_NATIVE
#define PATIENCE (1 << 30)
static bool nap(uint32_t thread)
{
	(void)thread;
	sched_yield();
	return true;
}
#else
#define PATIENCE 1
/* Where a barrier has to wait, another order of the same steps shows what comes after. */
static bool nap(uint32_t thread)
{
	(void)thread;
	__VERIFIER_assume(0);
	return true;
}
#endif

static bool is_dead(uint32_t thread)
{
	return thread == DEAD;
}

static struct names table = { .is_gone = is_dead };
static _Atomic int source;
static int arrived; /* plain: the mover's work */

static void leave(const struct name *name)
{
#ifdef BROKEN_GIVEN_UP
	uint64_t mine = name->word;

	if (name->place)
		cas_release(name->place, &mine, mine & ~(NAMES_TURN - 1));
#else
	in_hand_leave(name);
#endif
}

static void move(int me)
{
	struct name name;
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
		nap((uint32_t)seen);
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
	model_names_reset(&table);
	if (model_scene == SCENE_ROOM)
		stele_names_room(&table);
	if (model_scene == SCENE_GROW)
		store_relaxed(&table.place[0], NAMES_TURN + STALLED + IN_HAND_GIVEN_UP);
	if (model_scene == SCENE_DEAD)
		store_relaxed(&table.place[0], NAMES_TURN + DEAD);
	arrived = 0;
	store_relaxed(&source, 1);
}

static void model_check(void)
{
	model_assert(arrived != 0);
	names_leave_all(&table, STALLED);
	names_bury(&table);
	model_assert(!names_are_held(&table));
}
