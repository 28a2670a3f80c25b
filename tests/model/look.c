/* SPDX-License-Identifier: MIT */
/*
 * tests/model/look.c - slab/large_look.h: one thread frees a block that is looked at, and once
 *
 * Idea      The first thread frees a block in use, which is kept then. The second one looks at the
 *           block. The third one frees the kept block. If the first or the third finds that the
 *           second one looks at the block, it gives the block up, and the second does its work.
 *           The thread that has the block has its plain record, too.
 *           The record of a block that is freed is never left again. Runs the shipped code.
 * Broken    LOOK_STORE   the look ends by a store: a block that was given up is never freed
 *           LOOK_BLIND   the block is taken out by a store: two have its record
 *           LARGE_TAKE   taken out relaxed: the record of a look that ended is raced for (TSan)
 *           LARGE_GIVE, LARGE_GIVEN  given up relaxed, found given up relaxed (GenMC)
 *           LARGE_LOOK, LARGE_BACK   a look begins, ends relaxed (TSan)
 */
#ifdef BROKEN_LARGE_TAKE
#define ORDER_LARGE_TAKE memory_order_relaxed
#endif
#ifdef BROKEN_LARGE_GIVE
#define ORDER_LARGE_GIVE memory_order_relaxed
#endif
#ifdef BROKEN_LARGE_GIVEN
#define ORDER_LARGE_BACK memory_order_release
#define ORDER_LARGE_GIVEN memory_order_relaxed
#endif
#ifdef BROKEN_LARGE_LOOK
#define ORDER_LARGE_LOOK memory_order_relaxed
#endif
#ifdef BROKEN_LARGE_BACK
#define ORDER_LARGE_BACK memory_order_acquire
#endif
#define MODEL_DICE 0
#define MODEL_THREADS 3
#include "model.h"
#include "slab/large_look.h"

static _Atomic uint64_t state;
static _Atomic uint32_t ring, freed;
static struct payload record;
static int asked; /* plain: the first thread writes it before it frees the block */

static bool take_out(uint64_t from)
{
#ifdef BROKEN_LOOK_BLIND
	return atomic_exchange(&state, LARGE_NONE) == from || from == LARGE_USED;
#else
	return large_take_out(&state, from);
#endif
}

static bool end_look(uint64_t from)
{
#ifdef BROKEN_LOOK_STORE
	store_release(&state, from);
	return true;
#else
	return large_end_look(&state, from);
#endif
}

static void let_go(int me)
{
	payload_take(&record, me);
	add_relaxed(&freed, 1);
}

static void keep(int me)
{
	payload_take(&record, me);
	model_assert(asked == 1);
	payload_leave(&record, me);
	store_release(&state, LARGE_KEPT);
	STELE_POINT("model:kept");
	store_release(&ring, 1);
}

static void owner(int me)
{
	asked = 1;
	if (take_out(LARGE_USED))
		keep(me);
}

static void looker(int me)
{
	uint64_t from;

	if (!large_begin_look(&state, &from))
		return;
	payload_take(&record, me);
	STELE_POINT("model:looks");
	payload_leave(&record, me);
	if (end_look(from))
		return;
	if (from == LARGE_USED)
		keep(me);
	else
		let_go(me);
}

static void from_ring(int me)
{
	if (exchange_acq_rel(&ring, 0) && take_out(LARGE_KEPT))
		let_go(me);
}

static void model_thread(int me)
{
	if (me == 1)
		owner(me);
	for (int i = 0; me == 2 && i < (MODEL_NATIVE ? 4 : 1); i++)
		looker(me);
	for (int i = 0; me == 3 && i < (MODEL_NATIVE ? 4 : 1); i++)
		from_ring(me);
}

static void model_setup(void)
{
	atomic_store(&state, LARGE_USED);
	atomic_store(&ring, 0);
	atomic_store(&freed, 0);
	record.holder = asked = 0;
}

static void model_check(void)
{
	from_ring(4);
	model_assert(load_relaxed(&freed) == 1);
	model_assert(load_relaxed(&state) == LARGE_NONE);
}
