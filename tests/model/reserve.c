/* SPDX-License-Identifier: MIT */
/*
 * tests/model/reserve.c - mempool/reserve.h: no element is lost, none handed out twice
 *
 * Idea      A reserve of at most two, three elements in all. An element that it does not take lies
 *           outside, where every thread may pick it up. Two threads take, hold, and put back; the third does
 *           as well, and moves the limit between 1 and 2, dropping what is above. At the end each
 *           element is in one place, and as many are counted as there are.
 * Scenes    PASS   one puts the only element back, another takes
 *           TAKERS two take the only element
 *           FETCH  of two elements two take one each
 *           EARLY  one puts back while another takes: it may be given the element that is stored
 *                  and not counted yet
 *           PUTTERS two put where there is room for one
 *           FALL   the limit falls while two put
 *           RESIZE two set the limit, and each tells the last one
 * Broken    RESERVE_COUNT  an element is counted before it is in its place: the thread that is owed it waits
 *           RESERVE_FETCH  fetched by a load and a store: two fetch the same
 *           RESERVE_LIMIT  put without speaking for a place: more than the limit
 *           RESERVE_TAKE   taken by a load and a store of the counts: owed twice
 *           RESERVE_FALL   the limit is set by a load and a store: an element put meanwhile is not counted
 *           RESERVE_DROP   and the surplus is dropped so: one element too many
 *           RESERVE_SURPLUS a thread that put does not drop what is above the limit that has fallen
 *           RESERVE_TOLD   a thread tells its limit and does not look again
 *           RESERVE_TELL   told and looked at again relaxed (GenMC)
 *           RESERVE_PUT, RESERVE_FETCH_ORDER  relaxed: the next user races with the last (TSan)
 */
#ifdef BROKEN_RESERVE_PUT
#define ORDER_RESERVE_PUT memory_order_relaxed
#endif
#ifdef BROKEN_RESERVE_FETCH_ORDER
#define ORDER_RESERVE_FETCH memory_order_relaxed
#endif
#ifdef BROKEN_RESERVE_TELL
#define ORDER_RESERVE_TELL memory_order_relaxed
#endif
#define RESERVE_SPARE (MODEL_NATIVE ? 4u : 1u)
/* Far more than others can move elements about; a checker's scenes move few. */
#define FETCH_TRIES (MODEL_NATIVE ? 10000 : 2)
enum {
	SCENE_NONE,
	SCENE_PASS,
	SCENE_TAKERS,
	SCENE_FETCH,
	SCENE_EARLY,
	SCENE_PUTTERS,
	SCENE_FALL,
	SCENE_RESIZE,
	SCENES
};
#define MODEL_SCENES SCENES
#include "model.h"
#include "mempool/reserve.h"
#include <string.h>

#define ELEMENTS 3
#define MOST 2u

static struct payload elements[ELEMENTS];
static _Atomic(void *) outside[ELEMENTS];
static reserve_place_t places[RESERVE_FIRST];
static struct reserve reserve;
static struct payload *held[MODEL_THREADS + 1];

/* What the broken variants replace. NULL: another thread was faster. */
static __attribute__((unused)) void *fetch_from(unsigned k)
{
#ifdef BROKEN_RESERVE_FETCH
	void *p = load_acquire(&places[k]);

	STELE_POINT("model:fetch");
	if (p)
		store_relaxed(&places[k], NULL);
	return p;
#else
	return atomic_exchange_explicit(&places[k], NULL, memory_order_acquire);
#endif
}

/* Else a thread that is owed too much would look for it for ever, and the variant would not end. */
static __attribute__((unused)) void *fetch_owed(void)
{
	for (int i = 0; i < FETCH_TRIES; i++)
		for (unsigned k = 0; k < MOST + RESERVE_SPARE; k++) {
			void *p = load_relaxed(&places[k]) ? fetch_from(k) : NULL;

			if (p)
				return p;
		}
	model_assert(!"an element was owed");
	return NULL;
}

static bool take(void **p)
{
#if defined(BROKEN_RESERVE_TAKE) || defined(BROKEN_RESERVE_FETCH) ||                               \
	defined(BROKEN_RESERVE_COUNT) || defined(BROKEN_RESERVE_FALL) ||                           \
	defined(BROKEN_RESERVE_DROP)
	uint64_t old = load_seq(&reserve.counts);
	bool ok = counts_elements(old) > 0;

	STELE_POINT("model:take");
	if (!ok)
		return false;
#ifdef BROKEN_RESERVE_TAKE
	store_seq(&reserve.counts, old - RESERVE_ELEMENT - RESERVE_PLACE);
#else
	if (!atomic_compare_exchange_strong(&reserve.counts, &old,
					    old - RESERVE_ELEMENT - RESERVE_PLACE))
		return false;
#endif
	*p = fetch_owed();
	return true;
#else
	return reserve_take(&reserve, p, 1);
#endif
}

static bool put(void *p)
{
#if defined(BROKEN_RESERVE_COUNT)
	uint64_t old = load_relaxed(&reserve.counts);

	do {
		if (reserve_is_full(old))
			return false;
	} while (!atomic_compare_exchange_weak(&reserve.counts, &old,
					       old + RESERVE_PLACE + RESERVE_ELEMENT));
	STELE_POINT("model:put");
	return reserve_store(&reserve, p, counts_places(old));
#elif defined(BROKEN_RESERVE_LIMIT)
	uint64_t old = load_relaxed(&reserve.counts);

	if (reserve_is_full(old))
		return false;
	STELE_POINT("model:put");
	if (!reserve_store(&reserve, p, counts_places(old)))
		return false;
	atomic_fetch_add(&reserve.counts, RESERVE_PLACE + RESERVE_ELEMENT);
	model_assert(counts_places(load_seq(&reserve.counts)) <= MOST);
	return true;
#else
	return reserve_put(&reserve, p);
#endif
}

static void to_outside(void *p)
{
	unsigned i = (unsigned)((struct payload *)p - elements);

	model_assert(!atomic_exchange_explicit(&outside[i], p, memory_order_acq_rel));
}

static void *from_outside(int me)
{
	return exchange_acq_rel(&outside[(unsigned)me % ELEMENTS], NULL);
}

static void *drop(void)
{
#if defined(BROKEN_RESERVE_DROP) || defined(BROKEN_RESERVE_FALL)
	uint64_t old = load_seq(&reserve.counts);

	if (counts_places(old) <= counts_limit(old) || !counts_elements(old))
		return NULL;
	STELE_POINT("model:drop");
#ifdef BROKEN_RESERVE_DROP
	store_seq(&reserve.counts, old - RESERVE_ELEMENT - RESERVE_PLACE);
#else
	if (!atomic_compare_exchange_strong(&reserve.counts, &old,
					    old - RESERVE_ELEMENT - RESERVE_PLACE))
		return NULL;
#endif
	return fetch_owed();
#else
	return reserve_drop(&reserve);
#endif
}

static void drop_surplus(void)
{
	void *p;

	while ((p = drop()))
		to_outside(p);
}

/* By a thread that has put. */
static void drop_what_it_put(void)
{
#ifndef BROKEN_RESERVE_SURPLUS
	drop_surplus();
#endif
}

static void set_limit(unsigned limit)
{
#ifdef BROKEN_RESERVE_FALL
	uint64_t old = load_seq(&reserve.counts);

	STELE_POINT("model:limit");
	store_seq(&reserve.counts, (old & ~(uint64_t)RESERVE_LIMIT) | limit);
#else
	reserve_set_limit(&reserve, limit);
#endif
}

static int told; /* the limit, as a program reads it */

static void tell_limit(void)
{
#ifdef BROKEN_RESERVE_TOLD
	unsigned limit = counts_limit(load_seq(&reserve.counts));

	STELE_POINT("model:told");
	__atomic_store_n(&told, (int)limit, memory_order_seq_cst);
#else
	reserve_tell_limit(&reserve, &told);
#endif
}

static void resize(int me)
{
	if (me > 2)
		return;
	set_limit((unsigned)me);
	tell_limit();
}

static void use(void *p, int me)
{
	payload_take(p, me);
	STELE_POINT("model:use");
	payload_leave(p, me);
	if (put(p))
		drop_what_it_put();
	else
		to_outside(p);
}

static void take_one(int me)
{
	void *p = NULL;

	if (!take(&p))
		return;
	payload_take(p, me);
	held[me] = p;
}

static void put_held(int me)
{
	void *p = held[me];

	if (!p)
		return;
	held[me] = NULL;
	payload_leave(p, me);
	if (!put(p))
		to_outside(p);
}

/* The second one lets the limit fall; the others put. */
static void fall(int me)
{
	if (me == 2) {
		set_limit(1);
		drop_surplus();
	} else {
		put_held(me);
		drop_what_it_put();
	}
}

static void play(int me)
{
	if (model_scene == SCENE_FALL)
		fall(me);
	else if (model_scene == SCENE_RESIZE)
		resize(me);
	else if (model_scene == SCENE_PUTTERS ||
		 (me == 1 && model_scene != SCENE_TAKERS && model_scene != SCENE_FETCH))
		put_held(me);
	else if (me <= 2)
		take_one(me);
}

static void walk(int me)
{
	for (int i = 0; i < MODEL_STEPS; i++) {
		void *p = NULL;

		if (me == 3) {
			set_limit(1 + (unsigned)i % MOST);
			drop_surplus();
		}
		if (!take(&p))
			p = from_outside(me);
		if (p)
			use(p, me);
	}
}

static void model_thread(int me)
{
	(model_scene == SCENE_NONE ? walk : play)(me);
}

static void start(unsigned limit)
{
	memset(&reserve, 0, sizeof(reserve));
	memset(places, 0, sizeof(places));
	store_relaxed(&reserve.part[0], places);
	store_relaxed(&reserve.places, MOST + RESERVE_SPARE);
	reserve_set_limit(&reserve, limit);
}

/* The first @in of the elements lie in the reserve, the next @out threads have one each. */
static void stage(unsigned limit, unsigned in, unsigned out)
{
	start(limit);
	for (unsigned i = 0; i < ELEMENTS; i++) {
		elements[i].holder = 0;
		store_relaxed(&outside[i], NULL);
		if (i < in) {
			reserve_put(&reserve, &elements[i]);
		} else if (i < in + out) {
			held[i - in + 1] = &elements[i];
			elements[i].holder = (int)(i - in + 1);
		} else {
			to_outside(&elements[i]);
		}
	}
}

static void model_setup(void)
{
	switch (model_scene) {
	case SCENE_PASS:
		stage(1, 0, 1);
		break;
	case SCENE_TAKERS:
		stage(1, 1, 0);
		break;
	case SCENE_FETCH:
		stage(2, 2, 0);
		break;
	case SCENE_EARLY:
		stage(2, 1, 1);
		/* Not where a taker looks first. */
		store_relaxed(&places[1], load_relaxed(&places[0]));
		store_relaxed(&places[0], NULL);
		break;
	case SCENE_PUTTERS:
		stage(1, 0, 2);
		break;
	case SCENE_FALL:
		stage(2, 0, 3);
		elements[1].holder = 0;
		to_outside(held[2]);
		held[2] = NULL;
		break;
	case SCENE_RESIZE:
		stage(MOST, 0, 0);
		break;
	default:
		stage(MOST, MOST, 0);
	}
}

static void put_all_held(void)
{
	for (int me = 1; me <= MODEL_THREADS; me++)
		put_held(me);
}

static void model_check(void)
{
	uint64_t counts;
	unsigned in = 0, out = 0;

	put_all_held();
	counts = load_relaxed(&reserve.counts);
	if (model_scene == SCENE_RESIZE)
		model_assert(told == (int)counts_limit(counts));
	for (unsigned i = 0; i < MOST + RESERVE_SPARE; i++)
		in += load_relaxed(&places[i]) != NULL;
	for (unsigned i = 0; i < ELEMENTS; i++)
		out += load_relaxed(&outside[i]) != NULL;
	model_assert(in + out == ELEMENTS);
	model_assert(counts_elements(counts) == in && counts_places(counts) == in);
	model_assert(in <= counts_limit(counts));
}
