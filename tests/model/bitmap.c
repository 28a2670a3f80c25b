/* SPDX-License-Identifier: MIT */
/*
 * tests/model/bitmap.c - slab/bitmap.h: no object twice, no slab lost or retired twice
 *
 * Idea      One descriptor and three objects. The partial stack is one flag, so that being
 *           pushed twice is seen at once; so is the pool that the descriptor returns to. Each
 *           thread claims, frees, pops the slab when it has nothing, and starts a new one when
 *           the descriptor is in the pool. At the end all is free: every slab that was started
 *           was retired, and the descriptor is in the pool, or dead on the stack.
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
#include "model.h"
#include "slab/bitmap.h"

#define OBJECTS 3u
#define FIND_TRIES 100000 /* far more than others can move bits about */

static _Atomic uint64_t state, bits;
static _Atomic uint32_t on_stack, in_pool;
static _Atomic uint32_t started, retired;
static int frames; /* plain: which slab the descriptor stands for */
static struct payload objects[OBJECTS];

static void push(void)
{
	model_assert(atomic_exchange_explicit(&on_stack, 1, memory_order_release) == 0);
}

static bool pop(void)
{
	uint32_t yes = 1;

	return cas_acquire(&on_stack, &yes, 0);
}

static void to_pool(void)
{
	model_assert(atomic_exchange_explicit(&in_pool, 1, memory_order_release) == 0);
}

static bool from_pool(void)
{
	uint32_t yes = 1;

	return cas_acquire(&in_pool, &yes, 0);
}

/* Which objects the caller got, as bits. */
static uint64_t new_slab(int me)
{
	if (!from_pool())
		return 0;
	model_assert(load_relaxed(&on_stack) == 0);
	frames = (int)add_relaxed(&started, 1) + 1;
	store_relaxed(&bits, 6);
	state_start(&state, OBJECTS - 1);
	payload_take(&objects[0], me);
	STELE_POINT("model:new");
	push();
	return 1;
}

static uint64_t find_claimed(unsigned n)
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

static uint64_t claim(int me)
{
	/* Relaxed, so that the claim alone carries the order that is tested. */
	uint64_t seen = load_relaxed(&state), got;
	unsigned n;

	if (!(seen & STATE_FREE))
		return 0;
	model_assert(seen & STATE_LISTED); /* or nobody would find it */
	n = state_claim(&state, seen, 1 + model_choice(2));
	if (!n)
		return 0;
	model_assert(frames > 0);
	got = find_claimed(n);
	for (unsigned i = 0; i < OBJECTS; i++)
		if (got >> i & 1)
			payload_take(&objects[i], me);
	return got;
}

static void retire(int me)
{
	for (unsigned i = 0; i < OBJECTS; i++) {
		payload_take(&objects[i], me);
		payload_leave(&objects[i], me);
	}
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

static void give(uint64_t mask, int me)
{
	unsigned n = (unsigned)__builtin_popcountll(mask);
	enum give_result result;

	for (unsigned i = 0; i < OBJECTS; i++)
		if (mask >> i & 1)
			payload_leave(&objects[i], me);
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

static void pop_exhausted(void)
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

static void model_thread(int me)
{
	uint64_t mine = 0;

	for (int step = 0; step < MODEL_STEPS; step++) {
		mine |= claim(me);
		if (!mine)
			mine |= new_slab(me);
		pop_exhausted();
		if (mine && model_choice(2)) {
			uint64_t some = model_choice(2) ? mine : mine & -mine;

			give(some, me);
			mine &= ~some;
		}
	}
	if (mine)
		give(mine, me);
}

static void model_setup(void)
{
	atomic_store(&on_stack, 0);
	atomic_store(&in_pool, 1);
	atomic_store(&started, 0);
	atomic_store(&retired, 0);
}

static void model_check(void)
{
	model_assert(load_relaxed(&started) == load_relaxed(&retired));
	if (load_relaxed(&in_pool)) {
		model_assert(load_relaxed(&on_stack) == 0);
	} else {
		model_assert(pop());
		model_assert(state_unlist(&state) == UNLIST_DEAD);
	}
}
