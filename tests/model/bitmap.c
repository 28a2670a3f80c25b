/* SPDX-License-Identifier: MIT */
/*
 * tests/model/bitmap.c - slab/bitmap.h: no object twice, no slab lost or retired twice
 *
 * Idea      One descriptor and three objects (one_slab.h). Each thread claims, frees, pops the slab
 *           when it has nothing, and starts a new one when the descriptor is in the pool. At the
 *           end no slab is lost.
 * Scenes    EMPTY   each of three gives its object: one of them retires the slab
 *           CLAIM   two give, one claims
 *           REUSE   one gives all and retires, another pops the slab and starts a new one
 *           UNLIST  one gives to a slab that another takes off the stack
 * Broken    BITS_GIVE, BITS_TAKE, STATE_GIVE, STATE_CLAIM  the order relaxed (TSan)
 *           STATE_GIVE_RELEASE  without its acquire: the retirer does not see others done (TSan)
 *           COUNT_FIRST         the count raised before the bit is set
 *           BURY                the descriptor is returned while it is on the stack
 *           UNLIST              LISTED is cleared without looking at what was freed meanwhile
 */
#ifdef BROKEN_BITS_GIVE
#define ORDER_BITS_GIVE memory_order_relaxed
#endif
#ifdef BROKEN_BITS_TAKE
#define ORDER_BITS_TAKE memory_order_relaxed
#endif
#ifdef BROKEN_STATE_GIVE
#define ORDER_STATE_GIVE memory_order_relaxed
#endif
#ifdef BROKEN_STATE_GIVE_RELEASE
#define ORDER_STATE_GIVE memory_order_release
#endif
#ifdef BROKEN_STATE_CLAIM
#define ORDER_STATE_CLAIM memory_order_relaxed
#endif
enum { SCENE_NONE, SCENE_EMPTY, SCENE_CLAIM, SCENE_REUSE, SCENE_UNLIST, SCENES };
#define MODEL_SCENES SCENES
#include "one_slab.h"

static unsigned claim_some(uint64_t seen, unsigned want)
{
	return state_claim(&state, seen, want);
}

static void give(uint64_t mask, int me)
{
	unsigned n = (unsigned)__builtin_popcountll(mask);
	enum give_result result;

	leave_objects(mask, me);
#ifdef BROKEN_COUNT_FIRST
	result = state_give(&state, n, OBJECTS);
	STELE_POINT("model:count-first");
	bits_give(&bits, mask);
#else
	model_assert(bits_give(&bits, mask) == 0);
	STELE_POINT("model:bits-given");
	result = state_give(&state, n, OBJECTS);
#endif
	STELE_POINT("model:given");
	if (result == GIVE_LIST)
		push();
	else if (result == GIVE_EMPTY)
		retire(me);
}

static enum unlist_result unlist(void)
{
#ifdef BROKEN_UNLIST
	STELE_POINT("model:unlist");
	if (and_relaxed(&state, ~STATE_LISTED) & STATE_DEAD)
		return UNLIST_DEAD;
	return UNLIST_DONE;
#else
	return state_unlist(&state);
#endif
}

static void between(int me)
{
	(void)me;
}

static void play(int me)
{
	if (model_scene == SCENE_CLAIM && me == 3) {
		held[me] |= claim(me);
	} else if ((model_scene == SCENE_REUSE || model_scene == SCENE_UNLIST) && me == 2) {
		pop_exhausted();
		if (model_scene == SCENE_REUSE)
			held[me] |= new_slab(me);
	} else {
		give_held(me);
	}
}

static void model_setup(void)
{
	nothing_there();
	switch (model_scene) {
	case SCENE_EMPTY:
		stage(false, 1, 2, 4);
		break;
	case SCENE_CLAIM:
		stage(false, 1, 2, 0);
		break;
	case SCENE_REUSE:
		stage(true, 7, 0, 0);
		break;
	case SCENE_UNLIST:
		stage(true, 1, 0, 0);
		break;
	}
}

static void model_check(void)
{
	check_listed();
	for (int me = 1; model_scene != SCENE_NONE && me <= MODEL_THREADS + 1; me++)
		give_held(me);
	check_none_lost();
}
