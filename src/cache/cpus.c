/* SPDX-License-Identifier: MIT */
/*
 * cache/cpus.c - the objects that caches keep in a slot that goes, or that no thread seems to use
 *
 * Idea      A slot that is taken away is closed first (percpu/close.c): no step reaches it. Then
 *           every cache in the list gives up what it has there: objects go to their slabs, where
 *           every thread can have them, those that wait for readers to their grace period. A cache
 *           that is being made is not in the list and has nothing there; one that is being
 *           destroyed is not there any more, and empties all slots itself, closed ones too.
 *           A slot whose words have not changed for some looks is cold: the kernel gives its number
 *           to no thread, or the threads there do something else. It is closed for a moment and
 *           emptied in the same way; in the fallback, line by line under their locks.
 * Looks     When a slab is made, `cpu_look` milliseconds after the last look at the earliest, it is
 *           noted that one is due; the next ordinary slow call looks at LOOK_SLOTS slots. So does
 *           the watcher (percpu/watch.c), where a program has asked for one.
 * Objects   signatures, ages: by slot, under the turn of the thread that looks (`looking`).
 * Order     CPUS, SLOT, HANDOVER.
 * Context   stele_slot_died(): the writer of the CPU set. Looking: any; it leaves busy slots alone.
 * Limits    A cold slot keeps the objects of caches with a destructor, as in decay.c.
 * Tests     tests/contract/test_cpus.c  tests/unit/cache/test_cold.c
 */
#include "slab/slab.h"
#include "base/options.h"
#include "os/os.h"
#include "percpu/cpus.h"
#include "percpu/system.h"

static void give(struct kmem_cache *s, const uint64_t found[2])
{
	for (int i = 0; i < 2; i++)
		if (stele_is_sheaf(found[i]))
			stele_sheaf_dissolve(s, found[i]);
}

/* ---- a slot is taken away ---- */

static void empty_dead(struct kmem_cache *s, void *arg)
{
	uint64_t found[3] = { 0 };

	if (!s->capacity)
		return;
	stele_slot_empty(*(unsigned *)arg, s->words, found);
	STELE_POINT("cpus:in-hand");
	give(s, found);
	if (stele_is_sheaf(found[2]))
		stele_rcu_give_sheaf(s, found[2]);
}

static int slot_died(unsigned slot)
{
	stele_cache_each(empty_dead, &slot);
	stele_deferred_drain_all();
	return 0;
}

/* Before a thread runs there: its memory node's part of every cache. */
static int slot_will_come(unsigned slot)
{
	return stele_nodes_prepare((int)stele_node_of_cpu(slot));
}

/* ---- cold slots ---- */

#define LOOK_SLOTS 16u
#define COLD_AGE 3 /* looks */

static _Atomic uint64_t last_look; /* ms */
static _Atomic uint32_t due;
static _Atomic uint64_t looking; /* the token of the thread that looks, or 0 */
static uint64_t signatures[STELE_SLOTS_MAX];
static uint8_t ages[STELE_SLOTS_MAX];
static unsigned next_slot;

void stele_cold_note(void)
{
	uint64_t now, last = load_relaxed(&last_look);

	if (!stele_opt.cpu_look || load_relaxed(&due))
		return;
	now = stele_os_ms();
	if (now - last >= (uint64_t)stele_opt.cpu_look && cas_relaxed(&last_look, &last, now))
		store_relaxed(&due, 1);
}

bool stele_cold_due(void)
{
	return load_relaxed(&due);
}

static void empty_cold(struct kmem_cache *s, void *arg)
{
	uint64_t found[3] = { 0 };
	struct in_hand_name name;

	if (!s->capacity || s->dtor || !stele_rcu_hold(&name))
		return;
	stele_slot_empty_held(*(unsigned *)arg, s->words, found);
	if (stele_is_sheaf(found[2]))
		stele_rcu_give_sheaf(s, found[2]);
	stele_rcu_let_go(&name);
	give(s, found);
}

static void empty_slot(unsigned slot, void *arg)
{
	(void)arg;
	STELE_POINT("cpus:cold");
	stele_cache_try_each(empty_cold, &slot);
}

static void look_at(unsigned slot)
{
	uint64_t signature = stele_slot_signature(slot);

	if (!signature || signature != signatures[slot]) {
		signatures[slot] = signature;
		ages[slot] = 0;
	} else if (++ages[slot] >= COLD_AGE && stele_slot_empty_cold(slot, empty_slot, NULL)) {
		ages[slot] = 0;
	}
}

static void look(void)
{
	unsigned slots = stele_system_facts.slots, most = STELE_MIN(slots, LOOK_SLOTS);

	STELE_POINT("cpus:looking");
	for (unsigned i = 0; i < most; i++) {
		look_at(next_slot % slots);
		next_slot++;
	}
}

void stele_cold_look(void)
{
	uint64_t signals = stele_os_signals_hold(); /* or a handler could end all looks */
	uint64_t nobody = 0;

	store_relaxed(&due, 0);
	/* ORDER(COLD_LOOK) acquire, and release at the end: one look sees what the last one noted. */
	if (cas_acquire(&looking, &nobody, stele_os_token())) {
		look();
		store_release(&looking, 0);
	}
	stele_os_signals_release(signals);
}

void stele_cold_thread_gone(uint64_t token)
{
	cas_relaxed(&looking, &token, 0);
}

void stele_cold_after_fork(void)
{
	store_relaxed(&looking, 0);
}

static void look_of_watcher(void)
{
	stele_cold_note();
	if (stele_cold_due())
		stele_cold_look();
}

/* ---- start ---- */

void stele_slab_watch_cpus(void)
{
	stele_cpus_start = stele_heap_start;
	stele_cpus_look = look_of_watcher;
	stele_cpu_step(CPUHP_SLUB_DEAD, "slab:dead", slot_will_come, slot_died);
}
