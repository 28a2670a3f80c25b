/* SPDX-License-Identifier: MIT */
/*
 * tests/model/kept.c - ORDER(KEPT): an idle slab that is never given up has a note, or is parked
 *
 * Idea      One descriptor and three objects (one_slab.h), two notes. Threads leave the slab idle
 *           and note it, claim from it again, or take all notes away; whoever removes a note parks
 *           the slab if it is idle. At the end an idle slab has a note: a parked one is
 *           not IDLE by its state.
 * Restated  slab/kept.c, where parking gives pages back to the system. Its functions have the same
 *           names. The state is the shipped one.
 * Scenes    NOTED  one leaves a slab idle that is noted, another takes the notes away
 *           TWICE  two leave it idle, one after the other has claimed from it
 *           PARK   one parks, another claims
 * Broken    KEPT_IDLE   a giver looks for a note, then leaves the slab idle
 *           KEPT_STATE  whoever takes a note away looks at the state before that
 *           KEPT_TAKE   parked without being taken: a claimer has it as well
 *           KEPT_FENCE  no fences. For a model checker; on x86 the exchanges hide it.
 */
enum { SCENE_NONE, SCENE_NOTED, SCENE_TWICE, SCENE_PARK, SCENES };
#define MODEL_SCENES SCENES
#ifdef MODEL_ROUNDS
#define MODEL_STEPS 4 /* few: an idle slab that is forgotten early would be noted later */
#endif
#include "one_slab.h"

#ifdef BROKEN_KEPT_FENCE
#define FENCE() ((void)0)
#else
#define FENCE() fence_seq()
#endif

#define RECENT 2

static _Atomic uint32_t recent[RECENT], next_place; /* the one slab is 1 */

static bool take_idle(void)
{
#ifdef BROKEN_KEPT_TAKE
	return load_acquire(&state) & STATE_IDLE && (state_take_idle(&state, false), true);
#else
	return state_take_idle(&state, false);
#endif
}

static void park(int me)
{
	touch_all(me);
	if (state_refill(&state, OBJECTS, false))
		push();
}

static void park_if_idle(uint32_t run, int me)
{
	FENCE();
	if (run && take_idle())
		park(me);
}

static bool is_recent(void)
{
	for (int i = 0; i < RECENT; i++)
		if (load_relaxed(&recent[i]))
			return true;
	return false;
}

static void kept_idle(bool noted, int me)
{
	uint32_t place;

	if (noted)
		return;
	place = add_relaxed(&next_place, 1) % RECENT;
	STELE_POINT("model:idle");
	park_if_idle(exchange_acq_rel(&recent[place], 1), me);
}

static void kept_purge(int me)
{
#ifdef BROKEN_KEPT_STATE
	bool idle = load_acquire(&state) & STATE_IDLE;

	STELE_POINT("model:looked");
	for (int i = 0; i < RECENT; i++)
		if (load_relaxed(&recent[i]) && exchange_acq_rel(&recent[i], 0) && idle)
			park_if_idle(1, me);
#else
	for (int i = 0; i < RECENT; i++)
		if (load_relaxed(&recent[i]))
			park_if_idle(exchange_acq_rel(&recent[i], 0), me);
#endif
}

static void give_held(int me)
{
	uint64_t mask = held[me];
	bool idle, noted = false;

	if (!mask)
		return;
	held[me] = 0;
	leave_objects(mask, me);
	model_assert(bits_give(&bits, mask) == 0);
#ifdef BROKEN_KEPT_IDLE
	noted = is_recent();
	STELE_POINT("model:looked");
#endif
	if (state_give_keep(&state, (unsigned)__builtin_popcountll(mask), OBJECTS, &idle) ==
	    GIVE_LIST)
		push();
	if (!idle)
		return;
	FENCE();
#ifndef BROKEN_KEPT_IDLE
	noted = is_recent();
#endif
	kept_idle(noted, me);
}

static void claim(int me)
{
	uint64_t seen = load_acquire(&state), got;
	unsigned n = seen & STATE_FREE ? state_claim(&state, seen, 1) : 0;

	if (!n)
		return;
	got = find_claimed(n);
	take_objects(got, me);
	held[me] |= got;
}

static enum unlist_result unlist(void)
{
	return state_unlist(&state);
}

static void play(int me)
{
	switch (model_scene) {
	case SCENE_NOTED:
		if (me == 1)
			give_held(me);
		else if (me == 2)
			kept_purge(me);
		break;
	case SCENE_TWICE:
		if (me == 1)
			give_held(me);
		else if (me == 2) {
			claim(me);
			give_held(me);
		}
		break;
	default:
		if (me == 1)
			kept_purge(me);
		else if (me == 2)
			claim(me);
	}
}

static void walk(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		claim(me);
		if (model_choice(2))
			give_held(me);
		if (!model_choice(3))
			kept_purge(me);
	}
	give_held(me);
}

static void model_thread(int me)
{
	(model_scene == SCENE_NONE ? walk : play)(me);
}

static void model_setup(void)
{
	nothing_there();
	for (int i = 0; i < RECENT; i++)
		store_relaxed(&recent[i], 0);
	store_relaxed(&next_place, 0);
	stage(true, 7, 0, 0);
	if (model_scene == SCENE_NOTED)
		store_relaxed(&recent[0], 1);
	if (model_scene == SCENE_PARK)
		give_held(1);
}

static void model_check(void)
{
	check_listed();
	model_assert(!(load_relaxed(&state) & STATE_IDLE) || is_recent());
	for (int me = 1; me <= MODEL_THREADS + 1; me++)
		give_held(me);
}
