/* SPDX-License-Identifier: MIT */
/*
 * Objects of a cache, one at a time. Each test is named by what its user would lose.
 */
#include "contract.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>

#define MANY 3000

static struct kmem_cache *cache_of_objects(size_t size)
{
	struct kmem_cache *s = kmem_cache_create("objects", size, 0, SLAB_NO_MERGE, NULL);

	assert_non_null(s);
	return s;
}

static void every_byte_has_one_owner(void **state)
{
	static const size_t sizes[] = { 8, 24, 56, 104, 700, 3000, 9000 };
	static void *p[MANY];

	(void)state;
	for (size_t k = 0; k < sizeof(sizes) / sizeof(sizes[0]); k++) {
		struct kmem_cache *s = cache_of_objects(sizes[k]);
		size_t n = sizes[k] > 1000 ? MANY / 10 : MANY;

		for (size_t i = 0; i < n; i++) {
			p[i] = kmem_cache_alloc(s, GFP_KERNEL);
			assert_non_null(p[i]);
			sign(p[i], kmem_cache_size(s), i);
		}
		/* Holes, filled by new owners. */
		for (size_t i = 0; i < n; i += 3) {
			kmem_cache_free(s, p[i]);
			p[i] = kmem_cache_alloc(s, GFP_ATOMIC);
			sign(p[i], kmem_cache_size(s), i);
		}
		for (size_t i = 0; i < n; i++) {
			assert_true(signed_by(p[i], kmem_cache_size(s), i));
			kmem_cache_free(s, p[i]);
		}
		destroy_empty(s);
	}
}

static void a_cleared_object_is_clear(void **state)
{
	struct kmem_cache *s = cache_of_objects(200);
	void *p[50];

	(void)state;
	for (int round = 0; round < 3; round++) {
		for (int i = 0; i < 50; i++) {
			p[i] = kmem_cache_zalloc(s, GFP_KERNEL);
			assert_true(all_zero(p[i], 0, kmem_cache_size(s)));
			memset(p[i], 0xee, kmem_cache_size(s));
		}
		for (int i = 0; i < 50; i++)
			kmem_cache_free(s, p[i]);
	}
	destroy_empty(s);
}

static void the_other_ways_to_allocate_objects_allocate(void **state)
{
	struct kmem_cache *s = cache_of_objects(72);
	void *p[] = {
		kmem_cache_alloc_lru(s, NULL, GFP_KERNEL),
		kmem_cache_alloc_node(s, GFP_KERNEL, NUMA_NO_NODE),
		kmem_cache_alloc_node(s, GFP_KERNEL | __GFP_ZERO, 0),
		kmem_cache_alloc_node(s, GFP_KERNEL | __GFP_THISNODE, 0),
		kmem_cache_alloc_nolock(s, __GFP_ZERO, NUMA_NO_NODE),
		kmem_cache_alloc_nolock(s, 0, 0),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(p) / sizeof(p[0]); i++) {
		assert_non_null(p[i]);
		assert_true(kmem_cache_charge(p[i], GFP_KERNEL));
		for (size_t j = 0; j < i; j++)
			assert_ptr_not_equal(p[i], p[j]);
	}
	assert_true(all_zero(p[2], 0, 72));
	assert_true(all_zero(p[4], 0, 72));
	for (size_t i = 0; i < sizeof(p) / sizeof(p[0]); i++)
		kmem_cache_free(s, p[i]);
	destroy_empty(s);
}

static void kfree_takes_an_object_of_any_cache(void **state)
{
	struct kmem_cache *s = cache_of_objects(72);
	void *p = kmem_cache_alloc(s, GFP_KERNEL);

	(void)state;
	kfree(p);
	destroy_empty(s);
}

static void memory_can_be_asked_for(void **state)
{
	(void)state;
	assert_true(slab_is_available());
}

static void an_object_of_another_cache_is_kept_and_reported(void **state)
{
	struct kmem_cache *mine = cache_of_objects(64);
	struct kmem_cache *other = kmem_cache_create("other", 96, 0, SLAB_NO_MERGE, NULL);
	struct stderr_text t;
	void *p = kmem_cache_alloc(other, GFP_KERNEL);
	char call[64];

	(void)state;
	sign(p, 96, 3);
	STDERR_OF(&t, kmem_cache_free(mine, p));
	snprintf(call, sizeof(call), "kmem_cache_free(%p)", p);
	assert_says(&t, call);
	assert_says(&t, "other");
	for (int i = 0; i < 200; i++) {
		void *q = kmem_cache_alloc(other, GFP_KERNEL);

		assert_ptr_not_equal(q, p);
		kmem_cache_free(other, q);
	}
	assert_true(signed_by(p, 96, 3));
	kmem_cache_free(other, p);
	destroy_empty(mine);
	destroy_empty(other);
}

static void memory_that_is_not_ours_is_reported_and_left_alone(void **state)
{
	struct kmem_cache *s = cache_of_objects(64);
	struct stderr_text t;
	long local[8] = { 0 };
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	(void)state;
	STDERR_OF(&t, kmem_cache_free(s, local));
	assert_says(&t, "kmem_cache_free");
	STDERR_OF(&t, kmem_cache_free(s, p + 8));
	assert_says(&t, "kmem_cache_free");
	kmem_cache_free(s, p);
	destroy_empty(s);
}

/* Takes objects until there are none; returns how many, linked through their first word. */
static size_t take_all_there_are(struct kmem_cache *s, void ***list)
{
	size_t n = 0;
	void **p;

	for (*list = NULL; (p = kmem_cache_alloc(s, GFP_NOWAIT)); n++) {
		*p = *list;
		*list = p;
	}
	return n;
}

static void no_memory_for_objects_is_null_and_passes(void **state)
{
	struct kmem_cache *s = cache_of_objects(128);
	void **list, *p;
	struct stderr_text t;

	(void)state;
	p = kmem_cache_alloc(s, GFP_KERNEL);
	memory_gone();
	errno = E2BIG;
	STDERR_OF(&t, take_all_there_are(s, &list));
	assert_int_equal(errno, E2BIG);
	STDERR_OF(&t, assert_null(kmem_cache_alloc(s, GFP_KERNEL)));
	STDERR_OF(&t, assert_null(kmem_cache_alloc_node(s, GFP_KERNEL, 0)));
	kmem_cache_free(s, p);
	STDERR_OF(&t, p = kmem_cache_alloc(s, GFP_KERNEL));
	assert_non_null(p);
	memory_back();
	kmem_cache_free(s, p);
	p = kmem_cache_alloc(s, GFP_KERNEL);
	assert_non_null(p);
	kmem_cache_free(s, p);
	while (list) {
		void **next = *list;

		kmem_cache_free(s, list);
		list = next;
	}
	destroy_empty(s);
}

struct relay {
	struct kmem_cache *s;
	void *p[MANY];
};

static void *free_them(void *arg)
{
	struct relay *relay = arg;

	for (size_t i = 0; i < MANY; i++)
		kmem_cache_free(relay->s, relay->p[i]);
	return NULL;
}

/* Contract 2: objects that one thread allocates and another frees can all be allocated again. */
static void objects_freed_elsewhere_come_back(void **state)
{
	struct relay *relay = malloc(sizeof(*relay));

	(void)state;
	relay->s = cache_of_objects(88);
	for (int round = 0; round < 4; round++) {
		pthread_t thread;

		for (size_t i = 0; i < MANY; i++)
			relay->p[i] = kmem_cache_alloc(relay->s, GFP_KERNEL);
		assert_int_equal(pthread_create(&thread, NULL, free_them, relay), 0);
		pthread_join(thread, NULL);
	}
	destroy_empty(relay->s);
	free(relay);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_byte_has_one_owner),
		cmocka_unit_test(a_cleared_object_is_clear),
		cmocka_unit_test(the_other_ways_to_allocate_objects_allocate),
		cmocka_unit_test(kfree_takes_an_object_of_any_cache),
		cmocka_unit_test(memory_can_be_asked_for),
		cmocka_unit_test(an_object_of_another_cache_is_kept_and_reported),
		cmocka_unit_test(memory_that_is_not_ours_is_reported_and_left_alone),
		cmocka_unit_test(no_memory_for_objects_is_null_and_passes),
		cmocka_unit_test(objects_freed_elsewhere_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
