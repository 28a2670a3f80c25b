/* SPDX-License-Identifier: MIT */
/*
 * tests/model/partial.c - slab/partial.h: a claim takes from a slab of its own cache or fails
 *
 * Idea      Two caches with a partial stack each, three descriptors of two objects, one pool of
 *           descriptors. Threads allocate from and free to either cache, so that slabs empty
 *           and their descriptors come back in the other cache while somebody still looks.
 * Broken    HEAD        the head is not looked at again after the state
 *           GENERATION  a new slab's state may equal the old one's: an old claim succeeds
 *           DESCRIPTOR  the descriptor is returned without asking whether it is on a stack
 *           HEAD_STATE  the claimed state read relaxed, the claim too: the fields of the slab
 *                       are read without its maker (TSan)
 */
#ifdef BROKEN_HEAD_STATE
#define ORDER_HEAD memory_order_relaxed
#define ORDER_HEAD_STATE memory_order_relaxed
#define ORDER_STATE_CLAIM memory_order_relaxed
#endif
#define MODEL_THREADS 3
#include "model.h"
#include "slab/partial.h"

#define CACHES 2
#define DESCRIPTORS 3
#define OBJECTS 2u
#define FIND_TRIES 100000

/* As struct run: link and state first, here in a line of their own. */
struct slab {
	struct partial partial;
	_Atomic uint64_t bits;
	int cache; /* plain, fixed while the slab exists */
	struct payload object[OBJECTS];
} __attribute__((aligned(STELE_STACK_GRAIN)));

struct object {
	struct slab *slab;
	unsigned number;
};

static struct slab slabs[DESCRIPTORS + 1];
static struct stele_stack partial[CACHES], pool;
static _Atomic int started, retired;

static void list(struct slab *slab, int cache)
{
	stack_push(&partial[cache], slabs, &slab->partial.link);
}

static void to_pool(struct slab *slab)
{
	stack_push(&pool, slabs, &slab->partial.link);
}

static struct partial_look look_at(int cache)
{
#ifdef BROKEN_HEAD
	struct partial_look look = { .head = load_acquire(&partial[cache].head) };

	if (STELE_STACK_INDEX(look.head)) {
		look.slab = (struct partial *)stack_node(slabs, STELE_STACK_INDEX(look.head));
		STELE_POINT("model:head");
		look.state = load_acquire(&look.slab->state);
	}
	return look;
#else
	return partial_look(&partial[cache], slabs);
#endif
}

static void start(struct slab *slab, unsigned free)
{
#ifdef BROKEN_GENERATION
	store_release(&slab->partial.state, free | STATE_LISTED);
#else
	state_start(&slab->partial.state, free);
#endif
}

static void pop_exhausted(int cache, const struct partial_look *look)
{
	struct slab *slab = (struct slab *)look->slab;

	switch (partial_pop(&partial[cache], slabs, look)) {
	case UNLIST_DEAD:
		to_pool(slab);
		break;
	case UNLIST_RELIST:
		list(slab, cache);
		break;
	case UNLIST_DONE:
	case UNLIST_LOST:
		break;
	}
}

static struct object found(struct slab *slab, uint64_t bit, int me)
{
	struct object object = { slab, (unsigned)__builtin_ctzll(bit) };

	payload_take(&slab->object[object.number], me);
	return object;
}

static struct object take_claimed(struct slab *slab, int cache, int me)
{
	uint64_t got = 0;

	model_assert(slab->cache == cache);
	for (int i = 0; !got && i < FIND_TRIES; i++)
		got = bits_take(&slab->bits, 1);
	model_assert(got);
	return found(slab, got, me);
}

static struct object take_new(int cache, int me)
{
	struct slab *slab = (struct slab *)stack_pop(&pool, slabs);

	if (!slab)
		return (struct object){ 0 };
	add_relaxed(&started, 1);
	slab->cache = cache;
	store_relaxed(&slab->bits, 2);
	start(slab, 1);
	STELE_POINT("model:new");
	list(slab, cache);
	return found(slab, 1, me);
}

static struct object take(int cache, int me)
{
	for (;;) {
		struct partial_look look = look_at(cache);

		if (!look.slab)
			return take_new(cache, me);
		if (!(look.state & STATE_FREE))
			pop_exhausted(cache, &look);
		else if (state_claim(&look.slab->state, look.state, 1))
			return take_claimed((struct slab *)look.slab, cache, me);
	}
}

static void retire(struct slab *slab)
{
	slab->cache = -1;
	add_relaxed(&retired, 1);
	STELE_POINT("model:retire");
#ifdef BROKEN_DESCRIPTOR
	to_pool(slab);
#else
	if (state_bury(&slab->partial.state))
		to_pool(slab);
#endif
}

static void give(struct object object, int me)
{
	struct slab *slab = object.slab;
	int cache = slab->cache;

	payload_leave(&slab->object[object.number], me);
	model_assert(bits_give(&slab->bits, 1ull << object.number) == 0);
	STELE_POINT("model:bits-given");
	switch (state_give(&slab->partial.state, 1, OBJECTS)) {
	case GIVE_LIST:
		list(slab, cache);
		break;
	case GIVE_EMPTY:
		retire(slab);
		break;
	case GIVE_DONE:
		break;
	}
}

static void model_thread(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		struct object a = take((int)model_choice(CACHES), me), b = { 0 };

		if (model_choice(2))
			b = take((int)model_choice(CACHES), me);
		STELE_POINT("model:hold");
		if (a.slab)
			give(a, me);
		if (b.slab)
			give(b, me);
	}
}

static void model_setup(void)
{
	if (model_round)
		return;
	for (int i = 1; i <= DESCRIPTORS; i++)
		to_pool(&slabs[i]);
}

/* Every descriptor is in the pool, or dead on one of the stacks. */
static void model_check(void)
{
	int n = 0;

	model_assert(load_relaxed(&started) == load_relaxed(&retired));
	for (int cache = 0; cache < CACHES; cache++) {
		struct stele_link *link;

		while ((link = stack_pop(&partial[cache], slabs))) {
			model_assert(state_unlist(&((struct partial *)link)->state) == UNLIST_DEAD);
			stack_push(&pool, slabs, link);
			model_assert(++n <= DESCRIPTORS);
		}
	}
	n = 0;
	for (struct stele_link *link = stack_take_all(&pool, slabs), *below; link; link = below) {
		below = stack_below(slabs, link);
		stack_push(&pool, slabs, link);
		model_assert(++n <= DESCRIPTORS);
	}
	model_assert(n == DESCRIPTORS);
}
