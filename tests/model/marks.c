/* SPDX-License-Identifier: MIT */
/*
 * tests/model/marks.c - page/marks.h: free frames are never left without a mark
 *
 * Idea      Two areas, whose marks lie in two words. Threads free a frame in one and mark it, or purge:
 *           take the highest mark and then some or all of the free frames of that area. A purger
 *           that leaves some marks the area again. At the end one more purger, alone, finds every
 *           free frame by the marks.
 * Broken    MARKS_LOOK    the free frames are read before the mark is taken
 *           MARKS_UPPER   the upper bit is cleared, and the word is not read again
 *           MARKS_LEFT    a purger that leaves frames does not mark the area again
 *           MARKS_FIRST   the mark comes before the frame is free
 *           MARKS_FENCE   no fence: seen by a model checker only, since these steps are fences on x86
 */
#ifdef BROKEN_MARKS_FENCE
#define ORDER_MARKS memory_order_relaxed
#endif
#define MARKS_MAX 128u
#ifdef MODEL_ROUNDS
#define MODEL_STEPS 8 /* few: the next free marks the frames that a purger left */
#endif
#include "model.h"
#include "page/marks.h"

#define HIGHEST 64u

static struct marks marks;
static _Atomic uint32_t free_frames[2]; /* of areas 0 and 64 */

static void free_one(uint32_t which)
{
#ifdef BROKEN_MARKS_FIRST
	marks_add(&marks, which * 64);
	STELE_POINT("model:marked");
	add_relaxed(&free_frames[which], 1);
#else
	add_relaxed(&free_frames[which], 1);
	STELE_POINT("model:freed");
	marks_add(&marks, which * 64);
#endif
}

static uint32_t take_mark(void)
{
#ifdef BROKEN_MARKS_UPPER
	uint64_t upper;

	while ((upper = load_relaxed(&marks.upper[0]))) {
		uint32_t w = 63 - (uint32_t)__builtin_clzll(upper);

		if (!load_relaxed(&marks.words[w])) {
			STELE_POINT("model:empty");
			marks_clear(marks.upper, w);
		} else if (marks_clear(marks.words, w * 64)) {
			return w * 64;
		}
	}
	return MARKS_NONE;
#else
	return marks_take(&marks, HIGHEST);
#endif
}

/* Takes @most of @seen free frames of area @number. */
static void take_frames(uint32_t number, uint32_t seen, uint32_t most)
{
	uint32_t n = seen < most ? seen : most;

	sub_relaxed(&free_frames[number / 64], n);
#ifndef BROKEN_MARKS_LEFT
	if (n < seen)
		marks_add(&marks, number);
#endif
}

static bool purge(uint32_t most)
{
	uint32_t number, seen;
#ifdef BROKEN_MARKS_LOOK
	uint32_t before[2] = { load_relaxed(&free_frames[0]), load_relaxed(&free_frames[1]) };

	STELE_POINT("model:looked");
	number = take_mark();
	if (number == MARKS_NONE)
		return false;
	seen = before[number / 64];
#else
	number = take_mark();
	if (number == MARKS_NONE)
		return false;
	seen = load_relaxed(&free_frames[number / 64]);
#endif
	take_frames(number, seen, most);
	return true;
}

static void model_thread(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		if (me < MODEL_THREADS)
			free_one(model_choice(2));
		else
			purge(1 + model_choice(2));
	}
}

static void model_setup(void) {}

static void model_check(void)
{
	for (int i = 0; i < 4; i++)
		purge(UINT32_MAX);
	model_assert(load_relaxed(&free_frames[0]) == 0);
	model_assert(load_relaxed(&free_frames[1]) == 0);
}
