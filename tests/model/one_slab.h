/* SPDX-License-Identifier: MIT */
/*
 * tests/model/one_slab.h - one descriptor and three objects, for the models of slab/bitmap.h
 *
 * Idea      The partial stack is one flag, so that being pushed twice is seen at once; so is the
 *           pool that the descriptor returns to. A model says how objects are claimed and given,
 *           and how a slab is retired and unlisted, broken if asked.
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
static enum unlist_result unlist(void);

static _Atomic uint64_t state, bits;
static _Atomic uint32_t on_stack, in_pool;
static _Atomic uint32_t started, retired;
static struct payload objects[OBJECTS];
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

/* The descriptor is the caller's, from the pool. Which objects he got. */
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
	atomic_store(&bits, 0);
	state_start(&state, 0);
	if (listed) {
		or_relaxed(&state, STATE_LISTED);
		atomic_store(&on_stack, 1);
	}
}

/* Nobody runs: what is free can be found. */
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
