/* SPDX-License-Identifier: MIT */
/*
 * tests/model/turn.c - cache/turn.h: one thread at a time looks at cold slots, and sees the last notes
 *
 * Idea      Three threads take the turn and note something in plain memory. The first one, a child of
 *           vfork(), may die before it gives the turn back. The second one, its parent, gives it back
 *           when the child is gone; the third one takes it over when the system says so. No note is
 *           lost. Runs the shipped code.
 * Broken    TURN_EARLY  a look takes the turn of a thread that is still there
 *           TURN_TWICE  a look takes over without a comparison: two look
 *           TURN_STORE  the parent gives back by a store: the turn may be another's by then
 *           TURN_TAKE, TURN_GIVE  the order between two looks relaxed (TSan)
 *           TURN_GONE   the parent gives back relaxed: the child's notes are not seen (GenMC)
 */
#ifdef BROKEN_TURN_TAKE
#define ORDER_TURN_TAKE memory_order_relaxed
#endif
#ifdef BROKEN_TURN_GIVE
#define ORDER_TURN_GIVE memory_order_relaxed
#endif
#ifdef BROKEN_TURN_GONE
#define ORDER_TURN_GONE memory_order_relaxed
#endif
#ifdef MODEL_ROUNDS
#define MODEL_STEPS 4 /* the child dies soon */
#else
#define MODEL_STEPS 1
#endif
#define MODEL_THREADS 3
#define MODEL_DICE 1
#include "model.h"
#include "cache/turn.h"

#define CHILD 1
#define PARENT 2

static _Atomic uint32_t turn;
static _Atomic uint32_t looks;
static _Atomic bool gone;	/* the system says that CHILD is gone */
static volatile uint32_t notes; /* plain */

static bool is_gone(uint32_t name)
{
#ifdef BROKEN_TURN_EARLY
	return name == CHILD;
#else
	return name == CHILD && load_acquire(&gone);
#endif
}

static bool take(uint32_t seen, uint32_t me)
{
#ifdef BROKEN_TURN_TWICE
	(void)seen;
	STELE_POINT("model:free");
	atomic_exchange_explicit(&turn, me, memory_order_acquire);
	return true;
#else
	return turn_take(&turn, seen, me);
#endif
}

static void give_for_child(void)
{
#ifdef BROKEN_TURN_STORE
	bool its = load_relaxed(&turn) == CHILD;

	for (int i = 0; its && i < (MODEL_NATIVE ? 8 : 1); i++)
		STELE_POINT("model:child's");
	if (its)
		store_release(&turn, 0);
#else
	turn_of_gone(&turn, CHILD);
#endif
}

/* As stele_cold_look(). False: it died. */
static bool look(int me)
{
	uint32_t seen = load_relaxed(&turn), before;

	if ((seen && !is_gone(seen)) || !take(seen, (uint32_t)me))
		return true;
	before = notes;
	STELE_POINT("model:looks");
	notes = before + 1;
	add_relaxed(&looks, 1);
	if (me == CHILD && model_chance(4)) {
		store_release(&gone, true);
		return false;
	}
	turn_give(&turn);
	return true;
}

static void model_thread(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		if (me == PARENT && load_acquire(&gone))
			give_for_child();
		if (!look(me))
			return;
	}
}

static void model_setup(void)
{
	atomic_store(&turn, 0);
	atomic_store(&looks, 0);
	atomic_store(&gone, false);
	notes = 0;
}

static void model_check(void)
{
	uint32_t left = load_relaxed(&turn);

	model_assert(!left || (left == CHILD && load_relaxed(&gone)));
	model_assert(notes == load_relaxed(&looks));
}
