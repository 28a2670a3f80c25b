/* SPDX-License-Identifier: MIT */
/*
 * Numbers at the ends of their types: sizes, counts, orders, alignments, negative ones given as
 * unsigned.
 *
 * Idea      No call may take one for a small number, by a sum or a product that wraps or by a type
 *           that cuts it. It says no: NULL, an error, the number itself.
 */
#include "contract.h"

#include <errno.h>
#include <limits.h>
#include <stele/mempool.h>
#include <stele/page.h>

#define PAGE (stele_page_bytes())
#define QUIET (GFP_KERNEL | __GFP_NOWARN)

/* Each is far more than can be had. */
static const size_t vast[] = {
	SIZE_MAX,
	SIZE_MAX - 1,
	SIZE_MAX - 7,
	SIZE_MAX - 4094,
	SIZE_MAX - 4095,
	SIZE_MAX - 65535,
	SIZE_MAX - (2ul << 20),
	(size_t)PTRDIFF_MAX + 1,
	PTRDIFF_MAX,
	PTRDIFF_MAX - 4095,
	(size_t)INT_MIN,
	(size_t)-100,
	1ul << 63,
	1ul << 62,
	1ul << 52,
};

/* Powers of two that no address space has room for. */
static const unsigned high_bits[] = { 63, 62, 56, 48 };

#define EACH(i, of) for (unsigned i = 0; i < sizeof(of) / sizeof(of[0]); i++)

static void no_size_is_taken_for_a_small_one(void **state)
{
	char *p = kmalloc(100, GFP_KERNEL), *q = kvmalloc(3 << 20, GFP_KERNEL);

	(void)state;
	memset(p, 7, 100);
	EACH(i, vast)
	{
		size_t size = opaque(vast[i]);

		assert_null(kmalloc(size, QUIET));
		assert_null(kzalloc(size, QUIET));
		assert_null(kmalloc_node(size, QUIET, 0));
		assert_null(kmalloc_nolock(size, __GFP_NOWARN, NUMA_NO_NODE));
		assert_null(kvmalloc(size, QUIET));
		assert_null(kvzalloc_node(size, QUIET, 0));
		assert_null(kvmalloc_node_align(size, 64, QUIET, NUMA_NO_NODE));
		assert_null(kmem_buckets_alloc(NULL, size, QUIET));
		assert_null(kmem_buckets_valloc(NULL, size, QUIET));
		assert_null(alloc_pages_exact(size, QUIET));
		assert_null(alloc_pages_exact_nid(0, size, QUIET));
		assert_null(krealloc(p, size, QUIET));
		assert_null(krealloc(NULL, size, QUIET));
		assert_null(krealloc_node_align(p, size, 64, QUIET, 0));
		assert_null(kvrealloc(p, size, QUIET));
		assert_null(krealloc(q, size, QUIET));
		assert_null(kvrealloc(q, size, QUIET));
		assert_int_equal(kmalloc_size_roundup(size), size);
	}
	assert_true(p[0] == 7 && p[99] == 7);
	kfree(p);
	kvfree(q);
}

static void no_product_wraps(void **state)
{
	char *p = kmalloc(100, GFP_KERNEL);

	(void)state;
	for (unsigned bit = 1; bit < 64; bit++) {
		size_t n = opaque(1ul << bit), size = opaque(SIZE_MAX / n + 2);

		for (int swap = 0; swap < 2; swap++) {
			assert_null(kmalloc_array(n, size, QUIET));
			assert_null(kcalloc(n, size, QUIET));
			assert_null(kcalloc_node(n, size, QUIET, 0));
			assert_null(kvmalloc_array(n, size, QUIET));
			assert_null(kvcalloc(n, size, QUIET));
			assert_null(kvcalloc_node(n, size, QUIET, 0));
			assert_null(krealloc_array(p, n, size, QUIET));
			assert_int_equal(stele_size_mul(n, size), SIZE_MAX);
			size ^= n, n ^= size, size ^= n;
		}
	}
	kfree(p);
}

static void no_alignment_wraps(void **state)
{
	char *p = kmalloc(100, GFP_KERNEL);

	(void)state;
	EACH(i, high_bits)
	{
		size_t align = opaque(1ul << high_bits[i]);

		assert_null(kvmalloc_node_align(1, align, QUIET, NUMA_NO_NODE));
		assert_null(kvmalloc_node_align(INT_MAX, align, QUIET, NUMA_NO_NODE));
		assert_null(kvmalloc_node_align(opaque(SIZE_MAX), align, QUIET, NUMA_NO_NODE));
		assert_null(krealloc_node_align(p, 200, align, QUIET, NUMA_NO_NODE));
		assert_null(kvrealloc_node_align(p, 200, align, QUIET, NUMA_NO_NODE));
	}
	/* Those that can be had are. */
	for (size_t align = 1; align <= 1ul << 33; align *= 2) {
		void *q = kvmalloc_node_align(100, align, GFP_KERNEL, NUMA_NO_NODE);

		assert_non_null(q);
		assert_int_equal((uintptr_t)q % align, 0);
		kvfree(q);
	}
	kfree(p);
}

static void orders_are_those_of_the_size(void **state)
{
	(void)state;
	assert_int_equal(get_order(0), 0);
	assert_int_equal(get_order(1), 0);
	for (unsigned order = 0; PAGE << order >> order == PAGE; order++) {
		assert_int_equal(get_order(PAGE << order), order);
		assert_int_equal(get_order((PAGE << order) + 1), order + 1);
		assert_int_equal(get_order((PAGE << order) - 1), order);
	}
	assert_int_equal(get_order(SIZE_MAX), 64 - __builtin_ctzl(PAGE));
	assert_int_equal(get_order(SIZE_MAX - PAGE + 1), 64 - __builtin_ctzl(PAGE));
	assert_int_equal(get_order((SIZE_MAX >> 1) + 1), 63 - __builtin_ctzl(PAGE));
}

static void no_order_is_shifted_away(void **state)
{
	static const unsigned orders[] = { MAX_PAGE_ORDER + 1, 31,	    32, 52, 63, 64, INT_MAX,
					   (unsigned)INT_MIN,  (unsigned)-1 };
	struct page *page = alloc_pages(GFP_KERNEL, 0);
	struct stderr_text t;

	(void)state;
	EACH(i, orders)
	{
		assert_null(alloc_pages(GFP_KERNEL, orders[i]));
		assert_null(alloc_pages_node(0, GFP_KERNEL, orders[i]));
		assert_null(alloc_pages_nolock(0, NUMA_NO_NODE, orders[i]));
		assert_int_equal(__get_free_pages(GFP_KERNEL, orders[i]), 0);
		STDERR_OF(&t, __free_pages(page, orders[i]));
		assert_says(&t, "order too large; not freed");
		STDERR_OF(&t, free_pages_nolock(page, orders[i]));
		assert_says(&t, "order too large; not freed");
	}
	EACH(i, vast)
	{
		STDERR_OF(&t, free_pages_exact(page_address(page), vast[i]));
		assert_says(&t, "allocated with another size; not freed");
	}
	__free_pages(page, 0);
}

static void no_cache_is_made_of_a_cut_number(void **state)
{
	static const size_t sizes[] = { 0, (1ul << 32) + 64, 1ul << 32, (1ul << 32) - 1 };
	static const unsigned aligns[] = { 3, 1u << 31, (1u << 31) + 64, UINT_MAX, 1u << 21 };
	struct stderr_text t;
	struct kmem_cache *s = NULL;

	(void)state;
	EACH(i, sizes)
	{
		STDERR_OF(&t, s = kmem_cache_create("cut", sizes[i], NULL, 0));
		assert_null(s);
	}
	EACH(i, vast)
	{
		STDERR_OF(&t, s = kmem_cache_create("cut", vast[i], NULL, 0));
		assert_null(s);
	}
	EACH(i, aligns)
	{
		struct kmem_cache_args args = { .align = aligns[i] };

		STDERR_OF(&t, s = kmem_cache_create("cut", 64, &args, 0));
		assert_null(s);
		args = (struct kmem_cache_args){ .use_freeptr_offset = true,
						 .freeptr_offset = aligns[i] };
		STDERR_OF(&t, s = kmem_cache_create("cut", 64, &args, SLAB_TYPESAFE_BY_RCU));
		assert_null(s);
	}
}

static void an_address_outside_of_an_object_is_seen_however_far(void **state)
{
	static const unsigned far[] = { 65, 1u << 31, UINT_MAX - 63, UINT_MAX };
	struct stderr_text t;

	(void)state;
	EACH(i, far)
	{
		struct kmem_cache_args args = { .useroffset = far[i], .usersize = far[i] };
		struct kmem_cache *s = NULL;

		STDERR_OF(&t, s = kmem_cache_create("far", 64, &args, 0));
		assert_says(&t, "taken as 0");
		kmem_cache_destroy(s);
		args = (struct kmem_cache_args){ .useroffset = 32, .usersize = far[i] };
		STDERR_OF(&t, s = kmem_cache_create("far", 64, &args, 0));
		assert_says(&t, "taken as 0");
		kmem_cache_destroy(s);
	}
}

static void sheaves_of_any_wish_are_bounded(void **state)
{
	struct kmem_cache *s = kmem_cache_create("wishes", 64, NULL, SLAB_NO_MERGE);
	static const unsigned counts[] = { UINT_MAX, UINT_MAX - 1, 1u << 31, 1u << 29, 600000 };
	struct slab_sheaf *sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 10), *same = sheaf;
	struct kmem_cache_args args = { .sheaf_capacity = UINT_MAX };
	struct kmem_cache *wide = kmem_cache_create("wide", 64, &args, 0);

	(void)state;
	EACH(i, counts)
	{
		assert_null(kmem_cache_prefill_sheaf(s, GFP_KERNEL, counts[i]));
		assert_int_equal(kmem_cache_refill_sheaf(s, GFP_KERNEL, &sheaf, counts[i]),
				 -ENOMEM);
		assert_ptr_equal(sheaf, same);
		assert_int_equal(kmem_cache_sheaf_size(sheaf), 10);
	}
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 100000);
	assert_non_null(sheaf);
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	kmem_cache_destroy(s);
	/* A wish that cannot be had makes a cache all the same, or none. */
	if (wide) {
		void *p = kmem_cache_alloc(wide, GFP_KERNEL);

		assert_non_null(p);
		kmem_cache_free(wide, p);
		kmem_cache_destroy(wide);
	}
}

static void bulk_counts_of_nothing_do_nothing(void **state)
{
	struct kmem_cache *s = kmem_cache_create("bulk", 64, NULL, SLAB_NO_MERGE);
	void *p[4] = { NULL };

	(void)state;
	assert_false(kmem_cache_alloc_bulk(s, GFP_KERNEL, 0, p));
	assert_null(p[0]);
	kmem_cache_free_bulk(s, 0, p);
	kfree_bulk(0, p);
	kmem_cache_destroy(s);
}

static void pools_are_of_a_number_that_can_be(void **state)
{
	static const int counts[] = { INT_MIN, -1, -1000, INT_MAX, INT_MAX / 2 };
	struct stderr_text t;
	mempool_t *pool = mempool_create_kmalloc_pool(4, 64), *none = NULL;

	(void)state;
	assert_non_null(pool);
	EACH(i, counts)
	{
		mempool_t own = { 0 };
		int error = 0;

		STDERR_OF(&t, none = mempool_create_kmalloc_pool(counts[i], 64));
		assert_null(none);
		STDERR_OF(&t, error = mempool_init_kmalloc_pool(&own, counts[i], 64));
		assert_true(error == -EINVAL || error == -ENOMEM);
		STDERR_OF(&t, error = mempool_resize(pool, counts[i]));
		assert_true(error == -EINVAL || error == -ENOMEM);
		STDERR_OF(&t, none = mempool_create_page_pool(1, counts[i]));
		assert_null(none);
	}
	EACH(i, vast)
	{
		STDERR_OF(&t, none = mempool_create_kmalloc_pool(1, vast[i]));
		assert_null(none);
	}
	assert_int_equal(stele_mempool_curr_nr(pool), 4);
	mempool_destroy(pool);
}

static void no_node_number_is_out_of_bounds(void **state)
{
	static const int nodes[] = { INT_MIN, -2, 64, 65, 4096, INT_MAX };
	struct kmem_cache *s = kmem_cache_create("nodes", 64, NULL, SLAB_NO_MERGE);

	(void)state;
	EACH(i, nodes)
	{
		void *p = kmalloc_node(64, GFP_KERNEL, nodes[i]);
		void *q = kmem_cache_alloc_node(s, GFP_KERNEL, nodes[i]);
		void *r = kmalloc_nolock(64, 0, nodes[i]);
		void *v = kvmalloc_node(3 << 20, GFP_KERNEL, nodes[i]);
		struct page *page = alloc_pages_node(nodes[i], GFP_KERNEL, 0);

		assert_true(p && q && r && v && page);
		kfree(p), kmem_cache_free(s, q), kfree_nolock(r), kvfree(v), __free_pages(page, 0);
	}
	kmem_cache_destroy(s);
}

int main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(no_size_is_taken_for_a_small_one),
		cmocka_unit_test(no_product_wraps),
		cmocka_unit_test(no_alignment_wraps),
		cmocka_unit_test(orders_are_those_of_the_size),
		cmocka_unit_test(no_order_is_shifted_away),
		cmocka_unit_test(no_cache_is_made_of_a_cut_number),
		cmocka_unit_test(an_address_outside_of_an_object_is_seen_however_far),
		cmocka_unit_test(sheaves_of_any_wish_are_bounded),
		cmocka_unit_test(bulk_counts_of_nothing_do_nothing),
		cmocka_unit_test(pools_are_of_a_number_that_can_be),
		cmocka_unit_test(no_node_number_is_out_of_bounds),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
