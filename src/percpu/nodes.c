/* SPDX-License-Identifier: MIT */
/*
 * percpu/nodes.c - the nodes of this machine, or of the one that is pretended
 *
 * Idea      see percpu/percpu.h. The order of nodes by distance is fixed at start, also for nodes
 *           that have no memory yet. A search for memory passes over these.
 * Tests     tests/unit/percpu/test_nodes.c
 */
#include "percpu/percpu.h"
#include "os/nodes.h"
#include "base/options.h"
#include "os/os.h"
#include "percpu/system.h"

struct stele_nodes stele_nodes = { .count = 1, .memory = 1 };

static _Atomic uint8_t node_of_cpu[STELE_OS_CPUS];
static _Atomic uint8_t node_of_slot[STELE_SLOTS_MAX]; /* one with memory */
static uint8_t order[STELE_NODES_MAX][STELE_NODES_MAX];
_Static_assert(STELE_OS_CPUS == STELE_SLOTS_MAX, "a slot for each CPU");

#define FAR 0xffffu /* a node that is not there yet */

static uint64_t bits_from_to(unsigned from, unsigned to)
{
	return to > from ? (~0ull >> (64 - (to - from))) << from : 0;
}

/* ---- the order of distance ---- */

static void read_distances(unsigned node, uint16_t *distance)
{
	static uint16_t told[STELE_NODES_MAX];
	uint64_t online = stele_os_nodes("online");
	int n = stele_os_node_distances(node, told, STELE_NODES_MAX), at = 0;

	for (unsigned i = 0; i < stele_nodes.count; i++)
		distance[i] = online >> i & 1 && at < n ? told[at++] : FAR;
}

/* A pretended machine is a ring. */
static void make_distances(unsigned node, uint16_t *distance)
{
	for (unsigned i = 0; i < stele_nodes.count; i++) {
		unsigned up = (i + stele_nodes.count - node) % stele_nodes.count;

		distance[i] = (uint16_t)STELE_MIN(up, stele_nodes.count - up);
	}
}

static void sort_by_distance(unsigned node, const uint16_t *distance)
{
	uint8_t *row = order[node];

	row[0] = (uint8_t)node;
	for (unsigned i = 0, n = 1, at; i < stele_nodes.count; i++) {
		if (i == node)
			continue;
		for (at = n++; at > 1 && distance[row[at - 1]] > distance[i]; at--)
			row[at] = row[at - 1];
		row[at] = (uint8_t)i;
	}
}

static void set_order(void)
{
	static uint16_t distance[STELE_NODES_MAX]; /* not on the stack; at start */

	for (unsigned node = 0; node < stele_nodes.count; node++) {
		if (stele_nodes.pretended)
			make_distances(node, distance);
		else
			read_distances(node, distance);
		sort_by_distance(node, distance);
	}
}

int stele_node_farther(unsigned node, unsigned *which)
{
	while (++*which < stele_nodes.count)
		if (node_has_memory(order[node][*which]))
			return order[node][*which];
	return -1;
}

unsigned stele_node_with_memory(unsigned node)
{
	for (unsigned i = 0; i < stele_nodes.count; i++)
		if (node_has_memory(order[node][i]))
			return order[node][i];
	return 0;
}

/* ---- CPUs ---- */

static void read_cpus(unsigned node)
{
	static uint64_t cpus[STELE_OS_CPUS / 64]; /* not on the stack; one reader at a time */

	if (stele_os_node_cpus(node, cpus) <= 0)
		return;
	for (unsigned cpu = 0; cpu < STELE_OS_CPUS; cpu++)
		if (cpus[cpu / 64] >> cpu % 64 & 1)
			store_relaxed(&node_of_cpu[cpu], (uint8_t)node);
}

static void pretend_cpus(uint64_t memory)
{
	unsigned nodes = stele_popcount(memory);

	for (unsigned cpu = 0; cpu < STELE_SLOTS_MAX; cpu++)
		store_relaxed(&node_of_cpu[cpu], (uint8_t)(cpu % nodes));
}

unsigned stele_node_of_cpu(unsigned cpu)
{
	return cpu < STELE_OS_CPUS ? load_relaxed(&node_of_cpu[cpu]) : 0;
}

static bool slots_are_cpus(void)
{
	return stele_nodes.pretended || stele_system_facts.mode != STELE_MODE_FALLBACK;
}

static void set_slot(unsigned slot, unsigned cpu)
{
	unsigned node = stele_node_with_memory(stele_node_of_cpu(cpu));

	store_relaxed(&node_of_slot[slot], (uint8_t)node);
}

static void set_slots(void)
{
	for (unsigned cpu = 0; slots_are_cpus() && cpu < STELE_OS_CPUS; cpu++)
		set_slot(cpu, cpu);
}

void stele_node_of_new_slot(unsigned slot)
{
	if (nodes_several() && !slots_are_cpus())
		set_slot(slot, stele_os_cpu());
}

unsigned stele_node_of_slot(unsigned slot)
{
	return load_relaxed(&node_of_slot[slot]);
}

/* ---- choosing ---- */

/* Most machines have one: nothing more is asked of them. */
static uint64_t found_memory(void)
{
	uint64_t memory = stele_os_nodes("has_memory");

	return memory & (memory - 1) ? memory & stele_os_nodes_allowed() : 0;
}

static bool choose_pretended(void)
{
	unsigned count = (unsigned)stele_opt.nodes, late = (unsigned)stele_opt.nodes_late;

	if (count < 2)
		return count == 1;
	stele_nodes.count = count;
	stele_nodes.pretended = true;
	store_relaxed(&stele_nodes.memory, bits_from_to(0, late < count ? count - late : 1));
	pretend_cpus(load_relaxed(&stele_nodes.memory));
	return true;
}

static unsigned highest(uint64_t bits)
{
	return bits ? 63 - (unsigned)__builtin_clzll(bits) : 0;
}

static bool choose_machine(void)
{
	uint64_t memory = found_memory();

	if (!(memory & (memory - 1)) || stele_os_prefer_node(NULL, 0, highest(memory)) != 0)
		return false;
	stele_nodes.count = highest(memory | stele_os_nodes("possible")) + 1;
	store_relaxed(&stele_nodes.memory, memory);
	for (unsigned node = 0; node < stele_nodes.count; node++)
		read_cpus(node);
	return true;
}

void stele_nodes_choose(void)
{
	if (choose_pretended() || choose_machine())
		set_order();
}

void stele_nodes_keep(unsigned count)
{
	uint64_t memory = load_relaxed(&stele_nodes.memory) & bits_from_to(0, count);

	stele_nodes.count = count;
	store_relaxed(&stele_nodes.memory, count > 1 ? memory : 1);
	if (nodes_several()) {
		set_order();
		set_slots();
	}
}

uint64_t stele_nodes_look(void)
{
	uint64_t all = bits_from_to(0, stele_nodes.count), found = all;

	if (stele_nodes.pretended) {
		pretend_cpus(all);
	} else {
		for (unsigned node = 0; node < stele_nodes.count; node++)
			read_cpus(node);
		found = found_memory() & all;
	}
	set_slots();
	return found;
}

void stele_node_shown(unsigned node)
{
	or_relaxed(&stele_nodes.memory, 1ull << node); /* its data has its own order */
	set_slots();
}

void stele_nodes_start(void)
{
	if (nodes_several())
		set_slots();
}
