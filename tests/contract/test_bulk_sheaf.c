/* SPDX-License-Identifier: MIT */
/*
 * Objects in bulk, and objects set aside. Each test is named by what its user would lose.
 */
#include "contract.h"

#include <errno.h>
#include <stele/stats.h>

#define MOST 1000

static void *objects[MOST];

static struct kmem_cache *bulk_cache(size_t size)
{
	struct kmem_cache *s = kmem_cache_create("bulk", size, 0, SLAB_NO_MERGE, NULL);

	assert_non_null(s);
	return s;
}

static void assert_all_own(size_t n, size_t size)
{
	for (size_t i = 0; i < n; i++) {
		assert_non_null(objects[i]);
		sign(objects[i], size, i);
	}
	for (size_t i = 0; i < n; i++)
		assert_true(signed_by(objects[i], size, i));
}

static void a_bulk_is_that_many_objects(void **state)
{
	static const size_t counts[] = { 1, 2, 31, 32, 33, 63, 64, 65, 500, MOST };
	struct kmem_cache *s = bulk_cache(56);

	(void)state;
	for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
		memset(objects, 0x77, sizeof(objects));
		assert_true(kmem_cache_alloc_bulk(s, GFP_KERNEL, counts[k], objects));
		assert_all_own(counts[k], 56);
		kmem_cache_free_bulk(s, counts[k], objects);
	}
	destroy_empty(s);
}

static void a_cleared_bulk_is_clear(void **state)
{
	struct kmem_cache *s = bulk_cache(56);

	(void)state;
	assert_true(kmem_cache_alloc_bulk(s, GFP_KERNEL, 100, objects));
	assert_all_own(100, 56);
	kmem_cache_free_bulk(s, 100, objects);
	assert_true(kmem_cache_alloc_bulk(s, GFP_KERNEL | __GFP_ZERO, 100, objects));
	for (size_t i = 0; i < 100; i++)
		assert_true(all_zero(objects[i], 0, 56));
	kmem_cache_free_bulk(s, 100, objects);
	destroy_empty(s);
}

static void a_bulk_of_no_objects_is_false(void **state)
{
	struct kmem_cache *s = bulk_cache(56);

	(void)state;
	assert_false(kmem_cache_alloc_bulk(s, GFP_KERNEL, 0, objects));
	kmem_cache_free_bulk(s, 0, objects);
	kmem_cache_free_bulk(NULL, 0, objects);
	kfree_bulk(0, objects);
	destroy_empty(s);
}

/* Contract 26: a bulk that cannot be had whole takes nothing. */
static void a_bulk_that_fails_keeps_nothing(void **state)
{
	(void)state;
	for (int nth = 1; nth <= 12; nth++) {
		struct kmem_cache *s = bulk_cache(1000);
		struct stderr_text t;
		bool had;

		stele_inject_page_fail = nth;
		STDERR_OF(&t, had = kmem_cache_alloc_bulk(s, GFP_NOWAIT, MOST, objects));
		memory_back();
		if (had)
			kmem_cache_free_bulk(s, MOST, objects);
		else
			assert_true(kmem_cache_alloc_bulk(s, GFP_KERNEL, 5, objects));
		if (!had)
			kmem_cache_free_bulk(s, 5, objects);
		destroy_empty(s);
	}
}

static void a_bulk_without_memory_is_false(void **state)
{
	struct kmem_cache *s = bulk_cache(1000);
	struct stderr_text t;

	(void)state;
	memory_gone();
	STDERR_OF(&t, assert_false(kmem_cache_alloc_bulk(s, GFP_NOWAIT, MOST, objects)));
	memory_back();
	destroy_empty(s);
}

static void a_mixed_bulk_goes_back_to_its_owners(void **state)
{
	struct kmem_cache *a = bulk_cache(56);
	struct kmem_cache *b = kmem_cache_create("bulk-b", 120, 0, SLAB_NO_MERGE, NULL);

	(void)state;
	for (size_t i = 0; i < 600; i++)
		objects[i] = i % 4 == 0	  ? kmem_cache_alloc(a, GFP_KERNEL)
			     : i % 4 == 1 ? kmem_cache_alloc(b, GFP_KERNEL)
			     : i % 4 == 2 ? kmalloc(i, GFP_KERNEL)
					  : kmalloc(40000 + i, GFP_KERNEL);
	kmem_cache_free_bulk(NULL, 300, objects);
	kfree_bulk(300, objects + 300);
	destroy_empty(a);
	destroy_empty(b);
}

/* ---- sheaves ---- */

static void drain_sheaf(struct kmem_cache *s, struct slab_sheaf *sheaf, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		unsigned int before = kmem_cache_sheaf_size(sheaf);

		objects[i] = kmem_cache_alloc_from_sheaf(s, GFP_NOWAIT, sheaf);
		assert_non_null(objects[i]);
		assert_int_equal(kmem_cache_sheaf_size(sheaf), before - 1);
	}
	assert_all_own(n, kmem_cache_size(s));
}

/* Contract 27. */
static void set_aside_objects_are_there_when_memory_is_not(void **state)
{
	static const unsigned int counts[] = { 1, 5, 28, 60, 61, 200, 700 };

	(void)state;
	for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
		struct kmem_cache *s = bulk_cache(200);
		struct slab_sheaf *sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, counts[k]);

		assert_non_null(sheaf);
		assert_true(kmem_cache_sheaf_size(sheaf) >= counts[k]);
		memory_gone();
		drain_sheaf(s, sheaf, counts[k]);
		memory_back();
		kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
		kmem_cache_free_bulk(s, counts[k], objects);
		destroy_empty(s);
	}
}

/* Contract 27: no fallback to the cache, which has memory here. */
static void an_empty_sheaf_gives_nothing(void **state)
{
	struct kmem_cache *s = bulk_cache(200);
	struct slab_sheaf *sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 3);
	unsigned int n = kmem_cache_sheaf_size(sheaf);

	(void)state;
	drain_sheaf(s, sheaf, n);
	assert_int_equal(kmem_cache_sheaf_size(sheaf), 0);
	assert_null(kmem_cache_alloc_from_sheaf(s, GFP_KERNEL, sheaf));
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	kmem_cache_free_bulk(s, n, objects);
	destroy_empty(s);
}

/* Those in the hands of a call that never ends are tests/signals/storms/leave.c's. */
static void all_sheaves_are_at_rest_between_calls(void **state)
{
	struct kmem_cache *s = bulk_cache(200);
	struct stele_stats before, now;

	(void)state;
	stele_stats_read(&before);
	assert_true(kmem_cache_alloc_bulk(s, GFP_KERNEL, MOST, objects));
	for (int i = 0; i < MOST; i++)
		kmem_cache_free(s, objects[i]);
	stele_stats_read(&now);
	assert_true(now.sheaves > before.sheaves);
	assert_int_equal(now.sheaves_out, before.sheaves_out);
	destroy_empty(s);
	stele_stats_read(&now);
	assert_int_equal(now.sheaves_out, before.sheaves_out);
}

static void a_sheaf_of_no_objects_is_null(void **state)
{
	struct kmem_cache *s = bulk_cache(200);

	(void)state;
	assert_null(kmem_cache_prefill_sheaf(s, GFP_KERNEL, 0));
	destroy_empty(s);
}

static void a_cleared_object_of_a_sheaf_is_clear(void **state)
{
	struct kmem_cache *s = bulk_cache(200);
	struct slab_sheaf *sheaf;

	(void)state;
	assert_true(kmem_cache_alloc_bulk(s, GFP_KERNEL, 40, objects));
	assert_all_own(40, 200);
	kmem_cache_free_bulk(s, 40, objects);
	sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 40);
	assert_non_null(sheaf);
	for (int i = 0; i < 40; i++) {
		objects[i] = kmem_cache_alloc_from_sheaf(s, GFP_KERNEL | __GFP_ZERO, sheaf);
		assert_true(all_zero(objects[i], 0, 200));
	}
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	kmem_cache_free_bulk(s, 40, objects);
	destroy_empty(s);
}

static void a_sheaf_returned_full_loses_nothing(void **state)
{
	struct kmem_cache *s = bulk_cache(200);

	(void)state;
	for (unsigned int n = 1; n < 300; n += 23) {
		struct slab_sheaf *sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, n);

		assert_non_null(sheaf);
		kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	}
	destroy_empty(s);
}

static void a_refilled_sheaf_keeps_its_promise(void **state)
{
	static const unsigned int counts[] = { 4, 20, 100, 10 };
	struct kmem_cache *s = bulk_cache(200);
	struct slab_sheaf *sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 8);

	(void)state;
	assert_non_null(sheaf);
	for (size_t k = 0; k < sizeof(counts) / sizeof(counts[0]); k++) {
		assert_int_equal(kmem_cache_refill_sheaf(s, GFP_KERNEL, &sheaf, counts[k]), 0);
		assert_true(kmem_cache_sheaf_size(sheaf) >= counts[k]);
		memory_gone();
		drain_sheaf(s, sheaf, counts[k]);
		memory_back();
		kmem_cache_free_bulk(s, counts[k], objects);
	}
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	destroy_empty(s);
}

static void a_refill_of_nothing_is_refused(void **state)
{
	struct kmem_cache *s = bulk_cache(200);
	struct slab_sheaf *none = NULL;

	(void)state;
	assert_int_equal(kmem_cache_refill_sheaf(s, GFP_KERNEL, NULL, 4), -EINVAL);
	assert_int_equal(kmem_cache_refill_sheaf(s, GFP_KERNEL, &none, 4), -EINVAL);
	destroy_empty(s);
}

/* The sheaf stays the caller's, with at least what it had. */
static void a_refill_without_memory_keeps_the_sheaf(void **state)
{
	struct kmem_cache *s = bulk_cache(2000);
	struct slab_sheaf *sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 2);
	unsigned int had = kmem_cache_sheaf_size(sheaf);
	struct stderr_text t;
	int error;

	(void)state;
	memory_gone();
	STDERR_OF(&t, error = kmem_cache_refill_sheaf(s, GFP_NOWAIT, &sheaf, 900));
	memory_back();
	assert_int_equal(error, -ENOMEM);
	assert_non_null(sheaf);
	assert_true(kmem_cache_sheaf_size(sheaf) >= had);
	drain_sheaf(s, sheaf, had);
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	kmem_cache_free_bulk(s, had, objects);
	destroy_empty(s);
}

/* Every request for pages on the way fails once: a sheaf or NULL, and nothing lost. */
static void a_fill_that_fails_keeps_nothing(void **state)
{
	(void)state;
	for (int nth = 1; nth <= 12; nth++) {
		struct kmem_cache *s = bulk_cache(1000);
		struct slab_sheaf *sheaf;
		struct stderr_text t;

		stele_inject_page_fail = nth;
		STDERR_OF(&t, sheaf = kmem_cache_prefill_sheaf(s, GFP_NOWAIT, 300));
		memory_back();
		if (sheaf)
			kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
		destroy_empty(s);
	}
}

static void sheaf_capacity_is_at_least_what_was_asked(void **state)
{
	struct kmem_cache_args args = { .sheaf_capacity = 100 };
	struct kmem_cache *s = kmem_cache_create("capacity", 64, &args, 0);
	struct slab_sheaf *sheaf;

	(void)state;
	assert_non_null(s);
	sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 100);
	assert_non_null(sheaf);
	memory_gone();
	drain_sheaf(s, sheaf, 100);
	memory_back();
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	kmem_cache_free_bulk(s, 100, objects);
	destroy_empty(s);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_bulk_is_that_many_objects),
		cmocka_unit_test(a_cleared_bulk_is_clear),
		cmocka_unit_test(a_bulk_of_no_objects_is_false),
		cmocka_unit_test(a_bulk_that_fails_keeps_nothing),
		cmocka_unit_test(a_bulk_without_memory_is_false),
		cmocka_unit_test(a_mixed_bulk_goes_back_to_its_owners),
		cmocka_unit_test(set_aside_objects_are_there_when_memory_is_not),
		cmocka_unit_test(an_empty_sheaf_gives_nothing),
		cmocka_unit_test(all_sheaves_are_at_rest_between_calls),
		cmocka_unit_test(a_sheaf_of_no_objects_is_null),
		cmocka_unit_test(a_cleared_object_of_a_sheaf_is_clear),
		cmocka_unit_test(a_sheaf_returned_full_loses_nothing),
		cmocka_unit_test(a_refilled_sheaf_keeps_its_promise),
		cmocka_unit_test(a_refill_of_nothing_is_refused),
		cmocka_unit_test(a_refill_without_memory_keeps_the_sheaf),
		cmocka_unit_test(a_fill_that_fails_keeps_nothing),
		cmocka_unit_test(sheaf_capacity_is_at_least_what_was_asked),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
