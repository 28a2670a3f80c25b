/* SPDX-License-Identifier: MIT */
/*
 * Reserves, with one thread: elements when there is no memory, all or none of several, changes of
 * size. Each test is named by what its user would lose.
 */
#include "pools.h"

#include <errno.h>
#include <stele/page.h>
#include <time.h>

static void the_reserve_is_there_when_memory_is_not(void **state)
{
	void *p[MANY];

	(void)state;
	for (int min = 1; min <= MANY; min = min * 2 + 1) {
		mempool_t *pool = pool_of(min);

		assert_true(mempool_initialized(pool) && mempool_is_saturated(pool));
		for (int i = 0; i < min; i++) {
			p[i] = mempool_alloc(pool, i % 2 ? GFP_KERNEL : GFP_NOWAIT);
			assert_non_null(p[i]);
			memset(p[i], i, 64);
		}
		assert_null(mempool_alloc(pool, GFP_NOWAIT));
		assert_null(mempool_alloc_preallocated(pool));
		assert_false(mempool_is_saturated(pool));
		for (int i = 0; i < min; i++) {
			assert_int_equal(*(unsigned char *)p[i], i);
			mempool_free(p[i], pool);
		}
		done_with(pool);
	}
}

static void a_reserve_that_lost_an_element_is_found(void **state)
{
	mempool_t *pool = pool_of(3);
	struct reserve *r = &inside(pool)->reserve;
	void *p = atomic_exchange(reserve_place(r, 1), NULL);
	uint64_t counts = load_relaxed(&r->counts);

	(void)state;
	assert_string_equal(stele_pool_valid(pool),
			    "pool: more elements are counted than are there");
	store_relaxed(reserve_place(r, 1), p);
	store_relaxed(&r->counts, counts + RESERVE_ELEMENT);
	assert_string_equal(stele_pool_valid(pool),
			    "pool: more elements than places are spoken for");
	store_relaxed(&r->counts, counts + RESERVE_LIMIT - 3);
	assert_string_equal(stele_pool_valid(pool),
			    "pool: the limit is above the places that exist");
	store_relaxed(&r->counts, counts);
	done_with(pool);
}

static void memory_comes_first_and_goes_back_there(void **state)
{
	mempool_t *pool = pool_of(2);
	void *p[5];

	(void)state;
	source_gives(-1);
	for (int i = 0; i < 5; i++)
		p[i] = mempool_alloc(pool, GFP_KERNEL);
	assert_int_equal(stele_mempool_curr_nr(pool), 2);
	assert_int_equal(atomic_load(&source.out), 7);
	for (int i = 0; i < 5; i++)
		mempool_free(p[i], pool);
	assert_int_equal(atomic_load(&source.out), 2);
	p[0] = mempool_alloc_noreserve(pool, GFP_KERNEL);
	assert_non_null(p[0]);
	mempool_free(p[0], pool);
	source_gives(0);
	assert_null(mempool_alloc_noreserve(pool, GFP_KERNEL));
	mempool_free(NULL, pool);
	done_with(pool);
}

/* An element of the pool's own allocation fills the reserve up when it is freed. */
static void a_freed_element_replaces_a_lent_one(void **state)
{
	mempool_t *pool = pool_of(1);
	void *mine, *lent;

	(void)state;
	source_gives(1);
	mine = mempool_alloc(pool, GFP_KERNEL);
	lent = mempool_alloc(pool, GFP_KERNEL);
	assert_int_equal(stele_mempool_curr_nr(pool), 0);
	mempool_free(mine, pool);
	assert_int_equal(stele_mempool_curr_nr(pool), 1);
	mempool_free(lent, pool);
	done_with(pool);
}

static void a_pool_of_no_elements_still_serves(void **state)
{
	mempool_t *pool = pool_of(0);
	void *p;

	(void)state;
	assert_int_equal(stele_mempool_curr_nr(pool), 1);
	p = mempool_alloc(pool, GFP_KERNEL);
	assert_non_null(p);
	assert_null(mempool_alloc(pool, GFP_NOWAIT));
	mempool_free(p, pool);
	done_with(pool);
}

static void several_come_from_the_reserve_all_or_none(void **state)
{
	mempool_t *pool = pool_of(4);
	struct stderr_text t;
	void *p[6];

	(void)state;
	source_gives(2);
	assert_int_equal(mempool_alloc_bulk(pool, p, 4), 0); /* 2 of its own, 2 of the reserve */
	assert_int_equal(stele_mempool_curr_nr(pool), 2);
	assert_int_equal(mempool_free_bulk(pool, p, 4), 2);
	mempool_free(p[2], pool);
	mempool_free(p[3], pool);
	assert_int_equal(mempool_alloc_bulk(pool, p, 0), 0);
	source_gives(2);
	STDERR_OF(&t, assert_int_equal(mempool_alloc_bulk(pool, p, 6), 0));
	assert_says(&t, "6 elements are more than the 4 that the pool keeps");
	for (int i = 0; i < 6; i++)
		mempool_free(p[i], pool);
	done_with(pool);
}

static void a_pool_changes_its_size_while_elements_are_out(void **state)
{
	mempool_t *pool = pool_of(8);
	void *p[400];

	(void)state;
	for (int i = 0; i < 3; i++)
		p[i] = mempool_alloc(pool, GFP_KERNEL);
	assert_int_equal(mempool_resize(pool, 4), 0);
	assert_int_equal(pool->min_nr, 4);
	assert_int_equal(stele_mempool_curr_nr(pool), 4);
	for (int i = 0; i < 3; i++)
		mempool_free(p[i], pool);
	assert_int_equal(atomic_load(&source.out), 4);
	/* Up, with nothing to fill it: freed elements do. */
	source_gives(3);
	assert_int_equal(mempool_resize(pool, 400), 0);
	assert_int_equal(stele_mempool_curr_nr(pool), 7);
	source_gives(-1);
	for (int i = 0; i < 400; i++)
		p[i] = mempool_alloc(pool, GFP_KERNEL);
	source_gives(0);
	for (int i = 0; i < 400; i++)
		mempool_free(p[i], pool);
	assert_int_equal(stele_mempool_curr_nr(pool), 400);
	assert_int_equal(mempool_resize(pool, 1), 0);
	assert_int_equal(atomic_load(&source.out), 1);
	done_with(pool);
}

static void each_kind_of_pool_has_its_elements(void **state)
{
	struct kmem_cache *s = kmem_cache_create("mempool", 200, 0, SLAB_NO_MERGE, NULL);
	mempool_t slab = { 0 }, bytes = { 0 }, *pages = mempool_create_page_pool(2, 1);
	void *p;

	(void)state;
	assert_int_equal(mempool_init_slab_pool(&slab, 3, s), 0);
	assert_int_equal(mempool_init_kmalloc_pool(&bytes, 3, 1000), 0);
	assert_non_null(pages);
	p = mempool_alloc_preallocated(&slab);
	assert_int_equal(ksize(p), 200);
	mempool_free(p, &slab);
	p = mempool_alloc_preallocated(&bytes);
	assert_true(ksize(p) >= 1000);
	mempool_free(p, &bytes);
	p = mempool_alloc_preallocated(pages);
	memset(page_address(p), 1, 2 * PAGE_SIZE);
	mempool_free(p, pages);
	mempool_exit(&slab);
	mempool_exit(&bytes);
	mempool_destroy(pages);
	kmem_cache_destroy(s);
}

static void a_pool_that_cannot_be_filled_is_not_made(void **state)
{
	mempool_t pool = { 0 };

	(void)state;
	source_gives(3);
	assert_int_equal(mempool_init(&pool, 4, source_alloc, source_free, &source), -ENOMEM);
	assert_int_equal(atomic_load(&source.out), 0);
	assert_false(mempool_initialized(&pool));
	source_gives(3);
	assert_null(mempool_create(4, source_alloc, source_free, &source));
	assert_int_equal(atomic_load(&source.out), 0);
	mempool_exit(&pool);
	mempool_exit(NULL);
	mempool_destroy(NULL);
}

static void a_thread_without_time_is_late(void **state)
{
	mempool_t *pool = pool_of(1);
	struct timespec now;
	void *p;

	(void)state;
	p = mempool_alloc(pool, GFP_KERNEL);
	clock_gettime(CLOCK_MONOTONIC, &now);
	assert_null(mempool_alloc_timeout(pool, GFP_KERNEL, &now));
	now.tv_nsec += 20000000;
	if (now.tv_nsec >= 1000000000) {
		now.tv_nsec -= 1000000000;
		now.tv_sec++;
	}
	assert_null(mempool_alloc_timeout(pool, GFP_KERNEL, &now));
	now.tv_nsec += 1000000000; /* more than a second has */
	assert_null(mempool_alloc_timeout(pool, GFP_KERNEL, &now));
	now.tv_sec = -1;
	assert_null(mempool_alloc_timeout(pool, GFP_KERNEL, &now));
	assert_int_equal(stele_wait_count(&inside(pool)->queue), 0);
	mempool_free(p, pool);
	p = mempool_alloc_timeout(pool, GFP_KERNEL, &now);
	assert_non_null(p);
	mempool_free(p, pool);
	done_with(pool);
}

static void failures_on_purpose_use_the_reserve(void **state)
{
	mempool_t *pool;
	void *p[6];

	(void)state;
	stele_opt.fail_mempool_alloc = 2;
	source_gives(-1);
	pool = mempool_create(3, source_alloc, source_free, &source);
	for (int i = 0; i < 6; i++)
		p[i] = mempool_alloc(pool, GFP_NOWAIT);
	assert_int_equal(stele_mempool_curr_nr(pool), 0);
	for (int i = 0; i < 6; i++)
		mempool_free(p[i], pool);
	stele_opt.fail_mempool_alloc = 0;
	stele_opt.fail_mempool_alloc_bulk = 3;
	assert_int_equal(mempool_alloc_bulk(pool, p, 3), 0);
	assert_int_equal(stele_mempool_curr_nr(pool), 2);
	stele_opt.fail_mempool_alloc_bulk = 0;
	for (int i = 0; i < 3; i++)
		mempool_free(p[i], pool);
	done_with(pool);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_reserve_is_there_when_memory_is_not),
		cmocka_unit_test(a_reserve_that_lost_an_element_is_found),
		cmocka_unit_test(memory_comes_first_and_goes_back_there),
		cmocka_unit_test(a_freed_element_replaces_a_lent_one),
		cmocka_unit_test(a_pool_of_no_elements_still_serves),
		cmocka_unit_test(several_come_from_the_reserve_all_or_none),
		cmocka_unit_test(a_pool_changes_its_size_while_elements_are_out),
		cmocka_unit_test(each_kind_of_pool_has_its_elements),
		cmocka_unit_test(a_pool_that_cannot_be_filled_is_not_made),
		cmocka_unit_test(a_thread_without_time_is_late),
		cmocka_unit_test(failures_on_purpose_use_the_reserve),
	};

	return cmocka_run_group_tests(tests, no_timer, NULL);
}
