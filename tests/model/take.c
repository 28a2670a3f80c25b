/* SPDX-License-Identifier: MIT */
/*
 * tests/model/take.c - percpu/take.h, percpu/close.h: all words of slots are taken, each sheaf once
 *
 * Idea      Two slots. A user pops, moves SPARE to MAIN, puts a sheaf back and pushes onto RCU, by
 *           steps on slot 0, which it shows at its first use. A taker marks and takes words of both
 *           slots. A cold look pauses slot 0 and empties it. The writer of the CPU set closes slot
 *           0, empties it and opens it again. The kernel may refuse a barrier. Each object has one
 *           holder at a time; at the end objects and sheaves are counted. Runs the shipped code.
 * Scenes    BOTH    a user of MAIN and SPARE, a taker, a cold look
 *           RCU     a user that pushes onto RCU, a taker of RCU, a cold look
 *           OPEN    a user, a writer that closes and opens, a cold look: all three words
 *           CLOSE   a user, a writer that closes and opens, a taker
 *           REFRESH a user, a writer that finds the slot in use and then gone, a cold look
 *           REFUSED a user, a writer or a cold look whose barrier may be refused
 * Broken    TAKE_CLOSE    the slot is emptied and then closed: a sheaf stays in it
 *           the others: tests/model/taking.h
 */
#define MODEL_THREADS 3
#define SHEAVES (MODEL_NATIVE ? 8u : 4u)
enum {
	SCENE_NONE,
	SCENE_BOTH,
	SCENE_RCU,
	SCENE_OPEN,
	SCENE_CLOSE,
	SCENE_REFRESH,
	SCENE_REFUSED,
	SCENES
};
#define MODEL_SCENES SCENES
#include "taking.h"

static bool may_be_refused(void)
{
	return MODEL_NATIVE || model_scene == SCENE_REFUSED;
}

static bool shows_at_first_use(void)
{
	return model_scene != SCENE_BOTH;
}

static bool push_rcu(uint64_t object)
{
	word_t *word = word_of(HERE, WORD_RCU);
	uint64_t top;
	bool done;

	if (!enter())
		return false;
	top = load_relaxed(word);
	done = *(uint64_t *)(uintptr_t)top != STELE_SHEAF_END;
	if (done)
		*(uint64_t *)(uintptr_t)top = object; /* not a commit: above the top */
	STELE_POINT("model:push");
	if (done)
		commit(word, top + 8);
	step_leave(&slots[HERE]);
	return done;
}

/* As replace() of the rcu sheaf: another one takes the place of what is there. */
static void replace_rcu(void)
{
	uint64_t old = load_relaxed(word_of(HERE, WORD_RCU)), new = sheaf_new();

	if (!new)
		return;
	if ((old != SHEAF_EMPTY && !stele_is_sheaf(old)) || !cas(WORD_RCU, old, new))
		sheaf_flush(new);
	else if (stele_is_sheaf(old))
		sheaf_flush(old);
}

static void give_rcu(void)
{
	uint64_t object = object_take();

	if (object && !push_rcu(object))
		object_give(object);
}

static void user(int me)
{
	pop_one(me);
	swap_in_spare();
	if (!MODEL_NATIVE)
		return;
	give_rcu();
	if (!model_choice(4))
		replace_rcu();
}

static void check_is_empty(void)
{
	model_assert(load_relaxed(word_of(HERE, WORD_MAIN)) == SHEAF_EMPTY);
	model_assert(load_relaxed(word_of(HERE, WORD_RCU)) == SHEAF_EMPTY);
	model_assert(load_relaxed(word_of(HERE, WORD_SPARE)) == 0);
}

/* The taker while it closes and while it empties, not in between. */
static void go_and_come(void)
{
#ifdef BROKEN_TAKE_CLOSE
	if (!stele_begin_taking(EFFORT_WAITING))
		return;
	empty_here(HERE, NULL);
	stele_end_taking();
#endif
	if (close_slot(HERE) != 0)
		return;
	STELE_POINT("model:closed");
#ifndef BROKEN_TAKE_CLOSE
	empty_dead(HERE);
#endif
	STELE_POINT("model:emptied");
	check_is_empty();
	open_for(HERE);
}

/* As stele_cpu_refresh(): a slot that is in use comes online, one whose CPU is gone goes. */
static void refresh(void)
{
	if (slot_is_shown(HERE))
		open_for(HERE);
	STELE_POINT("model:refreshed");
	go_and_come();
}

/* ---- scenes ---- */

static void first_thread(int me)
{
	if (model_scene == SCENE_RCU)
		give_rcu();
	else if (model_scene == SCENE_BOTH)
		user(me);
	else
		pop_one(me);
}

static void second_thread(void)
{
	if (model_scene == SCENE_BOTH)
		take(&take_words, false);
	else if (model_scene == SCENE_RCU)
		take(&take_rcu, false);
	else if (model_scene == SCENE_REFRESH)
		refresh();
	else
		go_and_come();
}

static void third_thread(void)
{
	if (model_scene == SCENE_CLOSE)
		take(&take_words, false);
	else
		look();
}

static void walk(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		if (me == 1)
			user(me);
		else if (model_choice(2))
			take(model_choice(2) ? &take_words : &take_rcu, false);
		else if (me == 2)
			refresh();
		else
			look();
	}
}

static void model_thread(int me)
{
	if (model_scene == SCENE_NONE)
		walk(me);
	else if (me == 1)
		first_thread(me);
	else
		(me == 2 ? second_thread : third_thread)();
}

static void model_setup(void)
{
	taking_setup(model_scene != SCENE_BOTH);
}

static void model_check(void)
{
	model_assert(!slot_is_closed(HERE));
	taking_check();
}
