/* SPDX-License-Identifier: MIT */
/*
 * tests/model/rooms.c - page/rooms.h: a free row is never left without its bits
 *
 * Idea      Four areas in two groups, below one word at the top. Threads return a frame in one and
 *           set its bits, or search: find the lowest area with a bit, take its frame, and clear the
 *           bits of an area in which they found none. Bits that are out of date are there at first.
 *           At the end every free frame is found by the bits.
 * Broken    ROOM_LOOK    an area's bits are cleared, and it is not looked at again
 *           ROOM_GROUP   a group's bits are cleared, and its areas are not looked at again
 *           ROOM_FIRST   the bits come before the frame is free
 *           ROOM_FENCE   no fence: seen by a model checker only, since these steps are fences on x86
 */
#ifdef BROKEN_ROOM_FENCE
#define ORDER_ROOM memory_order_relaxed
#endif
#define ROOM_FAN 2u
#define ROOM_TOP 4u
#ifdef MODEL_ROUNDS
#define MODEL_STEPS 3 /* a later step may mend what an earlier one lost */
#endif
#include "model.h"
#include "page/rooms.h"

#define AREAS 4u
#define BIT 1u
/* The area where a frame is returned; a checker searches for each of them by itself. */
#ifndef MODEL_FREED
#define MODEL_FREED model_choice(2)
#endif

static _Atomic uint32_t areas[AREAS * ROOM_STRIDE], groups[2], tops[1];
static const struct rooms rooms = { areas, groups, tops };
static _Atomic uint32_t frames[AREAS]; /* free ones */

static void free_one(uint32_t number)
{
#ifdef BROKEN_ROOM_FIRST
	room_add(rooms, number, BIT);
	STELE_POINT("model:told");
	add_relaxed(&frames[number], 1);
#else
	add_relaxed(&frames[number], 1);
	STELE_POINT("model:freed");
	room_add(rooms, number, BIT);
#endif
}

/* Area @number has nothing. */
static void clear_area(uint32_t number)
{
	room_clear(room_of_area(rooms, number), BIT);
#ifndef BROKEN_ROOM_LOOK
	if (load_relaxed(&frames[number]))
		room_add(rooms, number, BIT);
#endif
}

static bool take_in(uint32_t number)
{
	uint32_t seen = load_relaxed(&frames[number]);

	return seen && cas_relaxed(&frames[number], &seen, seen - 1);
}

#ifdef BROKEN_ROOM_GROUP
/* As room_next(). */
static uint32_t next(void)
{
	for (uint32_t group = 0; group < 2; group++) {
		STELE_POINT("model:group");
		if (!(load_relaxed(&groups[group]) & BIT))
			continue;
		for (uint32_t i = group * ROOM_FAN; i < (group + 1) * ROOM_FAN; i++)
			if (load_relaxed(room_of_area(rooms, i)) & BIT)
				return i;
		room_clear(&groups[group], BIT);
	}
	if (load_relaxed(&tops[0]) & BIT)
		room_clear_top(rooms, 0, BIT);
	return ROOM_NONE;
}
#else
static uint32_t next(void)
{
	return room_next(rooms, 0, AREAS, 0);
}
#endif

/* False: there is none. */
static bool search(void)
{
	uint32_t number = next();

	if (number == ROOM_NONE)
		return false;
	STELE_POINT("model:found");
	if (!take_in(number))
		clear_area(number);
	return true;
}

static void model_thread(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		if (me == 1)
			free_one(MODEL_FREED);
		else
			search();
	}
}

/* Bits that are out of date: of area 1, and of the words above. */
static void model_setup(void)
{
	store_relaxed(room_of_area(rooms, 1), BIT);
	room_add_above(rooms, 0, BIT);
}

static void model_check(void)
{
	while (room_next(rooms, 0, AREAS, 0) != ROOM_NONE)
		search();
	for (uint32_t i = 0; i < AREAS; i++)
		model_assert(load_relaxed(&frames[i]) == 0);
}
