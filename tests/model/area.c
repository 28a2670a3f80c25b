/* SPDX-License-Identifier: MIT */
/*
 * tests/model/area.c - page/area.h: every frame has one owner, and is free again at the end
 *
 * Idea      One area of which all frames but a few belong to no thread of the model. Threads take
 *           and return runs within a word, runs over words, and the whole area; a thread that has a
 *           frame writes its payload. A thread that gets the whole finds every bit clear.
 * Scenes    SAME    two take a frame of one word and give it back
 *           LONG    a row over two words meets a row that is given, over the same two
 *           WHOLE   one takes a short row, another the whole
 * Broken    AREA_TAKE, AREA_RETURN  the order relaxed: the payload is raced for (TSan)
 *           AREA_COUNT_FIRST        the count lowered before the bits are clear
 *           AREA_UNDO               a collision in the middle of a long run is not undone
 *           AREA_CLAIM              bits taken without a claim: the whole is taken from under them
 */
#ifdef BROKEN_AREA_TAKE
#define ORDER_AREA_TAKE memory_order_relaxed
#endif
#ifdef BROKEN_AREA_RETURN
#define ORDER_AREA_RETURN memory_order_relaxed
#define ORDER_OPEN_SHOW memory_order_relaxed
#endif
enum { SCENE_NONE, SCENE_SAME, SCENE_LONG, SCENE_WHOLE, SCENES };
#define MODEL_SCENES SCENES
#include "model.h"
#include "page/open.h"

static struct area area;
static _Atomic uint32_t count = AREA_OPEN;
static struct payload frames[AREA_FRAMES];

/* The payloads that are looked at: the edges of the words that runs collide in. */
static bool is_watched(unsigned frame)
{
	return frame % 64 < 2 || frame % 64 == 63;
}

static void hold(unsigned first, unsigned n, int me)
{
	for (unsigned i = first; i < first + n; i++)
		if (is_watched(i))
			payload_take(&frames[i], me);
}

static void leave(unsigned first, unsigned n, int me)
{
	for (unsigned i = first; i < first + n; i++)
		if (is_watched(i))
			payload_leave(&frames[i], me);
}

static bool claim(unsigned n)
{
#ifdef BROKEN_AREA_CLAIM
	(void)n;
	return area_claimed(load_relaxed(&count)) < AREA_FRAMES;
#else
	return area_claim(&count, n);
#endif
}

static void unclaim(unsigned n)
{
#ifdef BROKEN_AREA_CLAIM
	(void)n;
#else
	area_unclaim(&count, n);
#endif
}

static void give_back(unsigned first, unsigned n)
{
#if defined(BROKEN_AREA_COUNT_FIRST)
	area_unclaim(&count, n);
	STELE_POINT("model:count-first");
	return_bits(&area, first, n);
#elif defined(BROKEN_AREA_CLAIM)
	return_bits(&area, first, n);
#else
	area_return(&area, &count, first, n);
#endif
}

static void some(unsigned n, unsigned align, int me)
{
	int first;

	if (!claim(n))
		return;
	STELE_POINT("model:claimed");
	first = area_take(&area, n, align);
	if (first < 0) {
		unclaim(n);
		return;
	}
	hold((unsigned)first, n, me);
	STELE_POINT("model:some");
	leave((unsigned)first, n, me);
	give_back((unsigned)first, n);
}

#ifdef BROKEN_AREA_UNDO
static bool take_range(unsigned first, unsigned n)
{
	for (unsigned at = first; at < first + n; at += 64)
		if (!take_at(&area, at, 64))
			return false; /* the words before stay taken */
	return true;
}
#else
static bool take_range(unsigned first, unsigned n)
{
	return take_at(&area, first, n);
}
#endif

/* Growing in place: a given range over two words, or nothing. */
static void given(unsigned first, int me)
{
	if (!claim(128))
		return;
	if (take_range(first, 128)) {
		hold(first, 128, me);
		STELE_POINT("model:given");
		leave(first, 128, me);
		give_back(first, 128);
	} else {
		unclaim(128);
	}
}

static void whole(int me)
{
	if (!area_take_whole(&count, AREA_HUGE))
		return;
	for (unsigned w = 0; w < AREA_WORDS; w++)
		model_assert(load_relaxed(&area.used[w]) == 0);
	hold(0, AREA_FRAMES, me);
	STELE_POINT("model:whole");
	leave(0, AREA_FRAMES, me);
	area_show(&count, AREA_OPEN);
}

/* True: this round is one. */
static bool played(int me)
{
	if (model_scene == SCENE_NONE)
		return false;
	if (model_scene == SCENE_SAME && me <= 2) {
		some(1, 1, me);
	} else if (model_scene == SCENE_LONG && me == 1) {
		some(100, 1, me);
	} else if (model_scene == SCENE_LONG && me == 2) {
		given(64, me);
	} else if (model_scene == SCENE_WHOLE && me == 1) {
		some(1, 1, me);
	} else if (model_scene == SCENE_WHOLE && me == 2) {
		whole(me);
	}
	return true;
}

static void model_thread(int me)
{
	if (played(me))
		return;
	for (int step = 0; step < MODEL_STEPS; step++) {
		switch ((model_choice(4) + (unsigned)me) % 4) {
		case 0:
			some(40, 1, me);
			break;
		case 1:
			some(100, 1, me);
			break;
		case 2:
			given(64, me);
			break;
		default:
			whole(me);
		}
	}
}

static void model_setup(void) {}

static void model_check(void)
{
	model_assert(load_relaxed(&count) == AREA_OPEN);
	for (unsigned w = 0; w < AREA_WORDS; w++)
		model_assert(load_relaxed(&area.used[w]) == 0);
}
