/* SPDX-License-Identifier: MIT */
/*
 * tests/model/partial.c - slab/partial.h, slab/sweep.h: a claim takes from a slab of its own cache or
 * fails; each descriptor comes back once
 *
 * Idea      Two caches with a partial stack each, three descriptors of two objects, one pool of
 *           descriptors. Threads allocate from and free to either cache, so that slabs empty
 *           and their descriptors come back in the other cache while somebody still looks.
 * Checker   an object is a number, {slab, object}: a structure of both would be passed in one
 *           access of 128 bits, which no checker knows.
 * Scenes    FRESH   one makes a slab, another claims from it
 *           REUSE   one looks at a slab and claims; another empties that slab meanwhile, and makes
 *                   one of the other cache in its descriptor
 *           SPENT   the slab on top has no free object: two find it so, a third gives one to it
 *           TIDY    one tidies the stack, another claims from its slab, a third gives to it
 *           IDLE    one tidies a stack with an idle slab, another claims from that
 *           SWEEP   one sweeps the stack, another claims from its slab, a third retires it
 *           DEAD    one sweeps a stack with a dead slab, another buries, a third allocates
 *           LEFT    one sweeps the stack and never comes back, the others as in SWEEP
 * Broken    HEAD        the head is not looked at again after the state
 *           GENERATION  a new slab's state may equal the old one's: an old claim succeeds
 *           DESCRIPTOR  the descriptor is returned without asking whether it is on a stack
 *           TIDY_IDLE   an idle slab is retired without being taken
 *           TIDY_OFF    the descriptor of an idle slab is not told that it is off the stack
 *           SWEEP_LOOK  a sweep takes each slab for dead that it pops
 *           SWEEP_TOP   a thread that buries pops what is on top, dead or not
 *           SWEEP_STATE a sweep reads the state relaxed: the retirer may not be done (GenMC)
 *           HEAD_STATE  head, state and claim are relaxed: a thread reads the fields of a slab
 *                       without having seen what its maker wrote there (TSan)
 */
#ifdef BROKEN_HEAD_STATE
#define ORDER_HEAD memory_order_relaxed
#define ORDER_HEAD_STATE memory_order_relaxed
#define ORDER_STATE_CLAIM memory_order_relaxed
#endif
#ifdef BROKEN_SWEEP_STATE
#define ORDER_SWEEP_STATE memory_order_relaxed
#endif
#ifdef BROKEN_TIDY_OFF
#define TIDY_TAKE_IDLE(state) state_take_idle(state, false)
#endif
#ifdef BROKEN_TIDY_IDLE
#define TIDY_TAKE_IDLE(state) take_idle_blindly(state)
#endif
#define MODEL_THREADS 3
enum {
	SCENE_NONE,
	SCENE_FRESH,
	SCENE_REUSE,
	SCENE_SPENT,
	SCENE_TIDY,
	SCENE_IDLE,
	SCENE_SWEEP,
	SCENE_DEAD,
	SCENE_LEFT,
	SCENES
};
#define MODEL_SCENES SCENES
#include "model.h"
static __attribute__((unused)) bool take_idle_blindly(_Atomic uint64_t *state);
#include "slab/sweep.h"

#define CACHES 2
#define NO_CACHE (-1)
#define DESCRIPTORS (MODEL_NATIVE ? 3 : 2)
#define OBJECTS 2u
#define FIND_TRIES (MODEL_NATIVE ? 100000 : 3)

/* As struct run: link and state first, here in a line of their own. */
struct slab {
	struct partial partial;
	_Atomic uint64_t bits;
	int cache; /* plain, fixed while the slab exists */
	struct payload object[OBJECTS];
} __attribute__((aligned(STELE_STACK_GRAIN)));

static struct slab slabs[4];
static struct stele_stack partial[CACHES], pool;
static _Atomic int started, retired;
static unsigned held[MODEL_THREADS + 1]; /* an object, by thread, or 0 */

static __attribute__((unused)) bool take_idle_blindly(_Atomic uint64_t *state)
{
	bool idle = load_acquire(state) & STATE_IDLE;

	for (int i = 0; idle && i < (MODEL_NATIVE ? 16 : 1); i++)
		STELE_POINT("model:idle");
	if (idle)
		and_relaxed(state, ~(STATE_IDLE | STATE_FREE | STATE_LISTED));
	return idle;
}

static void list(struct slab *slab, int cache)
{
	stack_push(&partial[cache], slabs, &slab->partial.link);
}

/* A descriptor that stands for no slab. */
static void to_pool(struct slab *slab)
{
	model_assert(slab->cache == NO_CACHE);
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

/* An object: its slab's index times OBJECTS, and its number. 0 is none. */
static unsigned found(struct slab *slab, unsigned number, int me)
{
	payload_take(&slab->object[number], me);
	return (unsigned)(slab - slabs) * OBJECTS + number;
}

static unsigned take_claimed(struct slab *slab, int cache, int me)
{
	uint64_t got = 0;

	model_assert(slab->cache == cache);
	for (int i = 0; !got && i < FIND_TRIES; i++)
		got = bits_take(&slab->bits, 1);
	model_assert(got);
	return found(slab, got >> 1 & 1, me);
}

static unsigned take_new(int cache, int me)
{
	struct slab *slab = (struct slab *)stack_pop(&pool, slabs);

	if (!slab)
		return 0;
	add_relaxed(&started, 1);
	slab->cache = cache;
	store_relaxed(&slab->bits, 2);
	start(slab, 1);
	STELE_POINT("model:new");
	list(slab, cache);
	return found(slab, 0, me);
}

static unsigned take(int cache, int me)
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

/* As stele_dead_buried(): the dead on top come back. */
static void drop_dead(int cache)
{
	struct slab *slab;

#ifdef BROKEN_SWEEP_TOP
	slab = (struct slab *)stack_pop(&partial[cache], slabs);
#else
	slab = (struct slab *)sweep_top(&partial[cache], slabs);
#endif
	if (slab)
		to_pool(slab);
}

/* Where a checker follows it. */
static bool buries(void)
{
	return MODEL_NATIVE || model_scene == SCENE_SWEEP;
}

static void retire(struct slab *slab)
{
	int cache = slab->cache;
	bool drops = buries();

	slab->cache = NO_CACHE;
	add_relaxed(&retired, 1);
	STELE_POINT("model:retire");
#ifdef BROKEN_DESCRIPTOR
	to_pool(slab);
	if (drops)
		drop_dead(cache);
#else
	if (state_bury(&slab->partial.state))
		to_pool(slab);
	else if (drops)
		drop_dead(cache);
#endif
}

static void give(unsigned object, int me)
{
	struct slab *slab = &slabs[object / OBJECTS];
	unsigned number = object % OBJECTS;
	int cache = slab->cache;

	payload_leave(&slab->object[number], me);
	model_assert(bits_give(&slab->bits, 1ull << number) == 0);
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

/* The same for a thread that must not retire a slab. */
static void give_keep(unsigned object, int me)
{
	struct slab *slab = &slabs[object / OBJECTS];
	bool idle;

	payload_leave(&slab->object[object % OBJECTS], me);
	model_assert(bits_give(&slab->bits, 1ull << object % OBJECTS) == 0);
	if (state_give_keep(&slab->partial.state, 1, OBJECTS, &idle) == GIVE_LIST)
		list(slab, slab->cache);
}

static void tidy_slab(struct partial *link, enum tidied what, void *cache)
{
	struct slab *slab = (struct slab *)link;

	if (what == TIDY_RETURN)
		to_pool(slab);
	else if (what == TIDY_RETIRE)
		retire(slab);
	else
		list(slab, *(int *)cache);
}

static void tidy(int cache)
{
	partial_tidy(&partial[cache], slabs, OBJECTS, tidy_slab, &cache);
}

/* ---- sweeping ---- */

static void swept_dead(struct partial *slab)
{
	to_pool((struct slab *)slab);
}

static void pop_all(int cache, struct swept *swept)
{
#ifdef BROKEN_SWEEP_LOOK
	struct stele_link *link;

	(void)swept;
	while ((link = stack_pop(&partial[cache], slabs)))
		swept_dead((struct partial *)link);
#else
	sweep_pop(swept, &partial[cache], slabs, DESCRIPTORS, DESCRIPTORS, swept_dead);
#endif
}

static void sweep(int cache)
{
	struct swept swept = { 0 };

	pop_all(cache, &swept);
	sweep_push_back(&swept, &partial[cache], slabs);
}

static struct swept left; /* by a thread that never came back from its sweep */

/* When all is freed, each slab has given its frames back, and only its descriptor is lost. */
static void find_left(void)
{
	struct stele_link *link = left.first, *next;

	for (; left.live; left.live--, link = next) {
		next = stack_below(slabs, link);
		model_assert(state_unlist(&((struct partial *)link)->state) == UNLIST_DEAD);
		to_pool((struct slab *)link);
	}
	left.first = left.last = NULL;
	left.dead = 0;
}

static void give_held(int me)
{
	unsigned object = held[me];

	held[me] = 0;
	if (object)
		give(object, me);
}

static void pop_if_spent(int cache)
{
	struct partial_look look = look_at(cache);

	if (look.slab && !(look.state & STATE_FREE))
		pop_exhausted(cache, &look);
}

/* Tries to make the descriptor of cache 0's top slab, which may be gone, one of the other cache. */
static void reuse(int me)
{
	give_held(me);
	pop_if_spent(0);
	held[me] = take(1, me);
}

static bool holds_at_first(void)
{
	return model_scene == SCENE_SPENT || model_scene == SCENE_TIDY ||
	       model_scene == SCENE_SWEEP || model_scene == SCENE_LEFT;
}

static void play_sweep(int me)
{
	if (me == 1 && model_scene == SCENE_LEFT)
		pop_all(0, &left);
	else if (me == 1)
		sweep(0);
	else if (me == 2)
		held[me] = take(0, me);
	else if (model_scene == SCENE_DEAD)
		drop_dead(0);
	else
		give_held(me);
}

static void play(int me)
{
	if (model_scene >= SCENE_SWEEP)
		play_sweep(me);
	else if (model_scene == SCENE_REUSE && me == 2)
		reuse(me);
	else if (holds_at_first() && me == 3)
		give_held(me);
	else if ((model_scene == SCENE_IDLE || model_scene == SCENE_TIDY) && me == 1)
		tidy(0);
	else if (me <= 2)
		held[me] = take(0, me);
}

static void walk(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		unsigned a = take((int)model_choice(CACHES), me), b = 0;

		if (model_choice(2))
			b = take((int)model_choice(CACHES), me);
		if (!model_choice(4))
			tidy((int)model_choice(CACHES));
		if (!model_choice(4))
			sweep((int)model_choice(CACHES));
		STELE_POINT("model:hold");
		if (a)
			give(a, me);
		if (b)
			give(b, me);
	}
}

static void model_thread(int me)
{
	(model_scene == SCENE_NONE ? walk : play)(me);
}

/* Thread @me holds an object of a slab of cache 0; the other one is free, or main's. */
static void stage(int me, bool all)
{
	held[me] = take(0, me);
	if (all)
		held[0] = take(0, 0);
}

static void model_setup(void)
{
	for (int i = 1; !model_round && i <= DESCRIPTORS; i++) {
		slabs[i].cache = NO_CACHE;
		to_pool(&slabs[i]);
	}
	if (model_scene == SCENE_REUSE)
		stage(2, false);
	if (holds_at_first())
		stage(3, model_scene == SCENE_SPENT);
	if (model_scene == SCENE_DEAD) {
		stage(3, false);
		held[0] = take(0, 0);
		give_held(3);
		give_held(0);
	}
	if (model_scene == SCENE_IDLE) {
		stage(3, false);
		give_keep(held[3], 3);
		held[3] = 0;
	}
}

/* Every descriptor is in the pool, or dead on one of the stacks. */
static void model_check(void)
{
	int n = 0;

	for (int me = 0; me <= MODEL_THREADS; me++)
		give_held(me);
	find_left();
	for (int cache = 0; model_scene == SCENE_IDLE && cache < CACHES; cache++)
		tidy(cache);
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
