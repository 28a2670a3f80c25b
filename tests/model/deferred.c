/* SPDX-License-Identifier: MIT */
/*
 * tests/model/deferred.c - sync/later.h and the idle state of slab/bitmap.h: no slab is lost
 *
 * Idea      One descriptor and three objects, as in bitmap.c; some gives may retire the slab, some
 *           may not: they leave it idle and note it. Anybody drains: takes a note and, if the slab
 *           is idle, retires it. Meanwhile it is claimed from again, or retired by an ordinary give
 *           and started anew under the same descriptor, so that notes go out of date. At the end
 *           one more drain: every slab that was started was retired.
 * Broken    LATER_MARK   the mark is cleared after the state was looked at: a note is lost
 *           LATER_FIRST  the note comes before the state
 *           IDLE_CLAIM   a claim leaves the slab idle: it is retired in use
 *           IDLE_TAKE    a drainer retires a slab that he did not take
 *           STATE_IDLE   the take relaxed: the retirer does not see others done (TSan)
 */
#ifdef BROKEN_STATE_IDLE
#define ORDER_STATE_IDLE memory_order_relaxed
#endif
#ifdef MODEL_ROUNDS
#define MODEL_STEPS 4 /* few: a note that is lost early would be made good by a later one */
#endif
#include "model.h"
#include "slab/bitmap.h"
#include "sync/later.h"

#define OBJECTS 3u
#define FIND_TRIES 100000 /* far more than others can move bits about */

static struct {
	struct stele_later later __attribute__((aligned(STELE_STACK_GRAIN)));
} nodes[2]; /* number 0 is "none" */
static struct stele_later_list list;
static _Atomic uint64_t state, bits;
static _Atomic uint32_t on_stack, in_pool;
static _Atomic uint32_t started, retired;
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
	add_relaxed(&started, 1);
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

static unsigned claim_some(uint64_t seen, unsigned want)
{
#ifdef BROKEN_IDLE_CLAIM
	unsigned free = (unsigned)(seen & STATE_FREE), n = free < want ? free : want;

	return cas_acquire(&state, &seen, seen - n) ? n : 0;
#else
	return state_claim(&state, seen, want);
#endif
}

static uint64_t claim(int me)
{
	uint64_t seen = load_acquire(&state), got;
	unsigned n;

	if (!(seen & STATE_FREE))
		return 0;
	model_assert(seen & STATE_LISTED); /* or nobody would find it */
	n = claim_some(seen, 1 + model_choice(3));
	if (!n)
		return 0;
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
	add_relaxed(&retired, 1);
	STELE_POINT("model:retire");
	if (state_bury(&state))
		to_pool();
}

static void give(uint64_t mask, int me)
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

static void give_some(uint64_t mask, int me)
{
	for (unsigned i = 0; i < OBJECTS; i++)
		if (mask >> i & 1)
			payload_leave(&objects[i], me);
	if (model_choice(3))
		give_keep(mask);
	else
		give(mask, me);
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

static void pop_exhausted(void)
{
	if (load_relaxed(&state) & STATE_FREE || !pop())
		return;
	STELE_POINT("model:popped");
	switch (state_unlist(&state)) {
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
		if (mine && model_choice(4)) {
			uint64_t some = model_choice(2) ? mine : mine & -mine;

			give_some(some, me);
			mine &= ~some;
		}
		if (!model_choice(3))
			drain(me);
	}
	if (mine)
		give_some(mine, me);
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
	drain(MODEL_THREADS + 1);
	model_assert(later_is_empty(&list));
	model_assert(load_relaxed(&started) == load_relaxed(&retired));
	if (load_relaxed(&in_pool)) {
		model_assert(load_relaxed(&on_stack) == 0);
	} else {
		model_assert(pop());
		model_assert(state_unlist(&state) == UNLIST_DEAD);
	}
}
