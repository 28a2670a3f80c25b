/* SPDX-License-Identifier: MIT */
/*
 * Contract of the options init_on_alloc and init_on_free: no byte of a former owner is ever handed
 * out. The program is run with each of them, and with both. Without either every case about clear
 * memory must fail, and a run of that is expected to.
 */
#include "../toy_flavor.h"
#include "contract.h"
#include "base/options.h"
#include <stdlib.h>
#include <stele/mempool.h>
#include <stele/page.h>
#include <stele/rcu.h>

#define ROUNDS 40u

static int choose_toy_readers(void **state)
{
	(void)state;
	return stele_rcu_set_flavor(&toy_flavor);
}

static void spoil(void *p, size_t n)
{
	memset(unseen(p), 0xa7, n);
}

/* Nothing that an owner wrote is there when the memory has its next owner. */
static void expect_clear(void *p, size_t n)
{
	assert_non_null(p);
	assert_true(all_zero(p, 0, n));
	spoil(p, n);
}

static const size_t sizes[] = { 1, 8, 24, 64, 100, 1000, 1025, 4096, 20000, 32768 };
#define SIZES (sizeof(sizes) / sizeof(*sizes))

static void an_object_of_any_size_is_clear(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES * ROUNDS; i++) {
		size_t size = sizes[i % SIZES];
		void *p = kmalloc(size, GFP_KERNEL), *q = kmalloc_node(size, GFP_KERNEL, 0);

		expect_clear(p, ksize(p));
		expect_clear(q, ksize(q));
		kfree(p);
		kfree(q);
	}
}

static void an_object_of_a_nolock_call_is_clear(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES * ROUNDS; i++) {
		void *p = kmalloc_nolock(sizes[i % SIZES], 0, NUMA_NO_NODE);

		expect_clear(p, ksize(p));
		kfree_nolock(p);
	}
}

static void a_block_of_pages_is_clear(void **state)
{
	static const size_t large[] = { 40000, 100000, 300000, 1 << 20, 3 << 20, 40 << 20 };

	(void)state;
	for (size_t i = 0; i < 6 * 8; i++) {
		void *p = kvmalloc(large[i % 6], GFP_KERNEL);

		expect_clear(p, ksize(p));
		kvfree(p);
	}
}

static void pages_are_clear(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 8 * ROUNDS; i++) {
		unsigned order = i % 8;
		size_t bytes = stele_page_bytes() << order;
		struct page *page = i & 8 ? alloc_pages_nolock(0, NUMA_NO_NODE, order)
					  : alloc_pages(GFP_KERNEL, order);
		void *exact = alloc_pages_exact(3 * stele_page_bytes(), GFP_KERNEL);

		expect_clear(page_address(page), bytes);
		expect_clear(exact, 3 * stele_page_bytes());
		free_pages_exact(exact, 3 * stele_page_bytes());
		if (i & 16)
			free_pages_nolock(page, order);
		else
			__free_pages(page, order);
	}
}

static void objects_of_a_cache_are_clear_by_every_call(void **state)
{
	struct kmem_cache *s = kmem_cache_create("clear", 200, NULL, SLAB_NO_MERGE);
	void *p[64];

	(void)state;
	for (unsigned i = 0; i < ROUNDS; i++) {
		struct slab_sheaf *sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 8);

		assert_true(kmem_cache_alloc_bulk(s, GFP_KERNEL, 40, p));
		for (unsigned j = 40; j < 48; j++)
			p[j] = kmem_cache_alloc_from_sheaf(s, 0, sheaf);
		for (unsigned j = 48; j < 56; j++)
			p[j] = kmem_cache_alloc(s, GFP_NOWAIT);
		for (unsigned j = 56; j < 64; j++)
			p[j] = kmem_cache_alloc_nolock(s, 0, NUMA_NO_NODE);
		for (unsigned j = 0; j < 64; j++)
			expect_clear(p[j], 200);
		kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
		kmem_cache_free_bulk(s, 30, p);
		for (unsigned j = 30; j < 64; j++)
			kmem_cache_free(s, p[j]);
	}
	destroy_empty(s);
}

/* The part that a growing allocation gains is new memory, too. */
static void the_part_that_an_allocation_gains_is_clear(void **state)
{
	static const size_t steps[] = {
		33,   40,    48,    100,   90,	    128,     5000,   4100,
		5000, 33000, 50000, 60000, 3 << 20, 5 << 20, 100000, 120000
	};

	(void)state;
	for (unsigned i = 0; i < 8; i++) {
		char *p = kvmalloc(20, GFP_KERNEL);
		size_t had = 20;

		spoil(p, had);
		for (size_t j = 0; j < sizeof(steps) / sizeof(*steps); j++) {
			p = kvrealloc(p, steps[j], GFP_KERNEL);
			assert_non_null(p);
			if (stele_opt.init_on_alloc)
				assert_true(all_zero(p, had < steps[j] ? had : steps[j], ksize(p)));
			had = steps[j];
			spoil(p, had);
		}
		kvfree(p);
	}
}

static void an_element_beyond_the_reserve_is_clear(void **state)
{
	mempool_t *pool = mempool_create_kmalloc_pool(1, 500);
	void *p[8];

	(void)state;
	assert_non_null(pool);
	for (unsigned i = 0; i < ROUNDS; i++) {
		for (unsigned j = 0; j < 8; j++)
			expect_clear(p[j] = mempool_alloc(pool, GFP_NOWAIT), 500);
		for (unsigned j = 0; j < 8; j++)
			mempool_free(p[j], pool);
	}
	mempool_destroy(pool);
}

/* With init_on_free also before it is handed out again. */
static void a_freed_object_is_clear_at_once(void **state)
{
	(void)state;
	for (size_t i = 0; i < SIZES; i++) {
		void *p = kmalloc(sizes[i], GFP_KERNEL), *keep = kmalloc(sizes[i], GFP_KERNEL);

		spoil(p, ksize(p));
		kfree(p);
		if (stele_opt.init_on_free || !stele_opt.init_on_alloc)
			assert_true(all_zero(p, 0, sizes[i]));
		kfree(keep);
	}
}

struct node {
	char text[120];
	struct kvfree_rcu_head rcu;
};

static void an_object_is_cleared_when_its_readers_have_left(void **state)
{
	struct node *node[200];

	(void)state;
	for (unsigned round = 0; round < 4; round++) {
		for (unsigned i = 0; i < 200; i++) {
			node[i] = kmalloc(sizeof(**node), GFP_KERNEL);
			expect_clear(node[i], sizeof(**node));
		}
		for (unsigned i = 0; i < 200; i++)
			kfree_rcu(node[i], rcu);
		kvfree_rcu_barrier();
	}
}

static void a_reader_finds_what_was_there(void **state)
{
	struct node *node = kmalloc(sizeof(*node), GFP_KERNEL);

	(void)state;
	spoil(node->text, sizeof(node->text));
	toy_read_lock();
	kfree_rcu(node, rcu);
	assert_int_equal(((volatile char *)node->text)[60], (char)0xa7);
	toy_read_unlock();
	kvfree_rcu_barrier();
}

/* ---- caches that are left alone ---- */

static unsigned made;

static void make_node(void *p)
{
	spoil(p, sizeof(struct node));
	made++;
}

static void expect_untouched(struct kmem_cache *s, bool constructed)
{
	unsigned char *p[30];

	assert_non_null(s);
	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 30; i++) {
			p[i] = kmem_cache_alloc(s, GFP_KERNEL);
			assert_non_null(p[i]);
			assert_true(!constructed || p[i][100] == 0xa7);
			spoil(p[i], sizeof(struct node));
		}
		for (unsigned i = 0; i < 30; i++)
			kmem_cache_free(s, p[i]);
		for (unsigned i = 0; i < 30; i++)
			assert_int_equal(unseen(p[i])[100], 0xa7);
	}
	kmem_cache_destroy(s);
}

static void a_constructed_object_stays_constructed(void **state)
{
	(void)state;
	made = 0;
	expect_untouched((kmem_cache_create)("made", sizeof(struct node), 0, 0, make_node), true);
	assert_true(made >= 30);
}

static void nothing_is_written_to_a_type_stable_object(void **state)
{
	(void)state;
	expect_untouched(kmem_cache_create("stable", sizeof(struct node), NULL,
					   SLAB_TYPESAFE_BY_RCU),
			 false);
}

/* The pages of such caches are somebody else's later. */
static void pages_of_a_cache_that_is_left_alone_are_cleared(void **state)
{
	struct kmem_cache *s = (kmem_cache_create)("left", 4096, 0, 0, NULL);
	void *p[64], *pages[64];

	(void)state;
	kmem_cache_destroy(s);
	s = (kmem_cache_create)("left", 4096, 0, 0, make_node);
	for (unsigned i = 0; i < 64; i++)
		assert_non_null(p[i] = kmem_cache_alloc(s, GFP_KERNEL));
	for (unsigned i = 0; i < 64; i++)
		kmem_cache_free(s, p[i]);
	destroy_empty(s);
	for (unsigned i = 0; i < 64; i++)
		expect_clear(pages[i] = alloc_pages_exact(4096, GFP_KERNEL), 4096);
	for (unsigned i = 0; i < 64; i++)
		free_pages_exact(pages[i], 4096);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_object_of_any_size_is_clear),
		cmocka_unit_test(an_object_of_a_nolock_call_is_clear),
		cmocka_unit_test(a_block_of_pages_is_clear),
		cmocka_unit_test(pages_are_clear),
		cmocka_unit_test(objects_of_a_cache_are_clear_by_every_call),
		cmocka_unit_test(the_part_that_an_allocation_gains_is_clear),
		cmocka_unit_test(an_element_beyond_the_reserve_is_clear),
		cmocka_unit_test(a_freed_object_is_clear_at_once),
		cmocka_unit_test(an_object_is_cleared_when_its_readers_have_left),
		cmocka_unit_test(a_reader_finds_what_was_there),
		cmocka_unit_test(a_constructed_object_stays_constructed),
		cmocka_unit_test(nothing_is_written_to_a_type_stable_object),
		cmocka_unit_test(pages_of_a_cache_that_is_left_alone_are_cleared),
	};

	return cmocka_run_group_tests(tests, choose_toy_readers, NULL);
}
