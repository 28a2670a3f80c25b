/* SPDX-License-Identifier: MIT */
/*
 * tests/model/gone.c - percpu/line.h: a locked line whose holder stays inside, or is gone
 *
 * Idea      One thread locks the line, uses it, and unlocks it or dies with the lock. Two takers find
 *           it locked: they free the lock when the system says that the holder is gone, or give up
 *           on a holder that they have waited for. A sheaf in the line is a plain payload. At the
 *           end the line is locked only by a thread that is gone. Runs the shipped code.
 * Broken    GONE_EARLY  a taker frees the lock of a holder that is still there
 *           GONE_STORE  a taker frees the lock by a store: it may be another's by then
 *           GONE_MARK   a taker gives up by a store: the holder may have unlocked the line
 */
#define MODEL_THREADS 3
#define MODEL_DICE 1
#include "model.h"
#include "percpu/line.h"

#define HOLDER 1

static _Atomic uint64_t lock;
static _Atomic bool gone; /* as the system says it of HOLDER */
static struct payload rests;

static void use(int me)
{
	payload_take(&rests, me);
	STELE_POINT("model:inside");
	payload_leave(&rests, me);
}

static void hold(void)
{
	if (!line_trylock(&lock, HOLDER))
		return;
	use(HOLDER);
	if (model_chance(2))
		store_release(&gone, true);
	else
		line_unlock(&lock);
}

static bool is_gone(uint64_t seen)
{
#ifdef BROKEN_GONE_EARLY
	return line_holder(seen) == HOLDER;
#else
	return line_holder(seen) == HOLDER && load_acquire(&gone);
#endif
}

static bool free_gone(uint64_t seen)
{
#ifdef BROKEN_GONE_STORE
	STELE_POINT("model:gone");
	store_release(&lock, 0);
	return seen;
#else
	return line_free_gone(&lock, seen);
#endif
}

static void give_up(uint64_t seen)
{
#ifdef BROKEN_GONE_MARK
	STELE_POINT("model:give-up");
	store_relaxed(&lock, seen | LINE_GIVEN_UP);
#else
	line_give_up(&lock, seen);
#endif
}

/* As lock_line() of percpu/take.c. */
static bool lock_line(int me)
{
	uint64_t seen;

	if (line_trylock(&lock, (uint32_t)me))
		return true;
	seen = load_relaxed(&lock);
	if (seen && is_gone(seen) && free_gone(seen))
		return line_trylock(&lock, (uint32_t)me);
	if (seen && !(seen & LINE_GIVEN_UP))
		give_up(seen);
	return false;
}

static void take(int me)
{
	if (!lock_line(me))
		return;
	use(me);
	line_unlock(&lock);
}

static void model_thread(int me)
{
	if (me == HOLDER)
		hold();
	else
		take(me);
}

static void model_setup(void)
{
	atomic_store(&lock, 0);
	atomic_store(&gone, false);
}

static void model_check(void)
{
	uint64_t left = load_relaxed(&lock);

	model_assert(!left || (line_holder(left) == HOLDER && load_relaxed(&gone)));
}
