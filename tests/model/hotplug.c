/* SPDX-License-Identifier: MIT */
/*
 * tests/model/hotplug.c - percpu/cpus.c: the set of CPUs does not change while somebody keeps it
 *
 * Idea      One thread changes the set, a plain payload, again and again; two keep it, look at it
 *           twice, and let it go. Follows cpus_read_lock() and stele_cpus_write_lock(), with a
 *           turn given away instead of a futex.
 * Broken    CPUS_COUNT  a reader looks for a writer, then counts itself
 *           CPUS_LOOK   a writer says so, and does not wait for those who were there
 *           CPUS_ORDER  counted and looked without sequential consistency. For a model checker;
 *                       here it takes luck, so it is in no list of tests.
 */
#ifdef BROKEN_CPUS_ORDER
#define ORDER_CPUS memory_order_relaxed
#else
#define ORDER_CPUS memory_order_seq_cst
#endif
#include "model.h"

static _Atomic uint32_t readers, writing;
static struct payload set;		/* held by the writer while it changes it */
static volatile uint64_t first, second; /* always the same, but for a change */

#ifdef BROKEN_CPUS_COUNT
static bool enter(void)
{
	bool free = !atomic_load_explicit(&writing, ORDER_CPUS);

	STELE_POINT("model:looked");
	atomic_fetch_add_explicit(&readers, 1, ORDER_CPUS);
	return free;
}
#else
static bool enter(void)
{
	atomic_fetch_add_explicit(&readers, 1, ORDER_CPUS);
	STELE_POINT("model:counted");
	return !atomic_load_explicit(&writing, ORDER_CPUS);
}
#endif

static void leave(void)
{
	/* ORDER(CPUS) release: what was looked at stays until here. */
	atomic_fetch_sub_explicit(&readers, 1, memory_order_seq_cst);
}

static bool has_readers(void)
{
#ifdef BROKEN_CPUS_LOOK
	return false;
#else
	return atomic_load_explicit(&readers, ORDER_CPUS);
#endif
}

static void change(int me)
{
	atomic_store_explicit(&writing, 1, ORDER_CPUS);
	while (has_readers())
		STELE_POINT("model:waits");
	payload_take(&set, me);
	first++;
	STELE_POINT("model:half");
	second++;
	payload_leave(&set, me);
	atomic_store_explicit(&writing, 0, memory_order_seq_cst);
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
	leave();
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
	atomic_store(&readers, 0);
	atomic_store(&writing, 0);
}

static void model_check(void)
{
	model_assert(first == second);
}
