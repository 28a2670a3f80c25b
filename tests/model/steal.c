/* SPDX-License-Identifier: MIT */
/*
 * tests/model/steal.c - percpu/steal.h: a sheaf is taken from a slot as it is, or not at all
 *
 * Idea      Two threads pop, push, detach and attach on a slot; two that do not run there take
 *           its sheaf, or put it back when the barrier is refused. Each object has one holder at
 *           a time; at the end objects and sheaves are counted.
 * Scenes    POP     an owner pops while a taker takes, or is refused its barrier
 *           OWNER   an owner pops, then detaches that sheaf and attaches it, beside a taker
 *           TAKERS  two takers beside an owner that pops
 *           TURNS   one owner frees into the sheaf, the next allocates from it
 * Broken    STEAL_EMPTY     the mark is EMPTY, which an owner stores as well
 *           STEAL_BARRIER   no barrier between mark and finish: a step commits after it
 *           STEAL_FINISH    what was marked is taken without looking again
 *           STEAL_TAKERS    two takers at once: each takes the other's mark for its own
 *           STEAL_PUT_BACK  where the barrier was refused the sheaf is put back blindly
 *           SLOT_ENTER, SLOT_LEAVE  the order between turns on a slot relaxed (TSan)
 */
#ifdef BROKEN_SLOT_ENTER
#define ORDER_SLOT_ENTER memory_order_relaxed
#endif
#ifdef BROKEN_SLOT_LEAVE
#define ORDER_SLOT_LEAVE memory_order_relaxed
#endif
#define MODEL_THREADS 4
enum { SCENE_NONE, SCENE_POP, SCENE_OWNER, SCENE_TAKERS, SCENE_TURNS, SCENES };
#define MODEL_SCENES SCENES
#include "slot.h"
#include "percpu/steal.h"

#define TURNS (MODEL_NATIVE ? 20 : 1) /* of a scene: three threads seldom do the steps in a row */

#ifdef BROKEN_STEAL_EMPTY
#define MARK SHEAF_EMPTY
#else
#define MARK SHEAF_REMOTE
#endif

static _Atomic uint32_t taking;

static bool takers_enter(void)
{
#ifdef BROKEN_STEAL_TAKERS
	return true;
#else
	uint32_t no = 0;

	return cas_acquire(&taking, &no, 1);
#endif
}

static void takers_leave(void)
{
	store_release(&taking, 0);
}

/* False: the kernel refused, as a filter put on meanwhile may make it. */
static bool barrier(void)
{
	if (model_chance(8))
		return false;
#ifndef BROKEN_STEAL_BARRIER
	model_membarrier();
#endif
	return true;
}

static bool finish(_Atomic uint64_t *word)
{
#ifdef BROKEN_STEAL_FINISH
	store_relaxed(word, SHEAF_EMPTY);
	return true;
#else
	return steal_finish(word, MARK, SHEAF_EMPTY);
#endif
}

/* As if nothing had been. */
static void put_back(_Atomic uint64_t *word, uint64_t top)
{
#ifdef BROKEN_STEAL_PUT_BACK
	store_release(word, top);
#else
	uint64_t mark = MARK;

	cas_release(word, &mark, top);
#endif
}

static void taker(void)
{
	_Atomic uint64_t *word = &slots[0].word[MAIN];
	uint64_t top = load_relaxed(word);

	if (!takers_enter())
		return;
	if (stele_is_sheaf(top) && steal_mark(word, &top, MARK)) {
		if (!barrier())
			put_back(word, top);
		else if (finish(word))
			sheaf_flush(top);
	}
	takers_leave();
}

/* As cache/attach.c does: detach what is there, refill it, attach it if the slot has none. */
static void detach_attach(struct slot *slot)
{
	uint64_t top = model_read(slot, MAIN), object;

	if (top == SHEAF_EMPTY) {
		top = sheaf_new();
		if (!top)
			return;
	} else if (!stele_is_sheaf(top) || !model_cas(slot, MAIN, top, SHEAF_EMPTY)) {
		return;
	}
	STELE_POINT("model:detached");
	while (sheaf_count(top, SHEAF_BYTES) < CAPACITY - 1 && (object = object_take())) {
		*(uint64_t *)(uintptr_t)top = object;
		top += 8;
	}
	if (!model_cas(slot, MAIN, SHEAF_EMPTY, top))
		sheaf_flush(top);
}

static void user(int me)
{
	uint64_t object = model_pop(&slots[0]);

	if (!object)
		object = object_take();
	if (object)
		payload_take(&objects[object], me);
	if (model_choice(2))
		detach_attach(&slots[0]);
	if (!object)
		return;
	payload_leave(&objects[object], me);
	if (!model_push(&slots[0], object))
		object_give(object);
}

static void pop_one(int me)
{
	uint64_t object = model_pop(&slots[0]);

	if (!object)
		return;
	payload_take(&objects[object], me);
	STELE_POINT("model:popped");
	payload_leave(&objects[object], me);
	object_give(object);
}

static void push_one(int me)
{
	uint64_t object = object_take();

	payload_take(&objects[object], me);
	payload_leave(&objects[object], me);
	if (!model_push(&slots[0], object))
		object_give(object);
}

static void play(int me)
{
	if (model_scene == SCENE_TURNS && me == 1)
		push_one(me);
	else if (me == 1 || (model_scene == SCENE_TURNS && me == 2))
		pop_one(me);
	else if (me == 3 && model_scene != SCENE_TURNS)
		taker();
	else if (me == 4 && model_scene == SCENE_TAKERS)
		taker();
	if (me == 1 && (MODEL_NATIVE || model_scene == SCENE_OWNER))
		detach_attach(&slots[0]);
}

static void walk(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		if (me > 2)
			taker();
		else
			user(me);
	}
}

static void model_thread(int me)
{
	(model_scene == SCENE_NONE ? walk : play)(me);
}

static void model_setup(void)
{
	slots_setup();
	if (model_scene != SCENE_NONE) {
		uint64_t top = sheaf_new();

		*(uint64_t *)(uintptr_t)top = object_take();
		atomic_store(&slots[0].word[MAIN], top + 8);
	}
}

static void model_check(void)
{
	slots_check();
}
