/* SPDX-License-Identifier: MIT */
/*
 * tests/model/slab_look.c - slab/slab_look.h: a slab that a validation looks at does not end
 *
 * Idea      One slab, with one object. A thread that validates looks at the slab if it is shown. A
 *           thread that takes the object has the slab alone: it hides the slab and ends it, and
 *           writes to it. Another cache then has a slab in the descriptor for a while, which it shows.
 *           Then the slab is filled anew and shown. In the end the slab is shown, its object is
 *           free, and no note is left. Runs the shipped code.
 * Scenes    ENDS  two threads validate, the other one ends the slab
 *           GONE  two threads take the place of one that is gone, the other one ends the slab
 *           DEAD  one thread is gone while it looks at the object. Another one takes the object
 *                 meanwhile, which it leaves to the first one. The third one takes the place of the
 *                 first.
 * Broken    HIDE_BLIND  a slab is hidden without a look at the word
 *           HIDE_LATE   the look comes before the slab is hidden
 *           HIDE_KEPT   a slab that stays is not shown again
 *           SEEN_ANY    a thread that validates looks at a slab that is shown, whatever its cache
 *           LOOK_BOTH   the name is entered by a store: two threads take one place
 *           LOOK_NOTED  the look that a thread left is not ended in its place: its object is lost
 *           LOOK_BEGIN  no fence between the name and the looks for slabs (GenMC)
 *           HIDE_STORE, HIDE_LOOK  the slab is hidden, the word is looked at, without sequential
 *                       consistency (GenMC)
 *           SLAB_SHOW, SLAB_SEEN, SLAB_END  shown, seen, a look ends relaxed (TSan)
 */
#ifdef BROKEN_LOOK_BEGIN
#define FENCE_SLAB_BEGIN() (void)0
#endif
#ifdef BROKEN_HIDE_STORE
#define ORDER_SLAB_HIDE memory_order_release
#endif
#ifdef BROKEN_HIDE_LOOK
#define ORDER_SLAB_LOOK memory_order_acquire
#endif
#ifdef BROKEN_SLAB_SHOW
#define ORDER_SLAB_SHOW memory_order_relaxed
#endif
#ifdef BROKEN_SLAB_SEEN
#define ORDER_SLAB_SEEN memory_order_relaxed
#endif
#ifdef BROKEN_SLAB_END
#define ORDER_SLAB_END memory_order_relaxed
#endif
#define MODEL_DICE 0
#define MODEL_THREADS 3
enum { SCENE_ENDS, SCENE_GONE, SCENE_DEAD, SCENES };
#define MODEL_SCENES SCENES
#include "model.h"
#include "slab/object_look.h"
#include "slab/slab_look.h"

#define OBJECT 64u
#define GONE 9u /* the name of a thread that was gone before */

static _Atomic uint32_t looked_at;
static _Atomic uint64_t bit, note;
static _Atomic bool is_dead[MODEL_THREADS + 1];
static _Atomic uint64_t shown;
static int cache, other;    /* their addresses name them */
static struct payload slab; /* the contents: filled in, looked at, gone when the slab has ended */

static void touch(int me)
{
	payload_take(&slab, me);
	STELE_POINT("model:touched");
	payload_leave(&slab, me);
}

/* ---- the variants that restate a step ---- */

static bool begin(uint32_t seen, uint32_t me)
{
#ifdef BROKEN_LOOK_BOTH
	STELE_POINT("model:free");
	store_seq(&looked_at, me);
	return seen != me;
#else
	return slab_look_begin(&looked_at, seen, me);
#endif
}

static uint64_t end_left(void)
{
#ifdef BROKEN_LOOK_NOTED
	return 0;
#else
	return look_end_left(&note);
#endif
}

static bool hide(void)
{
#if defined(BROKEN_HIDE_BLIND)
	store_seq(&shown, 0);
	return true;
#elif defined(BROKEN_HIDE_LATE)
	bool is_looked_at = load_seq(&looked_at);

	STELE_POINT("model:looked");
	if (!is_looked_at)
		store_seq(&shown, 0);
	return !is_looked_at;
#elif defined(BROKEN_HIDE_KEPT)
	store_seq(&shown, 0);
	return !load_seq(&looked_at);
#else
	return slab_hide(&shown, &cache, &looked_at);
#endif
}

static bool is_shown(void)
{
#ifdef BROKEN_SEEN_ANY
	return load_acquire(&shown);
#else
	return slab_is_shown(&shown, &cache);
#endif
}

/* ---- steps ---- */

/* As stele_thread_is_gone(). */
static bool is_gone(uint32_t name)
{
	return name == GONE || load_acquire(&is_dead[name]);
}

/* As begin_instead(). */
static bool begin_instead(uint32_t seen, int me)
{
	if (!begin(seen, (uint32_t)me))
		return false;
	if (end_left())
		or_release(&bit, 1);
	return true;
}

/* As stele_watch_begin() and validate_run(). */
static void validate(int me)
{
	uint32_t seen = load_relaxed(&looked_at);

	if ((seen && !is_gone(seen)) || !begin_instead(seen, me))
		return;
	STELE_POINT("model:begun");
	if (is_shown())
		touch(me);
	slab_look_end(&looked_at, (uint32_t)me);
}

/* It is gone with a note of the object. */
static void die(int me)
{
	if (!begin(0, (uint32_t)me))
		return;
	look_note(&note, OBJECT);
	store_release(&is_dead[me], true);
}

/* Takes the object from the slab. */
static bool take(void)
{
	return and_acquire(&bit, 0) && !look_leave(&note, OBJECT);
}

static void give(void)
{
	or_release(&bit, 1);
}

/* A slab of a cache that no thread validates begins and ends in the descriptor. */
static void be_other(int me)
{
	slab_show(&shown, &other);
	touch(me);
	store_relaxed(&shown, 0);
}

/* As stele_slab_retire() and stele_slab_new(). */
static void end(int me)
{
	if (!take())
		return;
	STELE_POINT("model:taken");
	if (hide()) {
		be_other(me);
		slab_show(&shown, &cache);
	}
	give();
}

/* ---- scenes ---- */

static void model_thread(int me)
{
	if (me == 1 && model_scene == SCENE_DEAD)
		die(me);
	else if (me == 2)
		end(me);
	else
		validate(me);
}

static void model_setup(void)
{
	bool gone = model_scene == SCENE_GONE;

	atomic_store(&looked_at, gone ? GONE : 0);
	atomic_store(&note, gone ? OBJECT | LOOK_LEFT : 0);
	atomic_store(&bit, !gone);
	for (int i = 0; i <= MODEL_THREADS; i++)
		atomic_store(&is_dead[i], false);
	store_relaxed(&shown, (uintptr_t)&cache);
	slab.holder = 0;
}

/* A thread that tidies the cache ends what a dead thread has left: stele_watch_forget_the_gone(). */
static void model_check(void)
{
	uint32_t seen = load_relaxed(&looked_at);

	if (seen && is_gone(seen) && begin_instead(seen, MODEL_THREADS + 1))
		slab_look_end(&looked_at, MODEL_THREADS + 1);
	model_assert(load_relaxed(&looked_at) == 0);
	model_assert(load_relaxed(&bit) == 1);
	model_assert(load_relaxed(&note) == 0);
	model_assert(load_relaxed(&shown) == (uintptr_t)&cache);
}
