/* SPDX-License-Identifier: MIT */
/*
 * tests/model/open.c - page/open.h: a taken area is mapped, and no area is forgotten
 *
 * Idea      A few areas. Threads open them, take them as a whole, close them, and look for one by the
 *           hints, which they clear where they were wrong. The mapping is a plain variable: written
 *           by the threads that open and close, and read by those that take.
 *           Walks end with every area that could be taken or opened having its hint.
 * Restated  SPAN, as it is woven into page/heap.c and page/run.h: a pointer that is published by a
 *           relaxed store must lie below `span` for the thread that reads it.
 *           take_row() follows page/rows.c: its loops over hints, zones and states map and unmap what
 *           they grab. Which area is grabbed first, and where a search goes on, is all that counts
 *           here; the second is row_go_on(), as shipped.
 * Scenes    CLOSE   one closes while another takes, and opens again
 *           HINT    one clears a hint while another gives the area back
 *           SPAN    a pointer to a new area is passed on
 *           SOON    one purges an empty area while another takes it and gives it back
 *           ROW     one purges the first of four areas while another looks for a row of two: a
 *                   row of two is left
 *           MET     one meets a foreign mapping and lets go of the area, while another looks whether the
 *                   mapping is still there, and a third opens the area
 * Broken    OPEN_SHOW, OPEN_BEGIN  the order relaxed: the mapping is raced for (TSan)
 *           OPEN_EARLY     shown as open before it is mapped
 *           HINT_LOOK      cleared without a look at the count afterwards
 *           SOON_STORE     an empty area is made SOON by a look and a store: it has two owners
 *           SOON_NEXT      a search goes on in the middle of a row that has an area SOON
 *           SOON_FRAMES    a purger takes frames, as of an area that is in use, and not SOON
 *           MET_SHOWN      shown as FOREIGN at once, and closed if it is BUSY later: by then it may be
 *                          another thread's
 *           SPAN, SPAN_LATE  raised without order, looked at without the fence (a checker's)
 */
#ifdef BROKEN_OPEN_SHOW
#define ORDER_OPEN_SHOW memory_order_relaxed
#endif
#ifdef BROKEN_OPEN_BEGIN
#define ORDER_OPEN_BEGIN memory_order_relaxed
#endif
enum { SCENE_NONE, SCENE_CLOSE, SCENE_HINT, SCENE_SPAN, SCENE_SOON, SCENE_ROW, SCENE_MET, SCENES };
#define MODEL_SCENES SCENES
#define MODEL_THREADS 3
#include "model.h"
#include "page/open.h"

#define AREAS 4u
#define WALKED 2u /* of these, by a walk */

static _Atomic uint32_t counts[AREAS];
static int mapped[AREAS]; /* plain */
static struct payload memory[AREAS];
static _Atomic uint64_t bits[1], words[1];
static const struct area_hints hints = { bits, words };

static void hint_is_wrong(uint32_t number)
{
#ifdef BROKEN_HINT_LOOK
	STELE_POINT("model:wrong");
	atomic_fetch_and_explicit(&bits[0], ~(1ull << number), memory_order_acq_rel);
#else
	hint_clear(hints, number, &counts[number]);
#endif
}

static void open_one(uint32_t number)
{
	if (!area_begin(&counts[number]))
		return;
	model_assert(!mapped[number]);
#ifdef BROKEN_OPEN_EARLY
	area_show(&counts[number], AREA_OPEN);
	STELE_POINT("model:early");
	mapped[number] = 1;
#else
	mapped[number] = 1;
	area_show(&counts[number], AREA_OPEN);
#endif
	hint_set(hints, number);
}

static void take_one(uint32_t number, int me)
{
	if (!area_take_whole(&counts[number], AREA_HUGE))
		return;
	model_assert(mapped[number]);
	payload_take(&memory[number], me);
	STELE_POINT("model:whole");
	payload_leave(&memory[number], me);
	area_show(&counts[number], AREA_OPEN);
	hint_set(hints, number);
}

static void close_one(uint32_t number)
{
	if (!area_take_whole(&counts[number], AREA_HUGE))
		return;
	model_assert(mapped[number]);
	mapped[number] = 0;
	area_show(&counts[number], AREA_CLOSED);
	hint_set(hints, number);
}

static void look(int me)
{
	uint32_t number = hint_next(hints, 0, AREAS);

	if (number == AREAS)
		return;
	if (!may_be_whole(load_relaxed(&counts[number])))
		hint_is_wrong(number);
	else
		take_one(number, me);
}

/* ---- areas that are free soon ---- */

static bool make_soon(uint32_t number)
{
#if defined(BROKEN_SOON_STORE)
	bool empty = load_acquire(&counts[number]) == AREA_OPEN;

	STELE_POINT("model:empty");
	if (empty)
		store_relaxed(&counts[number], AREA_SOON);
	return empty;
#elif defined(BROKEN_SOON_FRAMES)
	return area_claim(&counts[number], AREA_FRAMES);
#else
	return area_take_whole(&counts[number], AREA_SOON);
#endif
}

/* As page/purge.c: the pages of an empty area go back to the system. */
static void purge_one(uint32_t number, int me)
{
	if (!make_soon(number))
		return;
	model_assert(mapped[number]);
	payload_take(&memory[number], me);
	STELE_POINT("model:soon");
	payload_leave(&memory[number], me);
	area_show(&counts[number], AREA_OPEN);
	hint_set(hints, number);
}

static uint32_t go_on(uint32_t number, uint32_t first, uint32_t n)
{
#ifdef BROKEN_SOON_NEXT
	bool anywhere = true;
#else
	bool anywhere = false;
#endif
	return row_go_on(load_relaxed(&counts[number]), number, first, n, anywhere);
}

#define PURGES (MODEL_NATIVE ? 8 : 1)
#define ROW 2u
#define TRIES 6 /* each other one is a lost race */

/* The first area of a row, which is kept; AREAS: there was none. */
static uint32_t take_row(void)
{
	uint32_t first = 0;

	for (int i = 0; i < TRIES && first + ROW <= AREAS; i++) {
		if (!area_take_whole(&counts[first + 1], AREA_HUGE)) {
			first = go_on(first + 1, first, ROW);
		} else if (!area_take_whole(&counts[first], AREA_HUGE)) {
			uint32_t next = go_on(first, first, ROW);

			area_show(&counts[first + 1], AREA_OPEN);
			hint_set(hints, first + 1);
			first = next;
		} else {
			return first;
		}
	}
	return AREAS;
}

static void give_row(uint32_t first)
{
	uint32_t left = 0;

	if (first == AREAS)
		return;
	/* The other areas still have a row. */
	for (uint32_t i = 0; i + ROW <= AREAS; i++)
		left += i + ROW <= first || i >= first + ROW;
	model_assert(left);
	for (uint32_t i = first; i < first + ROW; i++) {
		area_show(&counts[i], AREA_OPEN);
		hint_set(hints, i);
	}
}

static void walk(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		uint32_t number = model_choice(WALKED);

		switch (model_choice(4)) {
		case 0:
			open_one(number);
			break;
		case 1:
			close_one(number);
			break;
		case 2:
			look(me);
			break;
		default:
			take_one(number, me);
		}
	}
}

static void closing(int me)
{
	if (me == 1)
		close_one(0);
	else if (me == 2)
		take_one(0, me);
	else
		open_one(0);
}

static void soon(int me)
{
	if (me == 1)
		purge_one(0, me);
	else if (me == 2)
		take_one(0, me);
	else if (MODEL_NATIVE)
		look(me);
}

static void rows(int me)
{
	if (me == 2)
		give_row(take_row());
	else if (me == 1 || MODEL_NATIVE)
		for (int i = 0; i < PURGES; i++)
			purge_one(0, me);
}

static void hinting(int me)
{
	if (me == 1)
		take_one(0, me);
	else if (me == 2)
		look(me);
}

/* ---- a foreign mapping ---- */

static _Atomic bool foreign; /* something that is not ours is mapped in area 0 */

static void let_go(uint32_t number)
{
	if (area_let_go(&counts[number]) == AREA_CLOSED)
		hint_set(hints, number);
}

/* As map_some() and open_some() of page/areas.c. */
static void open_or_meet(uint32_t number)
{
	if (!area_begin(&counts[number]))
		return;
	model_assert(!mapped[number]);
	if (!load_relaxed(&foreign)) {
		mapped[number] = 1;
		area_show(&counts[number], AREA_OPEN);
		hint_set(hints, number);
		return;
	}
#ifdef BROKEN_MET_SHOWN
	area_show(&counts[number], AREA_FOREIGN);
	STELE_POINT("model:shown");
	if (load_relaxed(&counts[number]) == AREA_BUSY)
		let_go(number);
#else
	store_relaxed(&counts[number], AREA_MET);
	let_go(number);
#endif
}

/* As forgive() of page/close.c. */
static void look_again(uint32_t number)
{
	if (!area_begin_foreign(&counts[number]))
		return;
	model_assert(!mapped[number]);
	if (load_relaxed(&foreign)) {
		store_relaxed(&counts[number], AREA_MET);
	} else {
		mapped[number] = 1;
		STELE_POINT("model:again");
		mapped[number] = 0;
	}
	let_go(number);
}

static void meet(int me)
{
	if (me == 2) {
		store_relaxed(&foreign, false); /* its owner unmaps it */
		look_again(0);
	} else {
		open_or_meet(0);
	}
}

/* ---- a pointer to a new area ---- */

static _Atomic size_t span;
static _Atomic size_t pointer; /* 0, or a place below it */

static void pass_on(void)
{
#ifdef BROKEN_SPAN
	store_relaxed(&pointer, 2);
	store_release(&span, 3);
#else
	store_release(&span, 3);
	fence_release();
	store_relaxed(&pointer, 2);
#endif
}

static void find(void)
{
	size_t p = load_relaxed(&pointer);

	if (p < load_relaxed(&span))
		return;
#ifndef BROKEN_SPAN_LATE
	fence_acquire();
#endif
	model_assert(p < load_relaxed(&span));
}

static void model_thread(int me)
{
	switch (model_scene) {
	case SCENE_CLOSE:
		closing(me);
		break;
	case SCENE_HINT:
		hinting(me);
		break;
	case SCENE_SOON:
		soon(me);
		break;
	case SCENE_ROW:
		rows(me);
		break;
	case SCENE_MET:
		meet(me);
		break;
	case SCENE_SPAN:
		if (me == 1)
			pass_on();
		else
			find();
		break;
	default:
		walk(me);
	}
}

static void model_setup(void)
{
	store_relaxed(&span, 1);
	store_relaxed(&pointer, 0);
	for (uint32_t i = 0; i < AREAS; i++) {
		store_relaxed(&counts[i], AREA_OPEN);
		mapped[i] = 1;
		hint_set(hints, i);
	}
	store_relaxed(&foreign, model_scene == SCENE_MET);
	if (model_scene == SCENE_MET) {
		store_relaxed(&counts[0], AREA_CLOSED);
		mapped[0] = 0;
	}
}

static void model_check(void)
{
	for (uint32_t i = 0; i < AREAS; i++) {
		uint32_t count = load_relaxed(&counts[i]);

		model_assert(mapped[i] == (count == AREA_OPEN));
		if (model_scene == SCENE_MET && count == AREA_FOREIGN)
			continue;
		model_assert(may_be_whole(count));
		model_assert(hint_next(hints, i, i + 1) == i);
	}
}
