/* SPDX-License-Identifier: MIT */
/*
 * Own buckets. Each test is named by what its user would lose.
 */
#include "contract.h"

static kmem_buckets *buckets(void)
{
	kmem_buckets *b = kmem_buckets_create("mine", 0, 0, 0, NULL);

	assert_non_null(b);
	return b;
}

static void every_size_is_served_and_aligned(void **state)
{
	kmem_buckets *b = buckets();

	(void)state;
	for (size_t n = 1; n <= 60000; n += 1 + n / 50) {
		char *p = kmem_buckets_alloc(b, n, GFP_KERNEL);
		char *q = kmem_buckets_alloc_track_caller(b, n, GFP_KERNEL | __GFP_ZERO);

		assert_true(ksize(p) >= n);
		if ((n & (n - 1)) == 0 && n <= KMALLOC_MAX_CACHE_SIZE)
			assert_int_equal((uintptr_t)p % n, 0);
		assert_int_equal((uintptr_t)p % ARCH_KMALLOC_MINALIGN, 0);
		assert_true(all_zero(q, 0, ksize(q)));
		sign(p, n, 1);
		sign(q, n, 2);
		assert_true(signed_by(p, n, 1));
		kfree(p);
		kfree(q);
	}
	kmem_buckets_destroy(b);
}

/* The point of buckets: nobody else gets a freed object of theirs while its slab lives. */
static void memory_is_not_shared_with_kmalloc(void **state)
{
	kmem_buckets *b = buckets();
	void *mine[200], *others[400];

	(void)state;
	for (int i = 0; i < 200; i++)
		mine[i] = kmem_buckets_alloc(b, 128, GFP_KERNEL);
	for (int i = 0; i < 200; i += 2)
		kfree(mine[i]);
	for (int k = 0; k < 400; k++) {
		others[k] = kmalloc(128, GFP_KERNEL);
		for (int i = 0; i < 200; i++)
			assert_ptr_not_equal(others[k], mine[i]);
	}
	for (int k = 0; k < 400; k++)
		kfree(others[k]);
	for (int i = 1; i < 200; i += 2)
		kfree(mine[i]);
	kmem_buckets_destroy(b);
}

static void two_sets_share_nothing(void **state)
{
	kmem_buckets *a = buckets(), *b = kmem_buckets_create("yours", 0, 0, 0, NULL);
	void *mine[200], *yours[400];

	(void)state;
	for (int i = 0; i < 200; i++)
		mine[i] = kmem_buckets_alloc(a, 128, GFP_KERNEL);
	for (int i = 0; i < 200; i += 2)
		kfree(mine[i]);
	for (int k = 0; k < 400; k++) {
		yours[k] = kmem_buckets_alloc(b, 128, GFP_KERNEL);
		for (int i = 0; i < 200; i++)
			assert_ptr_not_equal(yours[k], mine[i]);
	}
	for (int i = 1; i < 200; i += 2)
		kfree(mine[i]);
	kfree_bulk(400, yours);
	kmem_buckets_destroy(a);
	kmem_buckets_destroy(b);
}

static void the_caches_carry_the_name(void **state)
{
	static const struct {
		size_t size;
		const char *name;
	} cases[] = { { 1, "mine-8 " },	     { 65, "mine-96 " },   { 97, "mine-128 " },
		      { 129, "mine-192 " },  { 193, "mine-256 " }, { 1000, "mine-1k " },
		      { 20000, "mine-32k " } };
	kmem_buckets *b = buckets();

	(void)state;
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		void *p = kmem_buckets_alloc(b, cases[i].size, GFP_KERNEL);
		struct stderr_text t;

		STDERR_OF(&t, assert_true(kmem_dump_obj(p)));
		assert_says(&t, cases[i].name);
		kfree(p);
	}
	kmem_buckets_destroy(b);
}

static void sizes_at_the_ends_are_kmallocs(void **state)
{
	kmem_buckets *b = buckets();
	void *p;

	(void)state;
	assert_ptr_equal(kmem_buckets_alloc(b, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	assert_ptr_equal(kmem_buckets_valloc(b, 0, GFP_KERNEL), ZERO_SIZE_PTR);
	p = kmem_buckets_alloc(b, 1000000, GFP_KERNEL);
	assert_true(ksize(p) >= 1000000);
	kfree(p);
	assert_null(kmem_buckets_alloc(b, opaque(KMALLOC_MAX_SIZE + 1), GFP_KERNEL | __GFP_NOWARN));
	p = kmem_buckets_valloc(b, KMALLOC_MAX_SIZE + 1, GFP_KERNEL);
	assert_true(ksize(p) > KMALLOC_MAX_SIZE);
	kvfree(p);
	p = kmem_buckets_valloc(b, 100, GFP_KERNEL);
	assert_non_null(p);
	kvfree(p);
	kmem_buckets_destroy(b);
}

static void no_set_means_kmalloc(void **state)
{
	void *p = kmem_buckets_alloc(NULL, 64, GFP_KERNEL);
	void *q = kmem_buckets_alloc(ZERO_SIZE_PTR, 64, GFP_KERNEL);

	(void)state;
	assert_int_equal(ksize(p), 64);
	assert_int_equal(ksize(q), 64);
	kfree(p);
	kfree(q);
	kmem_buckets_destroy(NULL);
	kmem_buckets_destroy(ZERO_SIZE_PTR);
}

static void write_made(void *object)
{
	memcpy(object, "made", 4);
}

static void objects_are_constructed(void **state)
{
	kmem_buckets *b = kmem_buckets_create("ctor", 0, 0, 16, write_made);
	char *p;

	(void)state;
	assert_non_null(b);
	p = kmem_buckets_alloc(b, 300, GFP_KERNEL);
	assert_memory_equal(p, "made", 4);
	kfree(p);
	kmem_buckets_destroy(b);
}

static void a_copyable_part_is_cut_to_each_bucket(void **state)
{
	struct stderr_text t;
	kmem_buckets *b;

	(void)state;
	STDERR_OF(&t, b = kmem_buckets_create("copy", 0, 40, 100, NULL));
	assert_non_null(b);
	assert_silent(&t);
	kmem_buckets_destroy(b);
}

static void bad_flags_give_no_set(void **state)
{
	struct stderr_text t;

	(void)state;
	STDERR_OF(&t, assert_null(kmem_buckets_create("bad", 0x80000000u, 0, 0, NULL)));
	assert_says(&t, "bad-8");
}

/* Every request for pages on the way fails once. */
static void a_set_without_memory_is_null_and_leaves_nothing(void **state)
{
	bool made_it = false;

	(void)state;
	for (int nth = 1; nth < 200 && !made_it; nth++) {
		struct stderr_text t;
		kmem_buckets *b;

		stele_inject_page_fail = nth;
		STDERR_OF(&t, b = kmem_buckets_create("starved", 0, 0, 0, NULL));
		memory_back();
		made_it = b != NULL;
		kmem_buckets_destroy(b);
	}
	assert_true(made_it);
}

static void sets_can_be_made_and_ended_forever(void **state)
{
	(void)state;
	for (int i = 0; i < 500; i++) {
		kmem_buckets *b = buckets();

		kfree(kmem_buckets_alloc(b, 64, GFP_KERNEL));
		kmem_buckets_destroy(b);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_size_is_served_and_aligned),
		cmocka_unit_test(memory_is_not_shared_with_kmalloc),
		cmocka_unit_test(two_sets_share_nothing),
		cmocka_unit_test(the_caches_carry_the_name),
		cmocka_unit_test(sizes_at_the_ends_are_kmallocs),
		cmocka_unit_test(no_set_means_kmalloc),
		cmocka_unit_test(objects_are_constructed),
		cmocka_unit_test(a_copyable_part_is_cut_to_each_bucket),
		cmocka_unit_test(bad_flags_give_no_set),
		cmocka_unit_test(a_set_without_memory_is_null_and_leaves_nothing),
		cmocka_unit_test(sets_can_be_made_and_ended_forever),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
