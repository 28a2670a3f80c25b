/* SPDX-License-Identifier: MIT */
/*
 * Contract of SLAB_TYPESAFE_BY_RCU: what readers see of objects that are freed under them. The
 * readers are the test's own (tests/toy_flavor.h).
 *
 * The argument "broken" makes grace periods end at once: then the tests that hold a reader must
 * fail, and a run of that is expected to.
 */
#include "contract.h"
#include "toy_broken.h"
#include "page/run.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <stele/debug.h>
#include <stele/rcu.h>
#include <stele/stats.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define SIZE 160u
#define MANY 3000

static struct kmem_cache *cache;
static unsigned char *object[MANY];

static int choose_readers(void **state)
{
	(void)state;
	return stele_rcu_set_flavor(&toy_flavor);
}

static int begin_typesafe(void **state)
{
	(void)state;
	cache = kmem_cache_create("typesafe", SIZE, NULL, SLAB_TYPESAFE_BY_RCU);
	return cache ? 0 : -1;
}

static int end_typesafe(void **state)
{
	(void)state;
	kmem_cache_destroy(cache);
	return 0;
}

static void take_and_sign(void)
{
	for (int i = 0; i < MANY; i++) {
		object[i] = kmem_cache_alloc(cache, GFP_KERNEL);
		assert_non_null(object[i]);
		sign(object[i], SIZE, (size_t)i);
	}
}

static void give_objects(void)
{
	for (int i = 0; i < MANY; i++)
		kmem_cache_free(cache, object[i]);
}

/* Whether @p is an object of the cache, free or not. */
static bool of_cache(const void *p)
{
	const struct run *run = stele_run_of(p);

	return run && run->kind == RUN_SLAB && run->cache == cache && run_has_object_at(run, p);
}

/* Long enough for a grace period that does not wait to be over. */
static void look_for_long(void)
{
	toy_wait_if_broken();
	nap_ms(100);
}

static void both_names_are_one_flag(void **state)
{
	(void)state;
	assert_int_equal(SLAB_DESTROY_BY_RCU, SLAB_TYPESAFE_BY_RCU);
}

/* Contract 35: nothing is written between free and allocation, and nothing goes away. */
static void a_freed_object_keeps_its_contents_while_a_reader_looks(void **state)
{
	(void)state;
	take_and_sign();
	toy_read_lock();
	give_objects();
	kmem_cache_shrink(cache);
	stele_trim(0);
	look_for_long();
	for (int i = 0; i < MANY; i++) {
		assert_true(of_cache(object[i]));
		assert_true(signed_by(object[i], SIZE, (size_t)i));
	}
	toy_read_unlock();
	kvfree_rcu_barrier();
	assert_int_equal(load_relaxed(&cache->slabs), 0);
	for (int i = 0; i < MANY; i++)
		assert_false(of_cache(object[i]));
}

static void other_caches_do_not_get_the_memory_while_a_reader_looks(void **state)
{
	void *others[500];

	(void)state;
	take_and_sign();
	toy_read_lock();
	give_objects();
	kmem_cache_shrink(cache);
	for (int i = 0; i < 500; i++) {
		others[i] = kmalloc(SIZE, GFP_KERNEL);
		memset(others[i], 0xee, SIZE);
		assert_false(of_cache(others[i]));
	}
	for (int i = 0; i < MANY; i++)
		assert_true(signed_by(object[i], SIZE, (size_t)i));
	toy_read_unlock();
	for (int i = 0; i < 500; i++)
		kfree(others[i]);
	kvfree_rcu_barrier();
}

/* 3.1, 2: without waiting for anybody. */
static void an_object_is_reusable_at_once(void **state)
{
	uint64_t periods = toy_periods;
	void *p, *again;

	(void)state;
	toy_read_lock();
	p = kmem_cache_alloc(cache, 0);
	kmem_cache_free(cache, p);
	again = kmem_cache_alloc(cache, 0);
	assert_ptr_equal(p, again);
	assert_int_equal(toy_periods, periods);
	kmem_cache_free(cache, again);
	toy_read_unlock();
}

/* nr_slabs is 0 for shrink although the memory is still there; destroy waits for it. */
static void shrink_does_not_wait_and_says_that_no_slab_is_left(void **state)
{
	(void)state;
	take_and_sign();
	toy_read_lock();
	give_objects();
	assert_int_equal(kmem_cache_shrink(cache), 0);
	assert_true(load_relaxed(&cache->slabs) > 0);
	toy_read_unlock();
	kvfree_rcu_barrier();
	assert_int_equal(load_relaxed(&cache->slabs), 0);
}

static atomic_bool retiring, go_on;

static void hold_in_destructor(void *p)
{
	(void)p;
	retiring = true;
	while (!go_on)
		sched_yield();
}

/* Its readers have left, and the thread that ends it is at it. */
static void a_slab_that_is_being_ended_is_not_left(void **state)
{
	struct kmem_cache_args args = { .dtor = hold_in_destructor };
	struct kmem_cache *s = kmem_cache_create("held", SIZE, &args, SLAB_TYPESAFE_BY_RCU);

	(void)state;
	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	assert_int_equal(kmem_cache_shrink(s), 0);
	while (!retiring)
		sched_yield();
	assert_int_equal(kmem_cache_shrink(s), 0);
	assert_true(load_relaxed(&s->slabs) > 0);
	go_on = true;
	kmem_cache_destroy(s);
}

static void explicit_zeroing_zeroes(void **state)
{
	unsigned char *p = kmem_cache_alloc(cache, 0);

	(void)state;
	memset(p, 0xff, SIZE);
	kmem_cache_free(cache, p);
	p = kmem_cache_zalloc(cache, 0);
	for (unsigned i = 0; i < SIZE; i++)
		assert_int_equal(p[i], 0);
	kmem_cache_free(cache, p);
}

/* Where no thread waits for readers, a shrink leaves an empty slab. Its objects are used again. */
static int use_around_a_shrink(struct kmem_cache *s)
{
	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	kmem_cache_shrink(s);
	kmem_cache_free(s, kmem_cache_alloc(s, GFP_KERNEL));
	return validate_slab_cache(s) == 1 && !stele_slab_errors() ? 0 : 1;
}

static void a_checked_slab_that_stays_is_checked_and_used(void **state)
{
	struct kmem_cache *s = kmem_cache_create("checked", SIZE, NULL,
						 SLAB_TYPESAFE_BY_RCU | SLAB_CONSISTENCY_CHECKS |
							 SLAB_RED_ZONE | SLAB_POISON);
	int status;
	pid_t child;

	(void)state;
	assert_non_null(s);
	child = fork();
	if (child == 0)
		_exit(use_around_a_shrink(s));
	assert_true(waitpid(child, &status, 0) == child && status == 0);
	kmem_cache_destroy(s);
}

static void a_type_stable_cache_is_never_merged(void **state)
{
	struct kmem_cache *a = kmem_cache_create("ts-a", 96, NULL, SLAB_TYPESAFE_BY_RCU);
	struct kmem_cache *b = kmem_cache_create("ts-b", 96, NULL, SLAB_TYPESAFE_BY_RCU);
	struct kmem_cache *c = kmem_cache_create("plain-c", 96, NULL, 0);

	(void)state;
	assert_true(a && b && c);
	assert_true(a != b && a != c && b != c);
	kmem_cache_destroy(a);
	kmem_cache_destroy(b);
	kmem_cache_destroy(c);
}

static void a_free_pointer_offset_is_accepted_inside_the_object(void **state)
{
	struct kmem_cache_args args = { .use_freeptr_offset = true, .freeptr_offset = 8 };
	struct kmem_cache *s = kmem_cache_create("ts-off", 64, &args, SLAB_TYPESAFE_BY_RCU);
	struct stderr_text t;
	unsigned char *p;

	(void)state;
	assert_non_null(s);
	p = kmem_cache_alloc(s, 0);
	memset(p, 0x77, 64);
	kmem_cache_free(s, p);
	for (int i = 0; i < 64; i++)
		assert_int_equal(p[i], 0x77);
	kmem_cache_destroy(s);
	args.freeptr_offset = 64;
	STDERR_OF(&t, s = kmem_cache_create("ts-off", 64, &args, SLAB_TYPESAFE_BY_RCU));
	assert_null(s);
	assert_says(&t, "error -22");
	args.freeptr_offset = 4;
	STDERR_OF(&t, s = kmem_cache_create("ts-off", 64, &args, SLAB_TYPESAFE_BY_RCU));
	assert_null(s);
}

static _Atomic unsigned made, unmade;

static void count_made(void *p)
{
	*(unsigned *)p = 0xc0ffee;
	made++;
}

static void count_unmade(void *p)
{
	assert_int_equal(*(unsigned *)p, 0xc0ffee);
	unmade++;
}

/* Contract 22 with readers: constructed once per slab, and taken apart when nobody looks any
 * more. */
static void constructors_run_once_and_destructors_after_readers(void **state)
{
	struct kmem_cache_args args = { .ctor = count_made, .dtor = count_unmade };
	struct kmem_cache *s = kmem_cache_create("ts-ctor", 96, &args, SLAB_TYPESAFE_BY_RCU);
	unsigned slabs;

	(void)state;
	made = unmade = 0;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 500; i++)
			object[i] = kmem_cache_alloc(s, 0);
		for (int i = 0; i < 500; i++)
			kmem_cache_free(s, object[i]);
	}
	slabs = (unsigned)load_relaxed(&s->slabs);
	assert_int_equal(made, slabs * s->objects);
	toy_read_lock();
	kmem_cache_shrink(s);
	assert_int_equal(unmade, 0);
	toy_read_unlock();
	kvfree_rcu_barrier();
	assert_int_equal(unmade, made);
	kmem_cache_destroy(s);
}

/* ---- destroy ---- */

static _Atomic int reader_state; /* 1 inside, 2 is to leave */

static void *read_for_a_while(void *arg)
{
	unsigned char *p = arg;

	toy_read_lock();
	reader_state = 1;
	nap_ms(50);
	for (unsigned i = 0; i < SIZE; i++)
		if (p[i] != token(7, i))
			abort();
	reader_state = 2;
	toy_read_unlock();
	return NULL;
}

static void destroy_waits_for_readers(void **state)
{
	struct kmem_cache *s = kmem_cache_create("ts-end", SIZE, NULL, SLAB_TYPESAFE_BY_RCU);
	unsigned char *p = kmem_cache_alloc(s, 0);
	struct stderr_text t;
	pthread_t thread;

	(void)state;
	sign(p, SIZE, 7);
	reader_state = 0;
	assert_int_equal(pthread_create(&thread, NULL, read_for_a_while, p), 0);
	while (reader_state == 0)
		sched_yield();
	kmem_cache_free(s, p);
	STDERR_OF(&t, kmem_cache_destroy(s));
	assert_silent(&t);
	assert_int_equal(reader_state, 2);
	pthread_join(thread, NULL);
}

static void destroy_with_a_live_object_keeps_the_cache(void **state)
{
	struct kmem_cache *s = kmem_cache_create("ts-live", SIZE, NULL, SLAB_TYPESAFE_BY_RCU);
	unsigned char *p = kmem_cache_alloc(s, 0);
	struct stderr_text t;

	(void)state;
	memset(p, 1, SIZE);
	STDERR_OF(&t, kmem_cache_destroy(s));
	assert_says(&t, "kmem_cache_destroy ts-live: Slab cache still has objects when called");
	assert_int_equal(p[SIZE - 1], 1);
	kmem_cache_free(s, p);
}

/* Contract 36: inc-not-zero, then the key again. Readers must never end with another's key. */
struct keyed {
	_Atomic unsigned references;
	_Atomic unsigned key;
	_Atomic uint64_t twice; /* key * 2, written before the count */
};

static struct kmem_cache *keyed_cache;
static _Atomic(struct keyed *) published;
static _Atomic bool stop;
static _Atomic unsigned mismatches, hits;

static bool get_unless_zero(struct keyed *k)
{
	unsigned seen = atomic_load_explicit(&k->references, memory_order_relaxed);

	while (seen)
		if (atomic_compare_exchange_weak_explicit(&k->references, &seen, seen + 1,
							  memory_order_acquire,
							  memory_order_relaxed))
			return true;
	return false;
}

static void put_reference(struct keyed *k)
{
	if (atomic_fetch_sub_explicit(&k->references, 1, memory_order_acq_rel) == 1)
		kmem_cache_free(keyed_cache, k);
}

static void *look_up(void *arg)
{
	(void)arg;
	while (!stop) {
		struct keyed *k;
		unsigned key;

		toy_read_lock();
		k = atomic_load_explicit(&published, memory_order_acquire);
		key = k ? atomic_load_explicit(&k->key, memory_order_relaxed) : 0;
		if (k && get_unless_zero(k)) {
			if (atomic_load_explicit(&k->key, memory_order_relaxed) == key) {
				hits++;
				mismatches +=
					atomic_load_explicit(&k->twice, memory_order_relaxed) !=
					2ull * key;
			}
			put_reference(k);
		}
		toy_read_unlock();
	}
	return NULL;
}

static void *replace(void *arg)
{
	unsigned key = 1;

	(void)arg;
	while (!stop || key < 1000) {
		struct keyed *k = kmem_cache_alloc(keyed_cache, 0), *old;

		/* The allocator changed nothing: nobody's count is above 0. */
		mismatches += atomic_load(&k->references) != 0;
		atomic_store_explicit(&k->key, ++key, memory_order_relaxed);
		atomic_store_explicit(&k->twice, 2ull * key, memory_order_relaxed);
		atomic_store_explicit(&k->references, 1, memory_order_release);
		old = atomic_exchange(&published, k);
		if (old)
			put_reference(old);
		if (key % 256 == 0)
			kmem_cache_shrink(keyed_cache);
	}
	return NULL;
}

static void no_count(void *p)
{
	memset(p, 0, sizeof(struct keyed));
}

static void a_reference_is_to_the_key_that_was_looked_up(void **state)
{
	struct kmem_cache_args args = { .ctor = no_count };
	pthread_t reader[2], writer;

	(void)state;
	keyed_cache = kmem_cache_create("keyed", sizeof(struct keyed), &args, SLAB_TYPESAFE_BY_RCU);
	for (int i = 0; i < 2; i++)
		pthread_create(&reader[i], NULL, look_up, NULL);
	pthread_create(&writer, NULL, replace, NULL);
	nap_ms(300);
	stop = true;
	pthread_join(writer, NULL);
	for (int i = 0; i < 2; i++)
		pthread_join(reader[i], NULL);
	assert_int_equal(mismatches, 0);
	put_reference(published);
	kmem_cache_destroy(keyed_cache);
}

int main(int argc, char **argv)
{
	static const struct CMUnitTest held[] = {
		cmocka_unit_test_setup_teardown(
			a_freed_object_keeps_its_contents_while_a_reader_looks, begin_typesafe,
			end_typesafe),
	};
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(both_names_are_one_flag),
		cmocka_unit_test_setup_teardown(
			a_freed_object_keeps_its_contents_while_a_reader_looks, begin_typesafe,
			end_typesafe),
		cmocka_unit_test_setup_teardown(
			other_caches_do_not_get_the_memory_while_a_reader_looks, begin_typesafe,
			end_typesafe),
		cmocka_unit_test_setup_teardown(an_object_is_reusable_at_once, begin_typesafe,
						end_typesafe),
		cmocka_unit_test_setup_teardown(shrink_does_not_wait_and_says_that_no_slab_is_left,
						begin_typesafe, end_typesafe),
		cmocka_unit_test(a_slab_that_is_being_ended_is_not_left),
		cmocka_unit_test_setup_teardown(explicit_zeroing_zeroes, begin_typesafe,
						end_typesafe),
		cmocka_unit_test(a_checked_slab_that_stays_is_checked_and_used),
		cmocka_unit_test(a_type_stable_cache_is_never_merged),
		cmocka_unit_test(a_free_pointer_offset_is_accepted_inside_the_object),
		cmocka_unit_test(constructors_run_once_and_destructors_after_readers),
		cmocka_unit_test(destroy_waits_for_readers),
		cmocka_unit_test(destroy_with_a_live_object_keeps_the_cache),
		cmocka_unit_test(a_reference_is_to_the_key_that_was_looked_up),
	};

	if (argc > 1 && !strcmp(argv[1], "broken")) {
		toy_broken = true;
		return cmocka_run_group_tests(held, choose_readers, NULL);
	}
	return cmocka_run_group_tests(tests, choose_readers, NULL);
}
