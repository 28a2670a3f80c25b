/* SPDX-License-Identifier: MIT */
/*
 * tests/model/hotplug.c - percpu/keep.h: the set of CPUs does not change while somebody keeps it
 *
 * Idea      One thread changes the set, a plain payload, again and again; two keep it, look at it
 *           twice, and let it go. Runs the shipped code, with a turn given away instead
 *           of a futex.
 * Broken    CPUS_COUNT  a reader looks for a writer, then counts itself
 *           CPUS_LOOK   a writer says so, and does not wait for those who were there
 *           CPUS_ORDER  counted and looked without sequential consistency. For a model checker;
 * here it takes luck.
 */
#ifdef BROKEN_CPUS_ORDER
#define ORDER_CPUS memory_order_relaxed
#endif
#include "model.h"
#include "percpu/keep.h"

static struct keep keeping;
static struct payload set;		/* held by the writer while it changes it */
static volatile uint64_t first, second; /* always the same, but for a change */

#ifdef BROKEN_CPUS_COUNT
static bool enter(void)
{
	bool free = !load_seq(&keeping.writing);

	STELE_POINT("model:looked");
	return keep_enter(&keeping) || free;
}
#else
static bool enter(void)
{
	return keep_enter(&keeping);
}
#endif

static bool has_readers(void)
{
#ifdef BROKEN_CPUS_LOOK
	return false;
#else
	return keep_count(&keeping);
#endif
}

static void change(int me)
{
	keep_out(&keeping);
	while (has_readers())
		STELE_POINT("model:waits");
	payload_take(&set, me);
	first++;
	STELE_POINT("model:half");
	second++;
	payload_leave(&set, me);
	keep_let_in(&keeping);
}

/* As often as it takes would be for ever where a checker follows every turn. */
static void keep(void)
{
	if (enter()) {
		uint64_t seen = first;

		STELE_POINT("model:kept");
		model_assert(set.holder == 0);
		model_assert(seen == second);
	}
	keep_leave(&keeping);
}

static void model_thread(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		if (me == 1)
			change(me);
		else
			keep();
	}
}

static void model_setup(void)
{
	atomic_store(&keeping.readers, 0);
	atomic_store(&keeping.writing, 0);
}

static void model_check(void)
{
	model_assert(first == second);
}
