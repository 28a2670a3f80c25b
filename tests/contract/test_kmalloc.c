/* SPDX-License-Identifier: MIT */
/*
 * kmalloc and kfree. Each test is named by what its user would lose.
 */
#include "contract.h"

#include <errno.h>
#include <stdlib.h>

static size_t page_size(void)
{
	return stele_page_size();
}

static void size_zero_is_not_null_and_not_memory(void **state)
{
	(void)state;
	assert_ptr_equal(ZERO_SIZE_PTR, (void *)16);
	assert_true(ZERO_OR_NULL_PTR(NULL));
	assert_true(ZERO_OR_NULL_PTR(ZERO_SIZE_PTR));
	assert_false(ZERO_OR_NULL_PTR((char *)ZERO_SIZE_PTR + 1));
	assert_ptr_equal(kmalloc(0, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_ptr_equal(kzalloc(0, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_ptr_equal(kmalloc_node(0, GFP_KERNEL, 0), ZERO_SIZE_PTR);
	assert_ptr_equal(kmalloc_array(0, 8, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_ptr_equal(kmalloc_array(8, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_ptr_equal(kcalloc(0, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_ptr_equal(kmalloc_nolock(0, 0, NUMA_NO_NODE), ZERO_SIZE_PTR);
}

static void freeing_nothing_is_allowed(void **state)
{
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, {
		kfree(NULL);
		kfree(ZERO_SIZE_PTR);
		kfree_sensitive(NULL);
		kfree_sensitive(ZERO_SIZE_PTR);
		kfree_nolock(NULL);
		kfree_nolock(ZERO_SIZE_PTR);
		kvfree(NULL);
		kvfree(ZERO_SIZE_PTR);
		kvfree_atomic(NULL);
		kvfree_sensitive(NULL, 10);
		kvfree_sensitive(ZERO_SIZE_PTR, 10);
	});
	assert_silent(&t);
	assert_int_equal(ksize(NULL), 0);
	assert_int_equal(ksize(ZERO_SIZE_PTR), 0);
}

/* The largest power of two that divides n. */
static size_t divisor(size_t n)
{
	return n & -n;
}

static void every_size_is_large_enough_and_aligned(void **state)
{
	(void)state;
	for (size_t n = 1; n <= 33000; n += n < 1100 ? 1 : 37) {
		char *p = kmalloc(n, GFP_KERNEL);
		size_t real = ksize(p);

		assert_non_null(p);
		assert_true(real >= n);
		assert_int_equal(real, kmalloc_size_roundup(n));
		if (n > KMALLOC_MAX_CACHE_SIZE)
			assert_int_equal((uintptr_t)p % page_size(), 0);
		else
			assert_int_equal((uintptr_t)p % divisor(real), 0);
		assert_int_equal((uintptr_t)p % ARCH_KMALLOC_MINALIGN, 0);
		sign(p, opaque(real), n);
		assert_true(signed_by(p, real, n));
		kfree(p);
	}
}

static void a_power_of_two_is_aligned_to_itself(void **state)
{
	(void)state;
	for (size_t n = 8; n <= KMALLOC_MAX_CACHE_SIZE; n *= 2) {
		void *p[40];

		for (int i = 0; i < 40; i++) {
			p[i] = kmalloc(n, GFP_KERNEL);
			assert_int_equal((uintptr_t)p[i] % n, 0);
		}
		for (int i = 0; i < 40; i++)
			kfree(p[i]);
	}
}

/* 96 -> 32, 192 -> 64, as code for the kernel expects. */
static void the_kernels_buckets_keep_their_alignment(void **state)
{
	void *p[100], *q[100];

	(void)state;
	for (int i = 0; i < 100; i++) {
		p[i] = kmalloc(96, GFP_KERNEL);
		q[i] = kmalloc(192, GFP_KERNEL);
		assert_int_equal((uintptr_t)p[i] % 32, 0);
		assert_int_equal((uintptr_t)q[i] % 64, 0);
	}
	kfree_bulk(100, p);
	kfree_bulk(100, q);
}

static void little_is_wasted(void **state)
{
	(void)state;
	for (size_t n = 65; n <= KMALLOC_MAX_CACHE_SIZE; n++) {
		size_t real = kmalloc_size_roundup(n);

		assert_true(real >= n);
		assert_true((real - n) * 100 <= real * 25);
		if (n > 128)
			assert_true((real - n) * 1000 <= real * 125);
		/* Rounding up again changes nothing. */
		assert_int_equal(kmalloc_size_roundup(real), real);
	}
}

static void large_is_exact_pages(void **state)
{
	static const size_t sizes[] = { 32769,	       65536,	100000,		 1 << 20,
					(1 << 20) + 1, 3000000, KMALLOC_MAX_SIZE };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		size_t n = opaque(sizes[i]), page = page_size();
		char *p = kmalloc(n, GFP_KERNEL);

		assert_non_null(p);
		assert_int_equal((uintptr_t)p % page, 0);
		assert_int_equal(ksize(p), (n + page - 1) / page * page);
		assert_int_equal(ksize(p), kmalloc_size_roundup(n));
		sign(p, ksize(p), i);
		assert_true(signed_by(p, ksize(p), i));
		kfree(p);
		p = kzalloc(n, GFP_KERNEL);
		assert_true(all_zero(p, 0, ksize(p)));
		kfree(p);
	}
}

static void rounding_leaves_the_ends_alone(void **state)
{
	(void)state;
	assert_int_equal(kmalloc_size_roundup(0), 0);
	assert_int_equal(kmalloc_size_roundup(KMALLOC_MAX_SIZE), KMALLOC_MAX_SIZE);
	assert_int_equal(kmalloc_size_roundup(KMALLOC_MAX_SIZE + 1), KMALLOC_MAX_SIZE + 1);
	assert_int_equal(kmalloc_size_roundup(SIZE_MAX), SIZE_MAX);
}

static void too_large_is_null_and_says_so_once(void **state)
{
	struct stderr_text t;
	size_t n = opaque(KMALLOC_MAX_SIZE + 1);

	(void)state;
	STDERR_OF(&t, {
		assert_null(kmalloc(n, GFP_KERNEL | __GFP_NOWARN));
		assert_null(kmalloc(opaque(SIZE_MAX), GFP_KERNEL | __GFP_NOWARN));
		assert_null(kzalloc_node(n, GFP_KERNEL | __GFP_NOWARN, 0));
	});
	assert_silent(&t);
	STDERR_OF(&t, assert_null(kmalloc(n, GFP_KERNEL)));
	assert_says(&t, "4194305");
	STDERR_OF(&t, assert_null(kmalloc(n, GFP_KERNEL)));
	assert_silent(&t);
}

static void an_array_that_overflows_is_null_and_silent(void **state)
{
	struct stderr_text t;
	size_t half = opaque(SIZE_MAX / 2 + 1);

	(void)state;
	STDERR_OF(&t, {
		assert_null(kmalloc_array(half, 2, GFP_KERNEL));
		assert_null(kmalloc_array(2, half, GFP_KERNEL));
		assert_null(kmalloc_array(half + 4, 2, GFP_KERNEL));
		assert_null(kcalloc(half, half, GFP_KERNEL));
		assert_null(kmalloc_array_node(half, 2, GFP_KERNEL, 0));
		assert_null(kcalloc_node(half, 2, GFP_KERNEL, 0));
	});
	assert_silent(&t);
}

static void an_array_holds_its_elements(void **state)
{
	char *p = kmalloc_array(7, 13, GFP_KERNEL), *q;

	(void)state;
	assert_true(ksize(p) >= 91);
	sign(p, opaque(ksize(p)), 1);
	kfree(p);
	q = kcalloc(7, 13, GFP_KERNEL);
	assert_true(all_zero(q, 0, ksize(q)));
	kfree(q);
}

/* The slack too: krealloc() will hand it out as zeroes. */
static void cleared_memory_is_clear_to_its_real_end(void **state)
{
	(void)state;
	for (size_t n = 1; n < 6000; n += 61) {
		for (int round = 0; round < 2; round++) {
			char *p[8];

			for (int i = 0; i < 8; i++) {
				p[i] = kzalloc(n, GFP_KERNEL);
				assert_true(all_zero(p[i], 0, ksize(p[i])));
				memset(p[i], 0xdd, opaque(ksize(p[i])));
			}
			for (int i = 0; i < 8; i++)
				kfree(p[i]);
		}
	}
}

static void the_other_ways_to_allocate_allocate(void **state)
{
	void *p[] = {
		kmalloc_node(100, GFP_KERNEL, NUMA_NO_NODE),
		kmalloc_node(100, GFP_KERNEL, 0),
		kmalloc_track_caller(100, GFP_KERNEL),
		kmalloc_node_track_caller(100, GFP_KERNEL, 0),
		kmalloc_node(50000, GFP_KERNEL, 0),
		kmalloc(100, GFP_ATOMIC),
		kmalloc(100, GFP_NOWAIT),
		kmalloc(100, GFP_KERNEL_ACCOUNT),
		kmalloc(100, GFP_DMA | GFP_KERNEL),
		kmalloc(100, GFP_KERNEL | __GFP_RECLAIMABLE),
		kzalloc_node(100, GFP_KERNEL, 0),
		kcalloc_node(10, 10, GFP_KERNEL, 0),
	};

	(void)state;
	for (size_t i = 0; i < sizeof(p) / sizeof(p[0]); i++)
		assert_non_null(p[i]);
	assert_true(all_zero(p[10], 0, 100));
	assert_true(all_zero(p[11], 0, 100));
	for (size_t i = 0; i < sizeof(p) / sizeof(p[0]); i++)
		sign(p[i], 100, i);
	for (size_t i = 0; i < sizeof(p) / sizeof(p[0]); i++) {
		assert_true(signed_by(p[i], 100, i));
		kfree(p[i]);
	}
}

static void a_bad_pointer_is_reported_and_left_alone(void **state)
{
	struct stderr_text t;
	char local[64], *heap = malloc(64), *p = kmalloc(64, GFP_KERNEL);
	char *big = kmalloc(100000, GFP_KERNEL);

	(void)state;
	sign(p, 64, 1);
	STDERR_OF(&t, kfree(local));
	assert_says(&t, "kfree");
	STDERR_OF(&t, kfree(heap));
	assert_says(&t, "kfree");
	STDERR_OF(&t, kfree(p + 8));
	assert_says(&t, "kfree");
	STDERR_OF(&t, kfree(big + 4096));
	assert_says(&t, "kfree");
	STDERR_OF(&t, kvfree(local));
	assert_says(&t, "kvfree");
	STDERR_OF(&t, kfree_sensitive(p + 8));
	assert_says(&t, "kfree_sensitive");
	assert_true(signed_by(p, 64, 1));
	kfree(p);
	kfree(big);
	free(heap);
}

/* Takes the memory that was just freed again, if it comes back within reason. */
static bool memory_comes_back(const char *p, size_t n, char **again)
{
	static char *taken[4000];
	size_t i, got = 0;

	*again = NULL;
	while (got < 4000 && !*again) {
		taken[got] = kmalloc(n, GFP_KERNEL);
		if (taken[got] == p)
			*again = taken[got];
		got++;
	}
	for (i = 0; i < got; i++)
		if (taken[i] != *again)
			kfree(taken[i]);
	return *again != NULL;
}

static void a_secret_does_not_outlive_its_memory(void **state)
{
	char *p = kmalloc(100, GFP_KERNEL), *volatile where = p, *again;

	(void)state;
	memset(p, 0x5c, opaque(ksize(p)));
	kfree_sensitive(p);
	assert_true(memory_comes_back(where, 100, &again));
	assert_true(all_zero(again, 0, ksize(again)));
	kfree(again);
}

static void a_dump_names_cache_object_and_offset(void **state)
{
	struct stderr_text t;
	char expected[128];
	char *p = kmalloc(64, GFP_KERNEL), *big = kmalloc(50000, GFP_KERNEL);
	int local;

	(void)state;
	STDERR_OF(&t, assert_true(kmem_dump_obj(p + 5)));
	snprintf(expected, sizeof(expected),
		 " slab kmalloc-64 start %016lx pointer offset 5 size 64\n", (unsigned long)p);
	assert_string_equal(t.text, expected);
	STDERR_OF(&t, assert_false(kmem_dump_obj(&local)));
	assert_silent(&t);
	STDERR_OF(&t, assert_false(kmem_dump_obj(big)));
	STDERR_OF(&t, assert_false(kmem_dump_obj(NULL)));
	kfree(p);
	kfree(big);
}

static void the_caches_have_the_kernels_names(void **state)
{
	static const struct {
		size_t size;
		const char *name;
	} cases[] = { { 8, "kmalloc-8 " },	{ 96, "kmalloc-96 " },	   { 512, "kmalloc-512 " },
		      { 1024, "kmalloc-1k " },	{ 1152, "kmalloc-1152 " }, { 4096, "kmalloc-4k " },
		      { 32768, "kmalloc-32k " } };

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct stderr_text t;
		void *p = kmalloc(cases[i].size, GFP_KERNEL);

		STDERR_OF(&t, kmem_dump_obj(p));
		assert_says(&t, cases[i].name);
		kfree(p);
	}
}

/* ---- no memory ---- */

static void no_memory_is_null_and_passes(void **state)
{
	/* One or two runs of the last size may rest in this slot. */
	static const size_t sizes[] = { 8, 100, 1000, 20000, 32768, 50000 };

	(void)state;
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		void **list, *p;

		memory_gone();
		errno = ERANGE;
		list = take_all_of_size(sizes[i]);
		p = kzalloc(sizes[i], GFP_KERNEL);
		memory_back();
		assert_int_equal(errno, ERANGE);
		assert_null(p);
		give_list(list);
		p = kmalloc(sizes[i], GFP_KERNEL);
		assert_non_null(p);
		kfree(p);
	}
	memory_gone();
	assert_null(kmalloc(3000000, GFP_KERNEL));
	memory_back();
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(size_zero_is_not_null_and_not_memory),
		cmocka_unit_test(freeing_nothing_is_allowed),
		cmocka_unit_test(every_size_is_large_enough_and_aligned),
		cmocka_unit_test(a_power_of_two_is_aligned_to_itself),
		cmocka_unit_test(the_kernels_buckets_keep_their_alignment),
		cmocka_unit_test(little_is_wasted),
		cmocka_unit_test(large_is_exact_pages),
		cmocka_unit_test(rounding_leaves_the_ends_alone),
		cmocka_unit_test(too_large_is_null_and_says_so_once),
		cmocka_unit_test(an_array_that_overflows_is_null_and_silent),
		cmocka_unit_test(an_array_holds_its_elements),
		cmocka_unit_test(cleared_memory_is_clear_to_its_real_end),
		cmocka_unit_test(the_other_ways_to_allocate_allocate),
		cmocka_unit_test(a_bad_pointer_is_reported_and_left_alone),
		cmocka_unit_test(a_secret_does_not_outlive_its_memory),
		cmocka_unit_test(a_dump_names_cache_object_and_offset),
		cmocka_unit_test(the_caches_have_the_kernels_names),
		cmocka_unit_test(no_memory_is_null_and_passes),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
