/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/percpu/slots.h - the floor without the page floor above it
 *
 * Idea      What the page floor's start does for slots, in a reservation of its own; and sheaves
 *           made by hand: 0, entries, END.
 */
#ifndef STELE_TESTS_UNIT_PERCPU_SLOTS_H
#define STELE_TESTS_UNIT_PERCPU_SLOTS_H

#include "arch/contract.h"
#include "base/options.h"
#include "os/os.h"
#include "percpu/cpus.h"
#include "percpu/percpu.h"
#include "percpu/system.h"

#include "../unit.h"

#include <sys/mman.h>
#include <unistd.h>

#define SLOTS_AT ((size_t)STELE_TAGS_OFFSET) /* behind the first block */

/* A base with room for so many slots behind it, or NULL. */
static inline char *slots_memory(unsigned slots)
{
	void *p = mmap(NULL, SLOTS_AT + (size_t)slots * STELE_SLOT_SIZE, PROT_READ | PROT_WRITE,
		       MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* Chooses the mode as the environment asks, and gives that many slots their memory, or as many as
 * the mode has for 0. */
static inline int slots_start_with(unsigned n)
{
	char *base;

	stele_options_parse(environ);
	stele_system_choose();
	if (n)
		stele_system_facts.slots = n;
	base = slots_memory(stele_system_facts.slots);
	if (!base)
		return -1;
	stele_hot.base = base;
	stele_pcpu_init(base + SLOTS_AT, stele_system_facts.slots);
	return 0;
}

static inline int slots_start(void **state)
{
	(void)state;
	return slots_start_with(0);
}

/* The words of a cache in @n slots, all of which are up; 0 when that failed. */
static inline uint64_t slots_start_up(unsigned n)
{
	unsigned cpu;
	uint64_t words;

	if (slots_start_with(n) != 0)
		return 0;
	words = stele_pcpu_alloc();
	for_each_possible_cpu(cpu) if (!cpu_online(cpu) && stele_cpu_up(cpu) != 0) return 0;
	return words;
}

static inline void *object(uintptr_t i)
{
	return (void *)(i * 8 + 4096); /* neither 0 nor END; never dereferenced */
}

#define TEST_CAPACITY 6

struct test_sheaf {
	uint64_t bottom; /* 0 */
	uint64_t entry[TEST_CAPACITY];
	uint64_t end;
};

static inline uint64_t sheaf_start(struct test_sheaf *sheaf)
{
	memset(sheaf, 0, sizeof(*sheaf));
	sheaf->end = STELE_SHEAF_END;
	return (uint64_t)(uintptr_t)sheaf->entry;
}

/* The sheaf a top belongs to, among @n at @sheaves; its objects are entry[0 .. *count). */
static inline struct test_sheaf *sheaf_of_top(struct test_sheaf *sheaves, uint64_t top,
					      unsigned *count)
{
	size_t i = (top - 8 - (uint64_t)(uintptr_t)sheaves) / sizeof(*sheaves);

	*count = (unsigned)((top - (uint64_t)(uintptr_t)sheaves[i].entry) / 8);
	return &sheaves[i];
}

static inline bool by_sequence(void)
{
	return stele_system_facts.mode != STELE_MODE_FALLBACK;
}

/* For what takes the words of slots. */
static inline void count_top(uint64_t top, void *arg)
{
	(void)top;
	++*(unsigned *)arg;
}

/* Keeps this thread in one slot, as far as the system allows; fallback slots never move. */
static inline void stay_here(void)
{
	cpu_set_t set;
	int cpu = sched_getcpu();

	CPU_ZERO(&set);
	CPU_SET(cpu < 0 ? 0 : cpu, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

#endif
