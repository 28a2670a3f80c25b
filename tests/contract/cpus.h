/* SPDX-License-Identifier: MIT */
/*
 * tests/contract/cpus.h - what the tests of slots that come and go share
 *
 * Idea      A cache of items, which are allocated and freed while slots go down and come up;
 *           setup() has all slots up, and chooses the toy flavour for grace periods.
 * Threads   count their failures in `wrong`; the main thread asserts that it is 0.
 * Included  by one file of a program.
 */
#ifndef STELE_TESTS_CONTRACT_CPUS_H
#define STELE_TESTS_CONTRACT_CPUS_H

#include "../toy_flavor.h"
#include "contract.h"

#include <sched.h>

#include <stele/cpu.h>
#include <stele/rcu.h>

#define OBJECTS 300

struct item {
	unsigned long value[5];
	struct kvfree_rcu_head rcu;
};

static void *objects[OBJECTS];
static cpu_set_t allowed;

static inline struct kmem_cache *make(const char *name)
{
	struct kmem_cache *s = kmem_cache_create(name, sizeof(struct item), 0, SLAB_NO_MERGE, NULL);

	assert_non_null(s);
	return s;
}

static inline void take_all(struct kmem_cache *s)
{
	for (int i = 0; i < OBJECTS; i++) {
		objects[i] = kmem_cache_alloc(s, GFP_KERNEL);
		assert_non_null(objects[i]);
		sign(objects[i], sizeof(struct item), (size_t)i);
	}
}

static inline void give_all(struct kmem_cache *s)
{
	for (int i = 0; i < OBJECTS; i++)
		kmem_cache_free(s, objects[i]);
}

/* Silently: no object remains. */
static inline void destroy(struct kmem_cache *s)
{
	struct stderr_text t;

	STDERR_OF(&t, kmem_cache_destroy(s));
	assert_silent(&t);
}

/* This thread's slot, down; the thread goes on in it. */
static inline unsigned take_mine_down(void)
{
	unsigned slot = raw_smp_processor_id();

	assert_int_equal(stele_cpu_down(slot), 0);
	assert_false(cpu_online(slot));
	return slot;
}

/* ---- while slots flap ---- */

static _Atomic bool over;
static _Atomic unsigned flaps, wrong;

static inline void *flap(void *arg)
{
	unsigned slot = num_possible_cpus() - 1;

	(void)arg;
	while (!over) {
		if (stele_cpu_down(slot) != 0 || stele_cpu_up(slot) != 0)
			wrong++;
		flaps++;
	}
	return NULL;
}

static inline void use(struct kmem_cache *s)
{
	void *p[40];

	for (int i = 0; i < 40; i++) {
		p[i] = kmem_cache_alloc(s, GFP_KERNEL);
		if (p[i])
			sign(p[i], sizeof(struct item), (size_t)i);
		else
			wrong++;
	}
	for (int i = 0; i < 40; i++) {
		if (!signed_by(p[i], sizeof(struct item), (size_t)i))
			wrong++;
		kmem_cache_free(s, p[i]);
	}
}

static inline int setup(void **state)
{
	unsigned cpu;

	(void)state;
	stele_rcu_set_flavor(&toy_flavor);
	if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0)
		return -1;
	if (num_possible_cpus() < 2) {
		fprintf(stderr, "one slot is not enough for these tests\n");
		return -1;
	}
	for_each_possible_cpu(cpu) if (!cpu_online(cpu) && stele_cpu_up(cpu) != 0) return -1;
	return 0;
}

#endif
