/* SPDX-License-Identifier: MIT */
/*
 * cache/slots.c - what caches have in a slot that is taken away, and need for one that comes
 *
 * Idea      A slot that is taken away is closed first (percpu/close.c): no step reaches it. Then
 *           every cache in the list gives up what it has there: objects go to their slabs, where
 *           every thread can have them, those that wait for readers to their grace period. A cache
 *           that is being made is not in the list and has nothing there; one that is being
 *           destroyed is not there any more, and empties all slots itself, closed ones too.
 * Order     CPUS, SLOT, HANDOVER.
 * Context   the writer of the CPU set.
 * Tests     tests/contract/test_cpus.c
 */
#include "cache/chores.h"
#include "cache/caches.h"
#include "cache/rcu.h"
#include "cache/sheaves.h"
#include "page/run.h"
#include "percpu/cpus.h"
#include "percpu/percpu.h"
#include "slab/slabs.h"
#include "sync/in_hand.h"

static void empty_dead(struct kmem_cache *s, void *arg)
{
	uint64_t found[3] = { 0 };

	if (!s->capacity)
		return;
	stele_slot_empty(*(unsigned *)arg, s->words, found);
	STELE_POINT("cpus:in-hand");
	stele_sheaf_dissolve_both(s, found);
	if (stele_is_sheaf(found[2]))
		stele_rcu_give_sheaf(s, found[2]);
}

static int slot_died(unsigned slot)
{
	stele_cache_each(empty_dead, &slot);
	stele_deferred_retire_all();
	stele_purge_due();
	return 0;
}

/* Before a thread runs there: its memory node's part of every cache. */
static int slot_will_come(unsigned slot)
{
	return stele_nodes_prepare((int)stele_node_of_cpu(slot));
}

static void look_of_watcher(void)
{
	stele_cold_note();
	if (stele_cold_due())
		stele_cold_look();
}

void stele_slots_watch(void)
{
	stele_cpus_start = stele_heap_start;
	stele_cpus_look = look_of_watcher;
	stele_cpu_step(CPUHP_SLUB_DEAD, "slab:dead", slot_will_come, slot_died);
}
