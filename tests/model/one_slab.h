/* SPDX-License-Identifier: MIT */
/*
 * tests/model/one_slab.h - one descriptor and three objects, for the models of slab/bitmap.h
 *
 * Idea      The partial stack is one flag, so that being pushed twice is seen at once; so is the
 *           pool that the descriptor returns to. Threads claim from the slab, pop it when it has
 *           nothing, and start a new one when the descriptor is in the pool. A model says how a claim
 *           is made, how objects are given, and what else there is to do, broken if asked.
 * Scenes    stage() sets a slab up as it is in the middle of its life: which thread holds which objects,
 *           and whether it lies on the partial stack without a free one.
 * At the end all is free: every slab that was started was retired, and the descriptor is in the
 *           pool, or dead on the stack.
 * Included  by one model, behind its ORDER_X; all that is here is that model's own.
 */
#ifndef STELE_TESTS_MODEL_ONE_SLAB_H
#define STELE_TESTS_MODEL_ONE_SLAB_H

#include "model.h"
#include "slab/bitmap.h"

#define OBJECTS 3u
/* Far more than others can move bits about; a checker's scenes move few. */
#define FIND_TRIES (MODEL_NATIVE ? 100000 : 3)

/* Filled in by the model. */
static unsigned claim_some(uint64_t seen, unsigned want); /* as state_claim() */
static void give(uint64_t mask, int me);		  /* objects that @me holds */
static enum unlist_result unlist(void);
static void between(int me); /* two steps of a walk */
static void play(int me);    /* a scene */

static _Atomic uint64_t state, bits;
static _Atomic uint32_t on_stack, in_pool;
static _Atomic uint32_t started, retired;
static struct payload objects[OBJECTS];
static int frames; /* plain: which slab the descriptor stands for */
static uint64_t
	held[MODEL_THREADS + 2]; /* by thread, last main: what it has when a scene is over */

static inline void push(void)
{
	model_assert(atomic_exchange_explicit(&on_stack, 1, memory_order_release) == 0);
}

static inline bool pop(void)
{
	uint32_t yes = 1;

	return cas_acquire(&on_stack, &yes, 0);
}

static inline void to_pool(void)
{
	model_assert(atomic_exchange_explicit(&in_pool, 1, memory_order_release) == 0);
}

static inline bool from_pool(void)
{
	uint32_t yes = 1;

	return cas_acquire(&in_pool, &yes, 0);
}

/* As bits: what the caller got. */
static inline void take_objects(uint64_t mask, int me)
{
	for (unsigned i = 0; i < OBJECTS; i++)
		if (mask >> i & 1)
			payload_take(&objects[i], me);
}

static inline void leave_objects(uint64_t mask, int me)
{
	for (unsigned i = 0; i < OBJECTS; i++)
		if (mask >> i & 1)
			payload_leave(&objects[i], me);
}

/* The descriptor is the caller's, from the pool. Returns the objects that the caller got. */
static inline uint64_t start_slab(int me)
{
	store_relaxed(&bits, 6);
	state_start(&state, OBJECTS - 1);
	payload_take(&objects[0], me);
	STELE_POINT("model:new");
	push();
	return 1;
}

static inline uint64_t find_claimed(unsigned n)
{
	uint64_t found = 0;

	for (int i = 0; n && i < FIND_TRIES; i++) {
		uint64_t got = bits_take(&bits, n);

		found |= got;
		n -= (unsigned)__builtin_popcountll(got);
	}
	model_assert(n == 0);
	return found;
}

/* A new slab, if the descriptor is in the pool. As bits: which objects the caller got. */
static inline uint64_t new_slab(int me)
{
	if (!from_pool())
		return 0;
	model_assert(load_relaxed(&on_stack) == 0);
	frames = (int)add_relaxed(&started, 1) + 1;
	return start_slab(me);
}

static inline uint64_t claim(int me)
{
	/* Relaxed, so that the claim alone carries the order that is tested. */
	uint64_t seen = load_relaxed(&state), got;
	unsigned n;

	if (!(seen & STATE_FREE))
		return 0;
	model_assert(seen & STATE_LISTED); /* or nobody would find it */
	n = claim_some(seen, 1 + model_choice(MODEL_SIDES));
	if (!n)
		return 0;
	model_assert(frames > 0);
	got = find_claimed(n);
	take_objects(got, me);
	return got;
}

/* Nobody else holds an object of a slab that is retired. */
static inline void touch_all(int me)
{
	for (unsigned i = 0; i < OBJECTS; i++) {
		payload_take(&objects[i], me);
		payload_leave(&objects[i], me);
	}
}

static inline void pop_exhausted(void)
{
	if (load_relaxed(&state) & STATE_FREE || !pop())
		return;
	STELE_POINT("model:popped");
	switch (unlist()) {
	case UNLIST_DEAD:
		to_pool();
		break;
	case UNLIST_RELIST:
		push();
		break;
	case UNLIST_DONE:
	case UNLIST_LOST:
		break;
	}
}

/* The caller owns the slab, all of which is free. */
static inline void retire(int me)
{
	touch_all(me);
	frames = 0;
	add_relaxed(&retired, 1);
	STELE_POINT("model:retire");
#ifdef BROKEN_BURY
	to_pool();
	state_bury(&state);
#else
	if (state_bury(&state))
		to_pool();
#endif
}

static inline void give_held(int me)
{
	uint64_t mask = held[me];

	held[me] = 0;
	if (mask)
		give(mask, me);
}

static void walk(int me)
{
	uint64_t mine = 0;

	for (int step = 0; step < MODEL_STEPS; step++) {
		mine |= claim(me);
		if (!mine)
			mine |= new_slab(me);
		pop_exhausted();
		if (mine && model_choice(4)) {
			uint64_t some = model_choice(2) ? mine : mine & -mine;

			give(some, me);
			mine &= ~some;
		}
		between(me);
	}
	if (mine)
		give(mine, me);
}

static void model_thread(int me)
{
	(model_scene == SCENE_NONE ? walk : play)(me);
}

static inline void nothing_there(void)
{
	atomic_store(&on_stack, 0);
	atomic_store(&in_pool, 1);
	atomic_store(&started, 0);
	atomic_store(&retired, 0);
}

/* As bits: what each of the first three threads holds. The others are main's. */
static inline void stage(bool listed, uint64_t first, uint64_t second, uint64_t third)
{
	held[1] = first;
	held[2] = second;
	held[3] = third;
	held[MODEL_THREADS + 1] = 7 & ~(first | second | third);
	for (int me = 1; me <= MODEL_THREADS + 1; me++)
		take_objects(held[me], me);
	atomic_store(&in_pool, 0);
	atomic_store(&started, 1);
	frames = 1;
	atomic_store(&bits, 0);
	state_start(&state, 0);
	if (listed) {
		or_relaxed(&state, STATE_LISTED);
		atomic_store(&on_stack, 1);
	}
}

/* Nobody runs: each free object can be found. */
static inline void check_listed(void)
{
	if (load_relaxed(&state) & STATE_FREE)
		model_assert(load_relaxed(&state) & STATE_LISTED && load_relaxed(&on_stack));
}

static inline void check_none_lost(void)
{
	model_assert(load_relaxed(&started) == load_relaxed(&retired));
	if (load_relaxed(&in_pool)) {
		model_assert(load_relaxed(&on_stack) == 0);
	} else {
		model_assert(pop());
		model_assert(state_unlist(&state) == UNLIST_DEAD);
	}
}

#endif
