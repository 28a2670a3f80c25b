/* SPDX-License-Identifier: MIT */
/*
 * Tests of cache/cold.c: objects that rest in a slot that nobody uses go back to their slabs after
 * some looks; objects in slots that are used stay.
 */
#include "base/options.h"
#include "os/report.h"
#include "percpu/cpus.h"
#include "percpu/system.h"
#include "cache/chores.h"
#include "cache/caches.h"
#include "page/run.h"
#include "percpu/percpu.h"
#include "slab/kmem_cache.h"
#include "slab/checks.h"

#include "../unit.h"

#include <stdio.h>
#include <unistd.h>

#define OBJECTS 200
#define LOOKS 8
#define COLD_LOOKS 5 /* after so many a slot is cold, and was emptied */

static struct kmem_cache *cache;
static void *objects[OBJECTS];
static unsigned left_in;

static void use(void)
{
	for (int i = 0; i < OBJECTS; i++) {
		objects[i] = kmem_cache_alloc(cache, 0);
		assert_non_null(objects[i]);
	}
	for (int i = 0; i < OBJECTS; i++)
		kmem_cache_free(cache, objects[i]);
}

/* Sheaves in a slot by hand: where the threads of this test run is the kernel's business. */
static void *leave_in_slot(void *arg)
{
	(void)arg;
	for (int i = 0; i < OBJECTS; i++)
		objects[i] = kmem_cache_alloc(cache, 0);
	for (int i = 0; i < OBJECTS; i++)
		kmem_cache_free(cache, objects[i]);
	left_in = stele_slot_now();
	return NULL;
}

static void look(unsigned times)
{
	/* Each makes a step in sixteen of them, in turn. */
	for (unsigned i = 0; i < times * ((stele_system_facts.slots + 15) / 16); i++)
		stele_cold_look();
}

static void objects_of_a_cold_slot_go_back(void **state)
{
	(void)state;
	in_threads(1, leave_in_slot);
	assert_true(stele_pcpu_sheaves(cache->words) > 0);
	look(1);
	assert_true(stele_pcpu_sheaves(cache->words) > 0);
	look(LOOKS);
	assert_int_equal(stele_pcpu_sheaves(cache->words), 0);
	assert_false(stele_slot_is_closed(left_in));
}

/* The watcher's looks are as far apart as the option says. */
static void a_quiet_program_has_a_watcher_for_it(void **state)
{
	(void)state;
	stele_opt.cpu_look = 1;
	in_threads(1, leave_in_slot);
	assert_true(stele_pcpu_sheaves(cache->words) > 0);
	assert_int_equal(stele_cpu_watch(true), 0);
	for (int i = 0; i < 600 && stele_pcpu_sheaves(cache->words); i++)
		usleep(100000);
	assert_int_equal(stele_cpu_watch(false), 0);
	stele_opt.cpu_look = 0;
	assert_int_equal(stele_pcpu_sheaves(cache->words), 0);
}

static void a_slot_in_use_keeps_its_objects(void **state)
{
	(void)state;
	for (int i = 0; i < 20; i++) {
		use();
		look(1);
		assert_true(stele_pcpu_sheaves(cache->words) > 0);
	}
}

static struct kmem_cache *first;

static void *leave_in_first(void *arg)
{
	kmem_cache_free(first, kmem_cache_alloc(first, 0));
	return arg;
}

static void leave_out(struct kmem_cache *s, void *arg)
{
	(void)s;
	(void)arg;
}

/* Emptying another slot ended behind the first cache, and was not gone on with. */
static void a_cold_slot_gets_a_whole_round(void **state)
{
	(void)state;
	first = kmem_cache_create("first", 64, 0, SLAB_NO_MERGE, NULL);
	in_threads(1, leave_in_first);
	assert_true(stele_cache_try_begin(ROUND_COLD));
	assert_false(stele_cache_try_some(ROUND_COLD, 1, leave_out, NULL));
	look(COLD_LOOKS);
	assert_int_equal(stele_pcpu_sheaves(first->words), 0);
	kmem_cache_destroy(first);
}

/* ---- however many caches there are ---- */

#define MANY 400
#define STEP_CACHES 16u /* as cold.c says */

static struct kmem_cache *many[MANY];

static void *leave_in_many(void *arg)
{
	(void)arg;
	for (int i = 0; i < MANY; i++)
		kmem_cache_free(many[i], kmem_cache_alloc(many[i], 0));
	return NULL;
}

static unsigned with_sheaves(void)
{
	unsigned n = 0;

	for (int i = 0; i < MANY; i++)
		n += stele_pcpu_sheaves(many[i]->words) > 0;
	return n;
}

static void a_look_empties_no_more_than_it_may(void **state)
{
	unsigned most = STEP_CACHES * STELE_MIN(stele_system_facts.slots, 16u), left, before;

	(void)state;
	for (int i = 0; i < MANY; i++) {
		char name[16];

		snprintf(name, sizeof(name), "many-%d", i);
		many[i] = kmem_cache_create(name, 64, 0, SLAB_NO_MERGE, NULL);
		assert_non_null(many[i]);
	}
	in_threads(1, leave_in_many);
	before = left = with_sheaves();
	assert_int_equal(left, MANY);
	for (int i = 0; i < 400 && left; i++) {
		stele_cold_look();
		left = with_sheaves();
		assert_in_range(before - left, 0, most);
		before = left;
	}
	assert_int_equal(left, 0);
	for (int i = 0; i < MANY; i++)
		kmem_cache_destroy(many[i]);
}

static void nothing_is_lost(void **state)
{
	(void)state;
	use();
	look(LOOKS);
	use();
	assert_int_equal(kmem_cache_shrink(cache), 0);
	assert_int_equal(stele_reports(), 0);
}

static int setup(void **state)
{
	(void)state;
	if (stele_heap_start() != 0)
		return -1;
	stele_opt.cpu_look = 0; /* the looks of this test are its own */
	cache = kmem_cache_create("cold", 96, 0, SLAB_NO_MERGE, NULL);
	return cache ? 0 : -1;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_of_a_cold_slot_go_back),
		cmocka_unit_test(a_quiet_program_has_a_watcher_for_it),
		cmocka_unit_test(a_slot_in_use_keeps_its_objects),
		cmocka_unit_test(a_cold_slot_gets_a_whole_round),
		cmocka_unit_test(a_look_empties_no_more_than_it_may),
		cmocka_unit_test(nothing_is_lost),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
