/* SPDX-License-Identifier: MIT */
/*
 * Contract of slots that come and go (contract 24, 30, 31; stele/cpu.h): a slot is taken
 * down, and its objects are allocated elsewhere, wait for their readers, or go back. None is lost.
 */
#include "cpus.h"

#include "base/options.h"
#include "cache/rcu.h"
#include "percpu/percpu.h"
#include "slab/kmem_cache.h"

#include <pthread.h>

static void objects_of_a_slot_that_went_can_be_had_again(void **state)
{
	struct kmem_cache *s = make("rested");
	uint64_t slabs;
	unsigned slot;

	(void)state;
	take_all(s);
	give_all(s);
	slabs = load_relaxed(&s->slabs);
	slot = take_mine_down();
	assert_int_equal(stele_pcpu_sheaves(s->words), 0);
	take_all(s);
	assert_true(load_relaxed(&s->slabs) <= slabs);
	for (int i = 0; i < OBJECTS; i++)
		assert_true(signed_by(objects[i], sizeof(struct item), (size_t)i));
	give_all(s);
	assert_int_equal(stele_cpu_up(slot), 0);
	assert_int_equal(kmem_cache_shrink(s), 0);
	destroy(s);
}

static void a_slot_that_comes_back_starts_clean(void **state)
{
	struct kmem_cache *s = make("clean");
	unsigned slot;

	(void)state;
	for (int i = 0; i < 20; i++) {
		take_all(s);
		slot = take_mine_down();
		give_all(s);
		take_all(s);
		assert_int_equal(stele_cpu_up(slot), 0);
		give_all(s);
	}
	assert_int_equal(kmem_cache_shrink(s), 0);
	destroy(s);
}

static void waiting_objects_wait_on_when_their_slot_goes(void **state)
{
	struct kmem_cache *s = make("waits");
	struct item *item = kmem_cache_alloc(s, GFP_KERNEL);
	unsigned slot;

	(void)state;
	item->value[0] = 42;
	toy_read_lock();
	kfree_rcu(item, rcu);
	slot = take_mine_down();
	assert_int_equal(item->value[0], 42);
	assert_int_equal(stele_rcu_sheaves(), 1);
	toy_read_unlock();
	kvfree_rcu_barrier();
	assert_int_equal(stele_rcu_sheaves(), 0);
	assert_int_equal(kmem_cache_shrink(s), 0);
	assert_int_equal(stele_cpu_up(slot), 0);
	destroy(s);
}

static void a_cache_is_made_and_used_while_a_slot_is_down(void **state)
{
	unsigned slot = take_mine_down();
	struct kmem_cache *s = make("meanwhile");

	(void)state;
	take_all(s);
	give_all(s);
	assert_int_equal(stele_cpu_up(slot), 0);
	take_all(s);
	give_all(s);
	slot = take_mine_down();
	destroy(s);
	assert_int_equal(stele_cpu_up(slot), 0);
}

/* ---- many caches, while slots flap ---- */

#define CACHES 1000

static void *caches_come_and_go(void *arg)
{
	unsigned rounds = STELE_TEST_EMULATED ? 5 : 60;

	(void)arg;
	for (unsigned i = 0; i < rounds || !flaps; i++) {
		struct kmem_cache *s =
			kmem_cache_create("flapping", sizeof(struct item), 0, SLAB_NO_MERGE, NULL);

		use(s);
		if (kmem_cache_shrink(s) != 0)
			wrong++;
		use(s);
		kmem_cache_destroy(s);
	}
	return NULL;
}

static void caches_come_and_go_while_slots_do(void **state)
{
	pthread_t flapper, user[3];
	struct stele_stats before, after;
	struct stderr_text t;

	(void)state;
	stele_opt.quiet = 1;
	over = false;
	stele_stats_read(&before);
	assert_true(stderr_begin(&t));
	pthread_create(&flapper, NULL, flap, NULL);
	for (int i = 0; i < 3; i++)
		pthread_create(&user[i], NULL, caches_come_and_go, NULL);
	for (int i = 0; i < 3; i++)
		pthread_join(user[i], NULL);
	over = true;
	pthread_join(flapper, NULL);
	stderr_end(&t);
	stele_opt.quiet = 0;
	stele_stats_read(&after);
	assert_silent(&t);
	assert_int_equal(wrong, 0);
	assert_true(flaps > 0);
	assert_int_equal(after.reports, before.reports);
	assert_int_equal(num_online_cpus(), num_possible_cpus());
}

static void a_thousand_caches_lose_nothing(void **state)
{
	static struct kmem_cache *caches[CACHES];
	unsigned slot;
	char name[32];

	(void)state;
	for (int i = 0; i < CACHES; i++) {
		snprintf(name, sizeof(name), "thousand-%d", i);
		caches[i] = make(name);
		use(caches[i]);
	}
	slot = take_mine_down();
	for (int i = 0; i < CACHES; i += 2)
		use(caches[i]);
	assert_int_equal(stele_cpu_up(slot), 0);
	for (int i = 0; i < CACHES; i++) {
		use(caches[i]);
		assert_int_equal(kmem_cache_shrink(caches[i]), 0);
		destroy(caches[i]);
	}
	assert_int_equal(wrong, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(objects_of_a_slot_that_went_can_be_had_again),
		cmocka_unit_test(a_slot_that_comes_back_starts_clean),
		cmocka_unit_test(waiting_objects_wait_on_when_their_slot_goes),
		cmocka_unit_test(a_cache_is_made_and_used_while_a_slot_is_down),
		cmocka_unit_test(caches_come_and_go_while_slots_do),
		cmocka_unit_test(a_thousand_caches_lose_nothing),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
