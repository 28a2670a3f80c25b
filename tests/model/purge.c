/* SPDX-License-Identifier: MIT */
/*
 * tests/model/purge.c - page/dirty.h, page/marks.h: clean frames read as zero, and no dirty one is forgotten
 *
 * Idea      One area with a few frames that somebody plays with; a frame's contents are one plain
 *           number. Threads take a frame, write it, return it and mark the area. Purgers take the
 *           mark, take a row of dirty frames, make it read as zero, clear its bits, and return it. A
 *           frame whose bit is clear must be zero. At the end a purger alone makes every free frame
 *           clean by the marks; after a purger found frames that it could not take, by the tick.
 * Restated  purge_area() and what it calls (page/purge.c), which decide how much to purge.
 * Scenes    BESIDE  one takes and returns a frame beside a purger that purges its neighbour
 *           AGAIN   one returns a frame while a purger purges the area
 *           PURGERS two purgers, each of which leaves a row
 *           TAKEN   one claims frames and finds no row, while a purger finds none to claim
 * Broken    DIRTY_LATE     the bits are cleared after the frames were returned
 *           DIRTY_STORE    the bits are cleared by a load and a store: a neighbour's is lost
 *           DIRTY_UNTAKEN  the row is purged without being taken
 *           NOTE_FIRST     the area is marked before the frame is returned
 *           NOTE_LEFT      a purger that leaves frames does not mark the area again
 *           NOTE_SHORT     a purger that finds no mark does not say so: the tick does not look
 */
enum { SCENE_NONE, SCENE_BESIDE, SCENE_AGAIN, SCENE_PURGERS, SCENE_TAKEN, SCENES };
#define MODEL_SCENES SCENES
#define MARKS_MAX 64u
#define AREA_FRAMES 64u
#include "model.h"
#include "page/dirty.h"
#include "page/marks.h"
#include <string.h>

#define FRAMES 3u /* that are played with; the others have owners elsewhere */

static struct area area;
static _Atomic uint32_t count;
static struct marks marks;
static _Atomic uint32_t short_of, not_taken;
static struct payload owner[FRAMES];
static volatile int contents[FRAMES]; /* plain: the owner's */

static void note(void)
{
	marks_add(&marks, 0);
}

static void return_frames(unsigned first, unsigned n)
{
	area_return(&area, &count, first, n);
}

/* ---- a user of frames ---- */

static int take_frames(unsigned n)
{
	int first;

	if (!area_claim(&count, n))
		return -1;
	STELE_POINT("model:claimed");
	first = area_take(&area, n, 1);
	if (first < 0)
		area_unclaim(&count, n);
	return first;
}

static void give_frame(unsigned frame)
{
#ifdef BROKEN_NOTE_FIRST
	note();
	STELE_POINT("model:noted");
	return_frames(frame, 1);
#else
	return_frames(frame, 1);
	STELE_POINT("model:returned");
	note();
#endif
}

static void use_one(int me)
{
	int frame = take_frames(1);

	if (frame < 0)
		return;
	payload_take(&owner[frame], me);
	if (!dirty_set(&area, (unsigned)frame, 1))
		model_assert(contents[frame] == 0);
	contents[frame] = me;
	STELE_POINT("model:used");
	payload_leave(&owner[frame], me);
	give_frame((unsigned)frame);
}

static void use_row(int me)
{
	int first = take_frames(2);

	for (int frame = first; first >= 0 && frame < first + 2; frame++) {
		payload_take(&owner[frame], me);
		payload_leave(&owner[frame], me);
	}
	if (first < 0)
		return;
	return_frames((unsigned)first, 2);
	note();
}

/* ---- a purger ---- */

static bool take_row(const struct row *row)
{
#ifdef BROKEN_DIRTY_UNTAKEN
	(void)row;
	return true;
#else
	unsigned n = row->end - row->first;

	if (!area_claim(&count, n))
		return false;
	if (take_at(&area, row->first, n))
		return true;
	area_unclaim(&count, n);
	return false;
#endif
}

static void return_row(const struct row *row)
{
#ifdef BROKEN_DIRTY_UNTAKEN
	(void)row;
#else
	return_frames(row->first, row->end - row->first);
#endif
}

static void clear(const struct row *row)
{
#ifdef BROKEN_DIRTY_STORE
	uint64_t dirty = load_relaxed(&area.dirty[0]);

	STELE_POINT("model:clear");
	atomic_exchange_explicit(&area.dirty[0],
				 dirty & ~bits_mask(row->first, row->end - row->first),
				 memory_order_relaxed);
#else
	dirty_clear(&area, row->first, row->end);
#endif
}

/* As purge_piece(). */
static void purge_row(const struct row *row, int me)
{
	if (!take_row(row)) {
		store_relaxed(&not_taken, 1);
		return;
	}
	for (unsigned frame = row->first; frame < row->end; frame++) {
		payload_take(&owner[frame], me);
		contents[frame] = 0;
		payload_leave(&owner[frame], me);
	}
	STELE_POINT("model:zero");
#ifdef BROKEN_DIRTY_LATE
	return_row(row);
	STELE_POINT("model:late");
	clear(row);
#else
	clear(row);
	return_row(row);
#endif
}

/* As purge_area(). False: frames may be left. */
static bool purge_area(unsigned rows, int me)
{
	for (unsigned from = 0; rows; rows--) {
		struct row row;

		if (!next_row(&area, 1, &from, &row))
			return true;
		purge_row(&row, me);
	}
	return false;
}

/* At most @rows rows. False: no area is marked. */
static bool purge(unsigned rows, int me)
{
	if (marks_take(&marks, 0) == MARKS_NONE) {
#ifndef BROKEN_NOTE_SHORT
		store_relaxed(&short_of, 1);
#endif
		return false;
	}
	STELE_POINT("model:area");
#ifdef BROKEN_NOTE_LEFT
	purge_area(rows, me);
#else
	if (!purge_area(rows, me))
		note();
#endif
	return true;
}

/* ---- scenes ---- */

static void play(int me)
{
	if (me == 2 || (me == 1 && model_scene == SCENE_PURGERS))
		purge(model_scene == SCENE_BESIDE || model_scene == SCENE_TAKEN ? FRAMES : 1, me);
	else if (me == 1 && model_scene == SCENE_TAKEN)
		use_row(me);
	else if (me == 1)
		use_one(me);
}

static void walk(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		if (model_choice(2))
			use_one(me);
		else if (me == 3 || model_choice(2))
			purge(1 + model_choice(2), me);
		else
			use_row(me);
	}
}

static void model_thread(int me)
{
	(model_scene == SCENE_NONE ? walk : play)(me);
}

/* Frames of @used have owners elsewhere; those of @dirty are free. */
static void stage(uint64_t used, uint64_t dirty)
{
	store_relaxed(&area.used[0], ~7ull | used);
	store_relaxed(&area.dirty[0], dirty);
	store_relaxed(&count,
		      AREA_OPEN + AREA_FRAMES - FRAMES + (uint32_t)__builtin_popcountll(used));
	for (unsigned frame = 0; frame < FRAMES; frame++)
		contents[frame] = dirty >> frame & 1 ? 9 : 0;
	if (dirty)
		note();
}

static void model_setup(void)
{
	memset(&marks, 0, sizeof(marks));
	store_relaxed(&short_of, 0);
	store_relaxed(&not_taken, 0);
	switch (model_scene) {
	case SCENE_BESIDE: /* the user's is the lower one, and clean */
		stage(4, 2);
		break;
	case SCENE_PURGERS:
	case SCENE_TAKEN:
		stage(2, 5);
		break;
	default:
		stage(0, 5);
	}
}

static uint64_t left_dirty(void)
{
	return load_relaxed(&area.dirty[0]) & ~load_relaxed(&area.used[0]);
}

static void purge_all(void)
{
	for (int i = 0; i < 2; i++)
		purge(FRAMES, MODEL_THREADS + 1);
}

static void model_check(void)
{
	purge_all();
	if (!load_relaxed(&not_taken))
		model_assert(!left_dirty());
	/* As stele_purge_tick(). */
	if (load_relaxed(&short_of))
		marks_all(&marks, 0, 1);
	purge_all();
	model_assert(!left_dirty());
	for (unsigned frame = 0; frame < FRAMES; frame++)
		if (!(load_relaxed(&area.used[0]) >> frame & 1))
			model_assert(contents[frame] == 0);
}
