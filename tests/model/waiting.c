/* SPDX-License-Identifier: MIT */
/*
 * tests/model/waiting.c - ORDER(WAITING): no waiter is forgotten, weak memory
 *
 * Idea      Elements are brought while threads come to wait, take, or give up. The first one at
 *           each step: at the end each waiter that did not give up has all that it needs. Includes
 *           mempool/queue.h and mempool/reserve.h; interleavings alone, with more threads and a
 *           changing limit, are in mempool.pml.
 * Scenes    COMES    one element is brought, a waiter comes.
 *           TWO      two waiters are there; each of two threads brings one element. Both waiters are
 *                    told, and not by each other.
 *           GIVES_UP two waiters are there; one element is brought, and the first waiter gives up.
 *           AGAIN    a waiter for two elements is there and looks, two are brought one by one.
 *           FOLLOWS  the first waiter takes and leaves, and the second one comes, in its place.
 * Broken    WAITING_EARLY  a bringer looks for waiters before its element is counted
 *           WAITING_ENTER  no fence between the wish and the look (GenMC)
 *           WAITING_TELL   no fence between the count and the look for wishes (GenMC)
 *           WAITING_LEFT   a waiter that leaves does not tell the others
 *           WAITING_ONE    a bringer tells one waiter, for its own element: both tell the first
 *           TOLD_LATE      a waiter looks first, and then says that it is to be told
 */
#ifdef BROKEN_WAITING_ENTER
#define FENCE_WAITING_ENTER() ((void)0)
#endif
#ifdef BROKEN_WAITING_TELL
#define FENCE_WAITING_TELL() ((void)0)
#endif
enum { SCENE_COMES, SCENE_TWO, SCENE_GIVES_UP, SCENE_AGAIN, SCENE_FOLLOWS, SCENES };
#define MODEL_SCENES SCENES
#define MODEL_THREADS 2
#include "waiting.h"

static struct payload elements[2];
static struct waiting first, second;

static void give_up(struct waiting *one)
{
	one->over = true;
	place_leave(&queue, one->w.place);
#ifndef BROKEN_WAITING_LEFT
	kick();
#endif
}

static void model_thread(int me)
{
	switch (model_scene) {
	case SCENE_COMES:
		if (me == 1) {
			bring(&elements[0]);
		} else {
			begin_to_wait(&first, me, 1, 1);
			look(&first);
		}
		break;
	case SCENE_TWO:
		bring(&elements[me - 1]);
		break;
	case SCENE_GIVES_UP:
		if (me == 1)
			bring(&elements[0]);
		else
			give_up(&first);
		break;
	case SCENE_AGAIN:
		if (me == 1) {
			bring(&elements[0]);
			bring(&elements[1]);
		} else {
			look(&first);
		}
		break;
	default:
		if (me == 1) {
			bring(&elements[0]);
		} else {
			give_up(&first);
			begin_to_wait(&second, me, 2, 1);
			look(&second);
		}
	}
}

static void model_setup(void)
{
	queue_setup(2);
	first.over = second.over = true;
	if (model_scene != SCENE_COMES)
		begin_to_wait(&first, 1, 1, model_scene == SCENE_AGAIN ? 2 : 1);
	if (model_scene == SCENE_TWO || model_scene == SCENE_GIVES_UP)
		begin_to_wait(&second, 2, 2, 1);
}

static void model_check(void)
{
	if (model_scene == SCENE_TWO)
		model_assert(load_relaxed(&first.w.place->told) &&
			     load_relaxed(&second.w.place->told));
	while (goes_on(&first) || goes_on(&second))
		;
	/* Not a lost wake-up: their elements, or their places. */
	model_assert(first.over && second.over);
	queue_check();
}
