/* SPDX-License-Identifier: MIT */
/*
 * tests/model/deferred.c - sync/later.h and the idle state of slab/bitmap.h: no slab is lost
 *
 * Idea      One descriptor and three objects (one_slab.h). Some gives may retire the slab, some may
 *           not: they leave it idle and note it. Anybody drains: takes a note and, if the slab
 *           is idle, retires it. Meanwhile it is claimed from again, or retired by an ordinary give
 *           and started anew under the same descriptor, so that notes go out of date. At the end
 *           one more drain, and no slab is lost.
 * Scenes    NOTE   one leaves the slab idle and notes it, another drains
 *           STALE  the same where an old note of that slab is still on the list
 *           CLAIM  one claims from an idle slab, another drains
 *           KEEP   two give what is left without retiring, a third drains
 * Broken    LATER_MARK   the mark is cleared after the state was looked at: a note is lost
 *           LATER_FIRST  the note comes before the state
 *           IDLE_CLAIM   a claim leaves the slab idle: it is retired in use
 *           IDLE_TAKE    a drainer retires a slab that it did not take
 *           STATE_IDLE   the take relaxed: the retirer does not see others done (TSan)
 */
#ifdef BROKEN_STATE_IDLE
#define ORDER_STATE_IDLE memory_order_relaxed
#endif
#ifdef MODEL_ROUNDS
#define MODEL_STEPS 4 /* few: a note that is lost early would be made good by a later one */
#endif
enum { SCENE_NONE, SCENE_NOTE, SCENE_STALE, SCENE_CLAIM, SCENE_KEEP, SCENES };
#define MODEL_SCENES SCENES
#define MODEL_SIDES 3u
#include "one_slab.h"
#include "sync/later.h"

static struct {
	struct stele_later later __attribute__((aligned(STELE_STACK_GRAIN)));
} nodes[2]; /* number 0 is "none" */
static struct stele_later_list list;

static unsigned claim_some(uint64_t seen, unsigned want)
{
#ifdef BROKEN_IDLE_CLAIM
	unsigned free = (unsigned)(seen & STATE_FREE), n = free < want ? free : want;

	return cas_acquire(&state, &seen, seen - n) ? n : 0;
#else
	return state_claim(&state, seen, want);
#endif
}

static void give_and_retire(uint64_t mask, int me)
{
	unsigned n = (unsigned)__builtin_popcountll(mask);
	enum give_result result;

	model_assert(bits_give(&bits, mask) == 0);
	STELE_POINT("model:bits-given");
	result = state_give(&state, n, OBJECTS);
	if (result == GIVE_LIST)
		push();
	else if (result == GIVE_EMPTY)
		retire(me);
}

static void note(void)
{
	later_note(&list, nodes, &nodes[1].later);
}

static void give_keep(uint64_t mask)
{
	unsigned n = (unsigned)__builtin_popcountll(mask);
	enum give_result result;
	bool idle;

	model_assert(bits_give(&bits, mask) == 0);
	STELE_POINT("model:bits-given");
#ifdef BROKEN_LATER_FIRST
	note();
	STELE_POINT("model:noted");
#endif
	result = state_give_keep(&state, n, OBJECTS, &idle);
	if (result == GIVE_LIST)
		push();
	STELE_POINT("model:idle");
#ifndef BROKEN_LATER_FIRST
	if (idle)
		note();
#endif
}

static void give(uint64_t mask, int me)
{
	leave_objects(mask, me);
	if (model_choice(3))
		give_keep(mask);
	else
		give_and_retire(mask, me);
}

static bool take_idle(void)
{
#ifdef BROKEN_IDLE_TAKE
	return load_acquire(&state) & STATE_IDLE && (state_take_idle(&state, false), true);
#else
	return state_take_idle(&state, false);
#endif
}

static void drain(int me)
{
#ifdef BROKEN_LATER_MARK
	struct stele_later *later = (struct stele_later *)stack_pop(&list.stack, nodes);

	if (!later)
		return;
	if (take_idle())
		retire(me);
	STELE_POINT("model:mark-late");
	exchange_acq_rel(&later->noted, 0);
#else
	if (later_take(&list, nodes) && take_idle())
		retire(me);
#endif
}

static enum unlist_result unlist(void)
{
	return state_unlist(&state);
}

static void keep_held(int me)
{
	uint64_t mask = held[me];

	held[me] = 0;
	leave_objects(mask, me);
	give_keep(mask);
}

static void play(int me)
{
	if (model_scene == SCENE_CLAIM && me == 1)
		held[me] = claim(me);
	else if (me == 1 || (model_scene == SCENE_KEEP && me == 2))
		keep_held(me);
	else if (me == (model_scene == SCENE_KEEP ? 3 : 2))
		drain(me);
}

static void between(int me)
{
	if (!model_choice(3))
		drain(me);
}

static void model_setup(void)
{
	nothing_there();
	switch (model_scene) {
	case SCENE_NOTE:
		stage(false, 7, 0, 0);
		break;
	case SCENE_STALE:
		stage(true, 7, 0, 0);
		note();
		break;
	case SCENE_CLAIM:
		stage(true, 7, 0, 0);
		keep_held(1);
		break;
	case SCENE_KEEP:
		stage(true, 1, 6, 0);
		break;
	}
}

static void model_check(void)
{
	drain(MODEL_THREADS + 1);
	if (model_scene != SCENE_NONE)
		check_listed();
	for (int me = 1; model_scene != SCENE_NONE && me <= MODEL_THREADS + 1; me++)
		give_held(me);
	drain(MODEL_THREADS + 1);
	model_assert(later_is_empty(&list));
	check_none_lost();
}
