/* SPDX-License-Identifier: MIT */
/*
 * tests/model/kept.c - slab/kept_notes.h and state_refill(): a slab that stays is never lost
 *
 * Idea      One descriptor and three objects (one_slab.h), and room for one note. The thread that gives the
 *           last object leaves the slab idle and notes it. Anybody purges: takes the note and, if
 *           the slab is idle, takes the slab, touches all of it, as giving its pages back does, and
 *           lets go of it. Meanwhile it is claimed from, and popped when it has nothing. At the end
 *           everything is free and found, and an idle slab has a note.
 * Restated  park_if_idle(), purge() and the end of give() are the calls of slab/kept.c and slab/give.c in their
 *           order, a line each: the files themselves need a descriptor of real frames, the system, and
 *           a stack. All steps that they call are the shipped ones.
 * Scenes    NOTE   one leaves the slab idle and notes it, another purges by an old note
 *           CLAIM  one claims from an idle slab, another purges
 *           POP    one purges, another pops the slab, which has nothing meanwhile
 * Broken    KEPT_FIRST   the note comes before the state: an idle slab is left without one
 *           KEPT_TAKE    a slab is parked that was not taken: a claimer has it as well
 *           REFILL       the owner does not look whether it lets go of what it saw: a slab that was popped is lost
 *           KEPT_IDLE, KEPT_GONE   a fence is left out: the same, in a machine that reorders
 *           STATE_REFILL the owner lets go relaxed: the claimer does not see it done (TSan)
 */
#ifdef BROKEN_STATE_REFILL
#define ORDER_STATE_REFILL memory_order_relaxed
#endif
#ifdef BROKEN_KEPT_IDLE
#define FENCE_KEPT_IDLE() ((void)0)
#endif
#ifdef BROKEN_KEPT_GONE
#define FENCE_KEPT_GONE() ((void)0)
#endif
#ifdef MODEL_ROUNDS
#define MODEL_STEPS 4 /* few: a note that is lost early would be made good by a later one */
#endif
#define KEPT_NOTES 1u
enum { SCENE_NONE, SCENE_NOTE, SCENE_CLAIM, SCENE_POP, SCENES };
#define MODEL_SCENES SCENES
#define MODEL_SIDES 3u
#include "one_slab.h"
#include "slab/kept_notes.h"

static struct kept_notes notes;

static bool refill(void)
{
#ifdef BROKEN_REFILL
	bool listed = load_relaxed(&state) & STATE_LISTED;

	STELE_POINT("model:refill");
	exchange_acq_rel(&state, (load_relaxed(&state) & ~STATE_FREE) | OBJECTS | STATE_LISTED);
	return !listed;
#else
	return state_refill(&state, OBJECTS, false);
#endif
}

static bool take_idle(void)
{
#ifdef BROKEN_KEPT_TAKE
	return load_acquire(&state) & STATE_IDLE && (state_take_idle(&state, false), true);
#else
	return state_take_idle(&state, false);
#endif
}

/* What is noted, or what the note's place is needed for. */
static void park_if_idle(const void *slab, int me)
{
	if (!slab || !take_idle())
		return;
	touch_all(me);
	STELE_POINT("model:emptied");
	if (refill())
		push();
}

static void purge(int me)
{
	if (load_relaxed(&notes.slab[0]))
		park_if_idle(kept_replace(&notes, 0, NULL), me);
}

static void give(uint64_t mask, int me)
{
	unsigned n = (unsigned)__builtin_popcountll(mask);
	enum give_result result;
	bool idle;

	leave_objects(mask, me);
	model_assert(bits_give(&bits, mask) == 0);
	STELE_POINT("model:bits-given");
#ifdef BROKEN_KEPT_FIRST
	park_if_idle(kept_note(&notes, &state), me);
	STELE_POINT("model:noted");
#endif
	result = state_give_keep(&state, n, OBJECTS, &idle);
	if (result == GIVE_LIST)
		push();
	STELE_POINT("model:idle");
#ifndef BROKEN_KEPT_FIRST
	if (idle)
		park_if_idle(kept_note(&notes, &state), me);
#endif
}

static unsigned claim_some(uint64_t seen, unsigned want)
{
	return state_claim(&state, seen, want);
}

static enum unlist_result unlist(void)
{
	return state_unlist(&state);
}

static void play(int me)
{
	if (me == 2)
		purge(me);
	else if (me == 1 && model_scene == SCENE_NOTE)
		give_held(me);
	else if (me == 1 && model_scene == SCENE_CLAIM)
		held[me] = claim(me);
	else if (me == 1)
		pop_exhausted();
}

static void between(int me)
{
	if (!model_choice(3))
		purge(me);
}

static void model_setup(void)
{
	nothing_there();
	store_relaxed(&notes.slab[0], NULL);
	switch (model_scene) {
	case SCENE_NONE:
		stage(false, 0, 0, 0);
		give_held(MODEL_THREADS + 1);
		break;
	case SCENE_NOTE:
		stage(true, 7, 0, 0);
		store_relaxed(&notes.slab[0], &state);
		break;
	case SCENE_CLAIM:
	case SCENE_POP:
		stage(true, 7, 0, 0);
		give_held(1);
		break;
	}
}

static void model_check(void)
{
	check_listed();
	for (int me = 1; model_scene != SCENE_NONE && me <= MODEL_THREADS + 1; me++)
		give_held(me);
	model_assert((load_relaxed(&state) & STATE_FREE) == OBJECTS);
	check_listed();
	if (load_relaxed(&state) & STATE_IDLE)
		model_assert(kept_is_noted(&notes, &state));
}
