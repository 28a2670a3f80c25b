/* SPDX-License-Identifier: MIT */
/*
 * tests/model/hotplug.c - percpu/keep.h: the set of CPUs does not change while somebody keeps it
 *
 * Idea      One thread changes the set, a plain payload, again and again; two keep it, look at it
 *           twice, and let it go. One of these may die while it keeps the set. There is one place:
 *           a reader that finds it taken frees it, if that one died, or adds more. Runs the shipped
 *           code, with a turn given away instead of a futex.
 * Broken    CPUS_COUNT  a reader looks for a writer, then enters its name
 *           CPUS_LOOK   a writer says so, and does not wait for the readers that were there
 *           CPUS_GONE   the writer takes a reader for gone that is still there
 *           CPUS_ORDER  entered and looked without sequential consistency. For a model checker;
 *                       here it takes luck.
 */
#ifdef BROKEN_CPUS_ORDER
#define CPUS_FENCE() ((void)0)
#endif
#define NAMES_PLACES 1u
#define MODEL_DICE 1
#include "model.h"
#include "names.h"
#include "percpu/keep.h"

#define MORTAL 2

static struct payload set;		/* held by the writer while it changes it */
static volatile uint64_t first, second; /* always the same, but for a change */
static _Atomic bool gone;		/* as the system says it of MORTAL */

static bool is_gone(uint32_t name)
{
#ifdef BROKEN_CPUS_GONE
	return name == MORTAL;
#else
	return name == MORTAL && load_acquire(&gone);
#endif
}

static struct keep keeping = { .readers.is_gone = is_gone };

#ifdef BROKEN_CPUS_COUNT
static bool enter(int me)
{
	bool free = !load_seq(&keeping.writing);

	STELE_POINT("model:looked");
	return keep_enter(&keeping, (uint32_t)me) || free;
}
#else
static bool enter(int me)
{
	return keep_enter(&keeping, (uint32_t)me);
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

/* As often as it takes would be for ever where a checker follows every turn. False: it died. */
static bool keep(int me)
{
	if (enter(me)) {
		uint64_t seen = first;

		STELE_POINT("model:kept");
		model_assert(set.holder == 0);
		model_assert(seen == second);
	}
	if (me == MORTAL && model_chance(16)) {
		store_release(&gone, true);
		return false;
	}
	keep_leave(&keeping, (uint32_t)me);
	return true;
}

static void model_thread(int me)
{
	for (int step = 0; step < MODEL_STEPS; step++) {
		if (me == 1)
			change(me);
		else if (!keep(me))
			return;
	}
}

static void model_setup(void)
{
	model_names_reset(&keeping.readers);
	atomic_store(&keeping.writing, 0);
	atomic_store(&gone, false);
}

static void model_check(void)
{
	model_assert(first == second);
	names_bury(&keeping.readers);
	model_assert(!names_are_held(&keeping.readers));
}
