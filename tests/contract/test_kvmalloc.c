/* SPDX-License-Identifier: MIT */
/*
 * The kvmalloc family. Each test is named by what its user would lose.
 */
#include "contract.h"

#include <limits.h>

static void small_and_large_are_one_family(void **state)
{
	(void)state;
	for (size_t n = 1; n < (64u << 20); n = n * 3 + 1) {
		char *p = kvmalloc(n, GFP_KERNEL), *q = kvzalloc(n, GFP_KERNEL);

		assert_non_null(p);
		assert_true(ksize(p) >= n);
		sign(p, n, n);
		assert_true(all_zero(q, 0, n));
		assert_true(signed_by(p, n, n));
		kvfree(p);
		kvfree_atomic(q);
	}
}

static void kvfree_takes_memory_of_kmalloc(void **state)
{
	(void)state;
	kvfree(kmalloc(100, GFP_KERNEL));
	kvfree(kmalloc(100000, GFP_KERNEL));
	kfree(kvmalloc(100, GFP_KERNEL));
	kfree(kvmalloc(10 << 20, GFP_KERNEL));
}

static void atomic_flags_get_large_memory_too(void **state)
{
	void *p = kvmalloc(10 << 20, GFP_ATOMIC), *q = kvmalloc(10 << 20, GFP_NOWAIT);

	(void)state;
	assert_non_null(p);
	assert_non_null(q);
	kvfree(p);
	kvfree(q);
}

static void size_zero_is_not_null(void **state)
{
	(void)state;
	assert_ptr_equal(kvmalloc(0, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_ptr_equal(kvzalloc(0, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_ptr_equal(kvmalloc_array(0, 5, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_ptr_equal(kvcalloc(5, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_ptr_equal(kvrealloc(NULL, 0, GFP_KERNEL), ZERO_SIZE_PTR);
}

static void beyond_an_int_is_null_and_says_so_once(void **state)
{
	size_t n = opaque((size_t)INT_MAX + 1);
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, {
		assert_null(kvmalloc(n, GFP_KERNEL | __GFP_NOWARN));
		assert_null(kvzalloc_node(opaque(SIZE_MAX), GFP_KERNEL | __GFP_NOWARN, 0));
	});
	assert_silent(&t);
	STDERR_OF(&t, assert_null(kvmalloc(n, GFP_KERNEL)));
	assert_says(&t, "2147483648");
	STDERR_OF(&t, assert_null(kvmalloc(n, GFP_KERNEL)));
	assert_silent(&t);
}

static void a_large_array_that_overflows_is_null_and_silent(void **state)
{
	size_t half = opaque(SIZE_MAX / 2 + 1);
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, {
		assert_null(kvmalloc_array(half, 2, GFP_KERNEL));
		assert_null(kvcalloc(2, half, GFP_KERNEL));
		assert_null(kvmalloc_array_node(half, 4, GFP_KERNEL, 0));
		assert_null(kvcalloc_node(half, 4, GFP_KERNEL, 0));
	});
	assert_silent(&t);
}

static void arrays_hold_their_elements(void **state)
{
	char *p = kvmalloc_array(3000, 1000, GFP_KERNEL), *q = kvcalloc(3000, 1000, GFP_KERNEL);

	(void)state;
	sign(p, 3000000, 1);
	assert_true(all_zero(q, 0, 3000000));
	assert_true(signed_by(p, 3000000, 1));
	kvfree(p);
	kvfree(q);
}

static void a_block_has_the_alignment_asked_for(void **state)
{
	(void)state;
	for (size_t align = 1; align <= 1 << 21; align *= 2) {
		for (size_t n = 1; n < 3000000; n = n * 7 + 3) {
			char *p = kvmalloc_node_align(n, align, GFP_KERNEL, NUMA_NO_NODE);

			assert_non_null(p);
			assert_int_equal((uintptr_t)p % align, 0);
			assert_true(ksize(p) >= n);
			memset(p, 0x11, n);
			kvfree(p);
		}
	}
}

static void *resize_block(void *p, size_t size)
{
	return kvrealloc(p, size, GFP_KERNEL);
}

static void *resize_block_zeroing(void *p, size_t size)
{
	return kvrealloc_node(p, size, GFP_KERNEL | __GFP_ZERO, NUMA_NO_NODE);
}

static void contents_survive_every_change_of_a_block(void **state)
{
	static const size_t sizes[] = { 10,	 10 << 20, 20 << 20, 5000,  100,    3 << 20,
					1 << 20, 40 << 20, 4097,     70000, 8 << 20 };
	void *p = through_sizes(kvmalloc(8, GFP_KERNEL), 8, resize_block, sizes,
				STELE_ARRAY_SIZE(sizes), false);

	(void)state;
	assert_ptr_equal(kvrealloc(p, 0, GFP_KERNEL), ZERO_SIZE_PTR);
}

static void growing_zeroes_of_a_block_are_zeroes(void **state)
{
	static const size_t sizes[] = { 100,	 5000,	  3 << 20, 1 << 20, 2 << 20,
					9 << 20, 6 << 20, 7 << 20, 30 << 20 };

	(void)state;
	kvfree(through_sizes(kvzalloc(50, GFP_KERNEL), 50, resize_block_zeroing, sizes,
			     STELE_ARRAY_SIZE(sizes), true));
}

static void failure_keeps_the_old_block(void **state)
{
	char *p = kvmalloc(9 << 20, GFP_KERNEL), *q;

	(void)state;
	sign(p, 9 << 20, 3);
	memory_gone();
	q = kvrealloc(p, opaque(900u << 20), GFP_KERNEL);
	memory_back();
	assert_null(q);
	assert_null(kvrealloc(p, opaque((size_t)INT_MAX + 1), GFP_KERNEL | __GFP_NOWARN));
	assert_true(signed_by(p, 9 << 20, 3));
	kvfree(p);
}

static void realloc_keeps_an_alignment(void **state)
{
	char *p = kvrealloc_node_align(NULL, 5000, 8192, GFP_KERNEL, NUMA_NO_NODE);

	(void)state;
	assert_int_equal((uintptr_t)p % 8192, 0);
	sign(p, 5000, 1);
	p = kvrealloc_node_align(p, 500000, 65536, GFP_KERNEL, NUMA_NO_NODE);
	assert_int_equal((uintptr_t)p % 65536, 0);
	assert_true(signed_by(p, 5000, 1));
	kvfree(p);
}

static void no_memory_is_null(void **state)
{
	void *p, *q;

	(void)state;
	memory_gone();
	p = kvmalloc(100000, GFP_KERNEL);
	q = kvmalloc(100 << 20, GFP_KERNEL);
	memory_back();
	assert_null(p);
	assert_null(q);
}

/* How much of the next block lies over it: most, but not just at its start. */
static size_t over_a_secret(size_t bytes)
{
	char *p = kvmalloc(bytes, GFP_KERNEL), *again;
	uintptr_t secret = (uintptr_t)p;
	size_t same = 0;

	assert_non_null(p);
	memset(p, 0x5c, bytes);
	kvfree_sensitive(p, bytes);
	again = kvmalloc(bytes, GFP_KERNEL);
	assert_non_null(again);
	for (size_t i = 0; i < bytes; i++) {
		if ((uintptr_t)again + i - secret >= bytes)
			continue;
		assert_int_not_equal(again[i], 0x5c);
		same++;
	}
	kvfree(again);
	return same;
}

/* The kernel may move this thread to another node meanwhile: then once more. */
static void a_secret_does_not_outlive_its_block(void **state)
{
	size_t bytes = 5 << 20, same = 0;

	(void)state;
	for (int i = 0; i < 50 && same <= bytes / 2; i++)
		same = over_a_secret(bytes);
	assert_true(same > bytes / 2);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_and_large_are_one_family),
		cmocka_unit_test(kvfree_takes_memory_of_kmalloc),
		cmocka_unit_test(atomic_flags_get_large_memory_too),
		cmocka_unit_test(size_zero_is_not_null),
		cmocka_unit_test(beyond_an_int_is_null_and_says_so_once),
		cmocka_unit_test(a_large_array_that_overflows_is_null_and_silent),
		cmocka_unit_test(arrays_hold_their_elements),
		cmocka_unit_test(a_block_has_the_alignment_asked_for),
		cmocka_unit_test(contents_survive_every_change_of_a_block),
		cmocka_unit_test(growing_zeroes_of_a_block_are_zeroes),
		cmocka_unit_test(failure_keeps_the_old_block),
		cmocka_unit_test(realloc_keeps_an_alignment),
		cmocka_unit_test(no_memory_is_null),
		cmocka_unit_test(a_secret_does_not_outlive_its_block),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
