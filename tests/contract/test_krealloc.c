/* SPDX-License-Identifier: MIT */
/*
 * krealloc in all its forms. Each test is named by what its user would lose.
 */
#include "contract.h"

static void nothing_becomes_something_and_back(void **state)
{
	void *p = krealloc(NULL, 100, GFP_KERNEL);

	(void)state;
	assert_true(ksize(p) >= 100);
	kfree(p);
	p = krealloc(ZERO_SIZE_PTR, 100, GFP_KERNEL | __GFP_ZERO);
	assert_true(all_zero(p, 0, 100));
	assert_ptr_equal(krealloc(p, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_ptr_equal(krealloc(NULL, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_ptr_equal(krealloc(ZERO_SIZE_PTR, 0, GFP_KERNEL), ZERO_SIZE_PTR);
}

/* A cache of one's own can tell whether anything is still taken. */
static void the_old_memory_is_freed(void **state)
{
	struct kmem_cache *s = kmem_cache_create("realloc", 200, 0, SLAB_NO_MERGE, NULL);
	void *grown[10];

	(void)state;
	for (int i = 0; i < 10; i++) {
		void *p = kmem_cache_alloc(s, GFP_KERNEL);

		grown[i] = krealloc(p, 1000, GFP_KERNEL);
		assert_ptr_equal(krealloc(kmem_cache_alloc(s, GFP_KERNEL), 0, GFP_KERNEL),
				 ZERO_SIZE_PTR);
		assert_ptr_equal(kvrealloc(kmem_cache_alloc(s, GFP_KERNEL), 0, GFP_KERNEL),
				 ZERO_SIZE_PTR);
	}
	destroy_empty(s);
	kfree_bulk(10, grown);
}

static void *resize(void *p, size_t size)
{
	return krealloc(p, size, GFP_KERNEL);
}

static void *resize_zeroing(void *p, size_t size)
{
	return krealloc(p, size, GFP_KERNEL | __GFP_ZERO);
}

static void contents_survive_every_change(void **state)
{
	static const size_t sizes[] = { 1,     100,	90,    3000,   40,	32768,
					32769, 50000,	40000, 300000, 2000000, 4000000,
					3000,  4194304, 8,     70000,  1 };

	(void)state;
	kfree(through_sizes(kmalloc(1, GFP_KERNEL), 1, resize, sizes, STELE_ARRAY_SIZE(sizes),
			    false));
}

static void an_object_that_still_fits_stays(void **state)
{
	(void)state;
	for (size_t n = 1; n < 40000; n += 1 + n / 5) {
		char *p = kmalloc(opaque(n), GFP_KERNEL);
		size_t real = ksize(p);

		assert_ptr_equal(krealloc(p, opaque(real), GFP_KERNEL), p);
		assert_ptr_equal(krealloc(p, opaque(1), GFP_KERNEL), p);
		kfree(p);
	}
}

static void a_larger_bucket_is_another_place(void **state)
{
	char *p = kmalloc(64, GFP_KERNEL);
	char *q = krealloc(p, 65, GFP_KERNEL);

	(void)state;
	assert_int_equal(ksize(q), kmalloc_size_roundup(65));
	kfree(q);
}

/* Contract 19. */
static void growing_zeroes_are_zeroes(void **state)
{
	static const size_t steps[] = { 48,	 40,	 56,	  112,	33,	120,   130,
					20,	 1500,	 700,	  5000, 40000,	35000, 90000,
					1100000, 900000, 1500000, 10,	2500000 };

	(void)state;
	kfree(through_sizes(kzalloc(32, GFP_KERNEL), 32, resize_zeroing, steps,
			    STELE_ARRAY_SIZE(steps), true));
}

/* Dirt of others must not show, whether the run grew where it was or its pages moved. */
static void a_large_run_grows_into_zeroes(void **state)
{
	gfp_t gfp = GFP_KERNEL | __GFP_ZERO;

	(void)state;
	for (size_t n = 36864; n < 2000000; n += n / 2) {
		char *dirt[4], *p, *q;

		for (int i = 0; i < 4; i++) {
			dirt[i] = kmalloc(n, GFP_KERNEL);
			memset(dirt[i], 0xfe, n);
		}
		p = kzalloc(n, GFP_KERNEL);
		for (int i = 0; i < 4; i++)
			kfree(dirt[i]);
		sign(p, n, 4);
		q = krealloc(p, opaque(n * 2), gfp);
		assert_true(signed_by(q, n, 4));
		assert_true(all_zero(q, n, ksize(q)));
		kfree(q);
	}
}

/* Each growth by a step clears what it gains, also within the room that an earlier one left. */
static void zeroes_come_with_every_small_step(void **state)
{
	gfp_t gfp = GFP_KERNEL | __GFP_ZERO;
	char *block[2] = { NULL };

	(void)state;
	for (size_t n = 4096; n <= 400000; n += 4096)
		for (int i = 0; i < 2; i++) {
			block[i] = krealloc(block[i], opaque(n), gfp);
			assert_non_null(block[i]);
			assert_true(all_zero(block[i], n - 4096, ksize(block[i])));
			memset(block[i] + n - 4096, 0xfe, 4096);
		}
	kfree(block[0]);
	kfree(block[1]);
}

/* Two blocks that grow in turn are in each other's way. */
static void growing_by_steps_moves_seldom(void **state)
{
	char *block[2] = { NULL };
	unsigned moves = 0;

	(void)state;
	for (size_t n = 40960; n <= 1900000; n += 4096)
		for (int i = 0; i < 2; i++) {
			char *p = krealloc(block[i], opaque(n), GFP_KERNEL);

			assert_non_null(p);
			moves += p != block[i];
			block[i] = p;
		}
	assert_in_range(moves, 2, 2 * 6 * 8);
	kfree(block[0]);
	kfree(block[1]);
}

static void failure_keeps_the_old_memory(void **state)
{
	static const size_t sizes[] = { 64, 3000, 40000, 1500000 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = opaque(sizes[i]);
		char *p = kmalloc(n, GFP_KERNEL), *q, *others[64];

		sign(p, n, 5);
		/* Neighbours, so that there is no room to grow in place. */
		for (int k = 0; k < 64; k++)
			others[k] = kmalloc(n, GFP_KERNEL);
		memory_gone();
		q = krealloc(p, opaque(4000000), GFP_KERNEL | __GFP_NOWARN);
		memory_back();
		assert_null(q);
		assert_true(signed_by(p, n, 5));
		assert_null(krealloc(p, opaque(KMALLOC_MAX_SIZE + 1), GFP_KERNEL | __GFP_NOWARN));
		assert_true(signed_by(p, n, 5));
		for (int k = 0; k < 64; k++)
			kfree(others[k]);
		kfree(p);
	}
}

static void an_array_grows_or_stays(void **state)
{
	long *p = kmalloc_array(10, sizeof(long), GFP_KERNEL), *q;

	(void)state;
	sign(p, 80, 6);
	assert_null(krealloc_array(p, opaque(SIZE_MAX / 4), sizeof(long), GFP_KERNEL));
	assert_true(signed_by(p, 80, 6));
	q = krealloc_array(p, 100, sizeof(long), GFP_KERNEL);
	assert_true(signed_by(q, 80, 6));
	assert_true(ksize(q) >= 100 * sizeof(long));
	assert_ptr_equal(krealloc_array(q, 0, sizeof(long), GFP_KERNEL), ZERO_SIZE_PTR);
}

static void alignment_is_kept_by_moving(void **state)
{
	(void)state;
	for (size_t align = 1; align <= 1 << 21; align *= 2) {
		for (size_t n = 1; n < 200000; n = n * 3 + 5) {
			char *p = kmalloc(24, GFP_KERNEL), *q;

			sign(p, 24, 8);
			q = krealloc_node_align(p, opaque(n), align, GFP_KERNEL, NUMA_NO_NODE);
			assert_non_null(q);
			assert_int_equal((uintptr_t)q % align, 0);
			assert_true(ksize(q) >= n);
			assert_true(signed_by(q, n < 24 ? n : 24, 8));
			kfree(q);
		}
	}
}

static void an_odd_alignment_is_refused(void **state)
{
	char *p = kmalloc(24, GFP_KERNEL);
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, assert_null(krealloc_node_align(p, 100, 48, GFP_KERNEL, NUMA_NO_NODE)));
	assert_says(&t, "48");
	assert_int_equal(ksize(p), 24);
	kfree(p);
}

static void a_node_may_be_named(void **state)
{
	char *p = krealloc_node(NULL, 100, GFP_KERNEL, 0);

	(void)state;
	assert_ptr_equal(krealloc_node(p, 50, GFP_KERNEL, 0), p);
	p = krealloc_node(p, 5000, GFP_KERNEL, NUMA_NO_NODE);
	assert_true(ksize(p) >= 5000);
	kfree(p);
}

static void a_foreign_pointer_is_refused(void **state)
{
	struct stderr_text t;
	char local[64];

	(void)state;
	sign(local, 64, 1);
	STDERR_OF(&t, assert_null(krealloc(local, 200, GFP_KERNEL)));
	assert_says(&t, "krealloc");
	assert_true(signed_by(local, 64, 1));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(nothing_becomes_something_and_back),
		cmocka_unit_test(the_old_memory_is_freed),
		cmocka_unit_test(contents_survive_every_change),
		cmocka_unit_test(an_object_that_still_fits_stays),
		cmocka_unit_test(a_larger_bucket_is_another_place),
		cmocka_unit_test(growing_zeroes_are_zeroes),
		cmocka_unit_test(a_large_run_grows_into_zeroes),
		cmocka_unit_test(zeroes_come_with_every_small_step),
		cmocka_unit_test(growing_by_steps_moves_seldom),
		cmocka_unit_test(failure_keeps_the_old_memory),
		cmocka_unit_test(an_array_grows_or_stays),
		cmocka_unit_test(alignment_is_kept_by_moving),
		cmocka_unit_test(an_odd_alignment_is_refused),
		cmocka_unit_test(a_node_may_be_named),
		cmocka_unit_test(a_foreign_pointer_is_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
