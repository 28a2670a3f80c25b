/* SPDX-License-Identifier: MIT */
/*
 * tests/model/holder.c - sync/holder.h: the lock of a thread that is gone has one next holder
 *
 * Idea      A thread dies inside, with a plain payload half done. Its parent abandons the lock for
 *           it; two others try it, and take it over when they find that the holder is gone. One of
 *           them is told that it was abandoned and mends the payload; the other one finds it mended.
 *           Runs the shipped code.
 * Broken    HOLDER_STORE  the parent frees the lock without looking whose it is
 *           HOLDER_TWICE  a lock is taken over without a comparison: two have it
 *           MUTEX_ENTER, MUTEX_LEAVE  the order between two holders relaxed (TSan)
 */
#ifdef BROKEN_MUTEX_ENTER
#define ORDER_MUTEX_ENTER memory_order_relaxed
#endif
#ifdef BROKEN_MUTEX_LEAVE
#define ORDER_MUTEX_LEAVE memory_order_relaxed
#endif
#define MODEL_THREADS 3
#include "model.h"
#include "sync/holder.h"

#define PROCESS 1u
#define CHILD 9 /* the thread that dies */

static _Atomic uint64_t word;
static _Atomic uint32_t gone, told;
static struct payload guarded;

static uint64_t of(uint32_t thread)
{
	return (uint64_t)PROCESS << 32 | thread;
}

/* In its parent's thread, as a child of vfork() is: the parent goes on when it is gone. */
static void child(void)
{
	bool abandoned = false;

	if (!holder_enter(&word, PROCESS, of(CHILD), &abandoned))
		return;
	if (abandoned)
		return;
	payload_take(&guarded, CHILD);
}

static void parent(void)
{
	store_release(&gone, 1);
	for (unsigned i = MODEL_NATIVE ? model_choice(8) : 0; i; i--)
		STELE_POINT("model:gone");
#ifdef BROKEN_HOLDER_STORE
	store_release(&word, CHILD);
#else
	holder_abandon(&word, PROCESS, CHILD);
#endif
}

static bool take_over(uint64_t seen, int me, bool *abandoned)
{
#ifdef BROKEN_HOLDER_TWICE
	(void)seen;
	STELE_POINT("model:store");
	atomic_exchange(&word, of((uint32_t)me));
	*abandoned = true;
	return true;
#else
	return holder_take_over(&word, seen, of((uint32_t)me), abandoned);
#endif
}

/* As stele_trylock() does; the kernel says whether the holder is gone. */
static bool enter(int me, bool *abandoned)
{
	uint64_t seen = load_relaxed(&word);

	STELE_POINT("model:seen");
	if (!holder_is_of(seen, PROCESS))
		return holder_enter(&word, PROCESS, of((uint32_t)me), abandoned);
	return (uint32_t)seen == CHILD && load_acquire(&gone) && take_over(seen, me, abandoned);
}

static void other(int me)
{
	bool abandoned = false;

	if (!enter(me, &abandoned))
		return;
	if (abandoned) {
		add_relaxed(&told, 1);
		payload_leave(&guarded, CHILD);
	}
	payload_take(&guarded, me);
	STELE_POINT("model:inside");
	payload_leave(&guarded, me);
	model_assert(holder_leave(&word, of((uint32_t)me)));
}

static void model_thread(int me)
{
	if (me == 1)
		parent();
	while (MODEL_NATIVE && !load_relaxed(&gone))
		STELE_POINT("model:waits");
	for (int step = 0; me != 1 && step < MODEL_STEPS; step++)
		other(me);
}

static void model_setup(void)
{
	atomic_store(&word, 0);
	atomic_store(&gone, 0);
	atomic_store(&told, 0);
	guarded.holder = 0;
	child();
}

static void model_check(void)
{
	other(2);
	model_assert(load_relaxed(&told) == 1);
	model_assert(!(uint32_t)load_relaxed(&word));
}
