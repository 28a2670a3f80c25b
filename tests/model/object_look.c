/* SPDX-License-Identifier: MIT */
/*
 * tests/model/object_look.c - slab/object_look.h: no thread gets an object that is looked at
 *
 * Idea      One object, its bit and its state. The first two threads take it when its bit is set, have
 *           it alone, and free it. The third one looks at it: it reads the contents if the bit is set,
 *           and the zone if the object is in use. A thread that takes the object writes to both at
 *           once. A thread that finds the object noted leaves it to the third one, which sets the bit.
 *           At the end the bit is set. Runs the shipped code.
 * Broken    LOOK_NOTE    no fence between the note and the looks at bit and state (GenMC)
 *           LOOK_LEAVE   no fence between taking and the look at the note (GenMC)
 *           LOOK_TAKE    a thread that takes does not look at the note
 *           LOOK_STORE   the look ends by a store: an object that was left is lost
 *           OBJECT_SEEN, OBJECT_END  a look that is over is seen, ends relaxed: its reads are raced for
 *                        (TSan)
 */
#ifdef BROKEN_LOOK_NOTE
#define FENCE_OBJECT_NOTE() (void)0
#endif
#ifdef BROKEN_LOOK_LEAVE
#define FENCE_OBJECT_LEAVE() (void)0
#endif
#ifdef BROKEN_OBJECT_SEEN
#define ORDER_OBJECT_SEEN memory_order_relaxed
#define ORDER_OBJECT_LEFT memory_order_release
#endif
#ifdef BROKEN_OBJECT_END
#define ORDER_OBJECT_END memory_order_relaxed
#endif
#define MODEL_DICE 0
#define MODEL_THREADS 3
#include "model.h"
#include "slab/object_look.h"

#define OBJECT 64u
enum { FREE, USED };

static _Atomic uint64_t bit, note;
static _Atomic uint32_t state;
static struct payload contents, zone;

static bool leave_taken(void)
{
#ifdef BROKEN_LOOK_TAKE
	return false;
#else
	return look_leave(&note, OBJECT);
#endif
}

static bool end_look(void)
{
#ifdef BROKEN_LOOK_STORE
	store_release(&note, 0);
	return false;
#else
	return look_end(&note);
#endif
}

static void touch(struct payload *payload, int me)
{
	payload_take(payload, me);
	STELE_POINT("model:touched");
	payload_leave(payload, me);
}

static void own(int me)
{
	if (!and_acquire(&bit, 0))
		return;
	STELE_POINT("model:taken");
	if (leave_taken())
		return;
	touch(&zone, me);
	touch(&contents, me);
	store_release(&state, USED);
	STELE_POINT("model:used");
	store_release(&state, FREE);
	or_release(&bit, 1);
}

static void look(int me)
{
	bool is_free;

	look_note(&note, OBJECT);
	is_free = load_acquire(&bit);
	STELE_POINT("model:seen");
	if (load_acquire(&state) == USED)
		touch(&zone, me);
	if (is_free)
		touch(&contents, me);
	if (end_look())
		or_release(&bit, 1);
}

static void model_thread(int me)
{
	for (int i = 0; i < (MODEL_NATIVE ? 4 : 1); i++)
		me < 3 ? own(me) : look(me);
}

static void model_setup(void)
{
	atomic_store(&bit, 1);
	atomic_store(&note, 0);
	atomic_store(&state, FREE);
	contents.holder = zone.holder = 0;
}

static void model_check(void)
{
	model_assert(load_relaxed(&bit) == 1);
	model_assert(load_relaxed(&note) == 0);
}
