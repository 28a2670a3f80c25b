/* SPDX-License-Identifier: MIT */
/*
 * Contract of <stele/fault.h>: just the allocations fail that were chosen, and no memory is lost by
 * it.
 */
#include "contract.h"
#include <errno.h>
#include <pthread.h>
#include <stele/fault.h>
#include <stele/mempool.h>
#include <stele/page.h>

#define LARGE 100000ul

static void choose(enum stele_fault_kind kind, struct stele_fault how)
{
	how.silent = true;
	assert_int_equal(stele_fault_set(kind, &how), 0);
}

static int choose_none(void **state)
{
	(void)state;
	stele_fault_nth(0);
	return stele_fault_set(STELE_FAULT_SLAB, NULL) || stele_fault_set(STELE_FAULT_PAGE, NULL);
}

static bool fails(size_t size, gfp_t gfp)
{
	void *p = kmalloc(size, gfp);

	kfree(p);
	return !p;
}

/* Bit i: the i-th of 64 allocations failed. */
static uint64_t failures(size_t size)
{
	uint64_t bits = 0;

	for (unsigned i = 0; i < 64; i++)
		bits |= (uint64_t)fails(size, GFP_KERNEL) << i;
	return bits;
}

static uint64_t failed_so_far(enum stele_fault_kind kind)
{
	struct stele_fault_counts counts;

	stele_fault_read(kind, &counts);
	return counts.failed;
}

static void nothing_fails_unless_it_is_chosen(void **state)
{
	(void)state;
	assert_int_equal(failures(64), 0);
	choose(STELE_FAULT_SLAB, (struct stele_fault){ .probability = 100 });
	assert_int_equal(failures(64), 0); /* times is 0 */
	choose(STELE_FAULT_SLAB, (struct stele_fault){ .times = -1 });
	assert_int_equal(failures(64), 0);
}

static void a_wrong_choice_is_refused(void **state)
{
	const struct stele_fault most = { .probability = 101 }, times = { .times = -2 };

	(void)state;
	assert_int_equal(stele_fault_set(STELE_FAULT_SLAB, &most), -EINVAL);
	assert_int_equal(stele_fault_set(STELE_FAULT_SLAB, &times), -EINVAL);
	assert_int_equal(stele_fault_set(STELE_FAULT_KINDS, NULL), -EINVAL);
	assert_int_equal(failures(64), 0);
}

static void every_call_for_objects_can_fail(void **state)
{
	struct kmem_cache *s = kmem_cache_create("failing", 100, NULL, 0);
	void *p[4];

	(void)state;
	choose(STELE_FAULT_SLAB, (struct stele_fault){ .probability = 100, .times = -1 });
	assert_null(kmem_cache_alloc(s, GFP_KERNEL));
	assert_null(kmem_cache_alloc_node(s, GFP_KERNEL, 0));
	assert_false(kmem_cache_alloc_bulk(s, GFP_KERNEL, 4, p));
	assert_null(kmalloc(24, GFP_KERNEL));
	assert_null(kmalloc_node(24, GFP_KERNEL, 0));
	assert_null(kvmalloc(24, GFP_KERNEL));
	assert_null(krealloc(NULL, 24, GFP_KERNEL));
	assert_null(mempool_create_kmalloc_pool(1, 24));
	assert_non_null(p[0] = kmalloc(LARGE, GFP_KERNEL)); /* of the other kind */
	choose_none(NULL);
	kfree(p[0]);
	destroy_empty(s);
}

static void every_call_for_pages_can_fail(void **state)
{
	void *p;

	(void)state;
	choose(STELE_FAULT_PAGE, (struct stele_fault){ .probability = 100, .times = -1 });
	assert_null(alloc_pages(GFP_KERNEL, 0));
	assert_null(alloc_pages_node(0, GFP_KERNEL, 2));
	assert_int_equal(__get_free_pages(GFP_KERNEL, 1), 0);
	assert_null(alloc_pages_exact(5000, GFP_KERNEL));
	assert_null(kmalloc(LARGE, GFP_KERNEL));
	assert_null(kvmalloc(3 << 20, GFP_KERNEL));
	assert_non_null(p = kmalloc(64, GFP_KERNEL));
	choose_none(NULL);
	kfree(p);
}

/* Calls that are promised never to fail do not fail on purpose, and neither do calls without a
 * lock. */
static void some_calls_never_fail(void **state)
{
	struct kmem_cache *s = kmem_cache_create("never", 100, NULL, 0);
	struct slab_sheaf *sheaf;
	struct page *page;
	void *p[5];

	(void)state;
	choose(STELE_FAULT_SLAB, (struct stele_fault){ .probability = 100, .times = -1 });
	choose(STELE_FAULT_PAGE, (struct stele_fault){ .probability = 100, .times = -1 });
	assert_non_null(p[0] = kmalloc(64, GFP_KERNEL | __GFP_NOFAIL));
	assert_non_null(p[1] = kmalloc(LARGE, GFP_KERNEL | __GFP_NOFAIL));
	assert_non_null(p[2] = kmalloc_nolock(64, 0, NUMA_NO_NODE));
	assert_non_null(p[3] = kmem_cache_alloc_nolock(s, 0, NUMA_NO_NODE));
	assert_non_null(page = alloc_pages_nolock(0, NUMA_NO_NODE, 0));
	assert_non_null(sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 3));
	assert_non_null(p[4] = kmem_cache_alloc_from_sheaf(s, 0, sheaf));
	choose_none(NULL);
	kfree(p[0]);
	kfree(p[1]);
	kfree(p[2]);
	kmem_cache_free(s, p[3]);
	kmem_cache_free(s, p[4]);
	free_pages_nolock(page, 0);
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	destroy_empty(s);
}

static void a_limit_ends_the_failures(void **state)
{
	(void)state;
	choose(STELE_FAULT_SLAB, (struct stele_fault){ .probability = 100, .times = 3 });
	assert_int_equal(failures(64), 7);
	assert_int_equal(failed_so_far(STELE_FAULT_SLAB), 3);
}

static void an_interval_spares_those_between(void **state)
{
	(void)state;
	choose(STELE_FAULT_SLAB,
	       (struct stele_fault){ .probability = 100, .times = -1, .interval = 8 });
	assert_int_equal(failures(64), 0x8080808080808080u);
}

static void space_is_granted_first(void **state)
{
	(void)state;
	choose(STELE_FAULT_SLAB,
	       (struct stele_fault){ .probability = 100, .times = 1, .space = 64 * 10 + 1 });
	assert_int_equal(failures(64), 1u << 10);
}

static void the_same_seed_gives_the_same_failures(void **state)
{
	struct stele_fault how = { .probability = 40, .times = -1, .seed = 7 };
	uint64_t first, other;

	(void)state;
	choose(STELE_FAULT_SLAB, how);
	first = failures(64);
	choose(STELE_FAULT_SLAB, how);
	assert_int_equal(failures(64), first);
	how.seed = 8;
	choose(STELE_FAULT_SLAB, how);
	other = failures(64);
	assert_int_not_equal(other, first);
	/* About as many as asked for. */
	assert_in_range(__builtin_popcountll(first) + __builtin_popcountll(other), 26, 76);
}

static void requests_that_may_wait_can_be_spared(void **state)
{
	(void)state;
	choose(STELE_FAULT_SLAB,
	       (struct stele_fault){ .probability = 100, .times = -1, .spare_waiting = true });
	assert_false(fails(64, GFP_KERNEL));
	assert_true(fails(64, GFP_ATOMIC));
	assert_true(fails(64, GFP_NOWAIT));
}

static void small_blocks_can_be_spared(void **state)
{
	struct page *page;

	(void)state;
	choose(STELE_FAULT_PAGE,
	       (struct stele_fault){ .probability = 100, .times = -1, .min_order = 1 });
	page = alloc_pages(GFP_KERNEL, 0);
	assert_non_null(page);
	assert_null(alloc_pages(GFP_KERNEL, 1));
	choose_none(NULL);
	__free_pages(page, 0);
}

static void only_marked_caches_fail(void **state)
{
	struct kmem_cache *plain = kmem_cache_create("plain", 72, NULL, SLAB_NO_MERGE);
	struct kmem_cache *marked = kmem_cache_create("marked", 72, NULL, SLAB_NO_MERGE);
	void *p;

	(void)state;
	choose(STELE_FAULT_SLAB,
	       (struct stele_fault){ .probability = 100, .times = -1, .only_marked_caches = true });
	assert_false(stele_fault_cache(marked, true));
	assert_null(kmem_cache_alloc(marked, GFP_KERNEL));
	p = kmem_cache_alloc(plain, GFP_KERNEL);
	assert_non_null(p);
	kmem_cache_free(plain, p);
	assert_false(stele_fault_cache(plain, true));
	assert_null(kmem_cache_alloc(plain, GFP_KERNEL));
	assert_true(stele_fault_cache(plain, false));
	choose_none(NULL);
	destroy_empty(plain);
	destroy_empty(marked);
}

static void *failures_of_a_thread(void *marked)
{
	void *bits = NULL;

	if (marked && stele_fault_thread(true) != 0)
		return NULL;
	bits = (void *)(uintptr_t)failures(64);
	stele_fault_thread(false);
	return bits;
}

static void only_marked_threads_fail(void **state)
{
	int mark;
	void *bits;

	(void)state;
	choose(STELE_FAULT_SLAB, (struct stele_fault){ .probability = 100,
						       .times = -1,
						       .only_marked_threads = true });
	/* More threads than may be marked at a time. */
	for (unsigned i = 0; i < 300; i++) {
		pthread_t thread;

		assert_int_equal(pthread_create(&thread, NULL, failures_of_a_thread,
						i % 100 ? &mark : NULL),
				 0);
		pthread_join(thread, &bits);
		assert_int_equal((uintptr_t)bits, i % 100 ? UINT64_MAX : 0);
	}
	assert_int_equal(failures(64), 0);
}

static void *failure_of_a_thread_that_counts(void *n)
{
	stele_fault_nth((unsigned)(uintptr_t)n);
	return (void *)(uintptr_t)failures(64);
}

static void the_nth_of_a_thread_fails_and_no_other(void **state)
{
	pthread_t thread;
	void *bits;

	(void)state;
	for (unsigned n = 1; n < 65; n += 9) {
		assert_int_equal(stele_fault_nth(n), 0);
		assert_int_equal(pthread_create(&thread, NULL, failure_of_a_thread_that_counts,
						(void *)(uintptr_t)(65 - n)),
				 0);
		pthread_join(thread, &bits);
		assert_int_equal((uintptr_t)bits, 1ull << (64 - n));
		assert_int_equal(failures(64), 1ull << (n - 1));
	}
	stele_fault_nth(100);
	failures(64);
	assert_int_equal(stele_fault_nth(0), 36);
}

/* Two places to call from, one behind the other. */
static __attribute__((noinline, section(".text.fault_here"))) bool fails_here(void)
{
	bool failed = fails(opaque(64), GFP_KERNEL);

	__asm__ volatile("");
	return failed;
}

static void only_calls_from_a_place_fail(void **state)
{
	/* kmalloc() is called by fails(), which may be part of fails_here(). */
	uintptr_t first = (uintptr_t)fails, here = (uintptr_t)fails_here;
	uintptr_t start = first < here ? first : here, end = (first < here ? here : first) + 256;

	(void)state;
	choose(STELE_FAULT_SLAB, (struct stele_fault){ .probability = 100,
						       .times = -1,
						       .require_start = start,
						       .require_end = end });
	assert_true(fails_here());
	choose(STELE_FAULT_SLAB, (struct stele_fault){ .probability = 100,
						       .times = -1,
						       .require_start = 4096,
						       .require_end = 8192 });
	assert_false(fails_here());
	choose(STELE_FAULT_SLAB,
	       (struct stele_fault){
		       .probability = 100, .times = -1, .reject_start = start, .reject_end = end });
	assert_false(fails_here());
	choose(STELE_FAULT_SLAB,
	       (struct stele_fault){
		       .probability = 100, .times = -1, .reject_start = 4096, .reject_end = 8192 });
	assert_true(fails_here());
}

static void a_resize_that_fails_leaves_all_as_it_was(void **state)
{
	static const size_t from[] = { 40, 3000, 40000, 100000, 3 << 20 };

	(void)state;
	for (unsigned i = 0; i < 5; i++) {
		char *p = kvmalloc(from[i], GFP_KERNEL), *q;

		sign(p, from[i], i);
		for (unsigned n = 1; n < 3; n++) {
			stele_fault_nth(n);
			q = kvrealloc(p, from[i] * 2, GFP_KERNEL);
			if (n == 1)
				assert_null(q);
			if (q)
				break;
			assert_true(signed_by(p, from[i], i));
		}
		stele_fault_nth(0);
		kvfree(q ? q : p);
	}
}

static void the_first_failures_are_told(void **state)
{
	const struct stele_fault how = { .probability = 100, .times = -1 };
	struct stderr_text t;
	unsigned lines = 0;

	(void)state;
	STDERR_OF(&t, assert_int_equal(stele_fault_set(STELE_FAULT_SLAB, &how), 0);
		  assert_true(fails(60, GFP_KERNEL)));
	assert_says(&t, "stele: failslab: forcing a failure: 64 bytes of kmalloc-64\n");
	assert_int_equal(t.callers, 1);
	STDERR_OF(&t, assert_true(fails(60, GFP_NOWAIT)));
	assert_silent(&t); /* __GFP_NOWARN */
	STDERR_OF(&t, for (unsigned i = 0; i < 30; i++) fails(60, GFP_KERNEL));
	for (const char *at = t.text; (at = strstr(at, "forcing")); at++)
		lines++;
	assert_in_range(lines, 5, 9);
	STDERR_OF(&t, assert_true(fails(60, GFP_KERNEL)));
	assert_silent(&t);
}

/* A pool or a cache that could not be made leaves nothing behind, whichever step failed. */
static void a_pool_or_cache_that_fails_leaves_nothing(void **state)
{
	struct stele_stats before, after;
	mempool_t *pool = NULL;
	unsigned n = 0;

	(void)state;
	pool = mempool_create_kmalloc_pool(8, 500);
	mempool_destroy(pool);
	before = stats_now();
	do {
		assert_int_equal(stele_fault_nth(++n), 0);
		pool = mempool_create_kmalloc_pool(8, 500);
		assert_true(stele_fault_nth(0) > 0 || !pool);
	} while (!pool);
	assert_true(n >= 9);
	mempool_destroy(pool);
	after = stats_now();
	assert_true(after.slab_bytes - after.slab_free_bytes <=
		    before.slab_bytes - before.slab_free_bytes + 64 * 512);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_teardown(name, choose_none)
	const struct CMUnitTest tests[] = {
		TEST(nothing_fails_unless_it_is_chosen),
		TEST(a_wrong_choice_is_refused),
		TEST(every_call_for_objects_can_fail),
		TEST(every_call_for_pages_can_fail),
		TEST(some_calls_never_fail),
		TEST(a_limit_ends_the_failures),
		TEST(an_interval_spares_those_between),
		TEST(space_is_granted_first),
		TEST(the_same_seed_gives_the_same_failures),
		TEST(requests_that_may_wait_can_be_spared),
		TEST(small_blocks_can_be_spared),
		TEST(only_marked_caches_fail),
		TEST(only_marked_threads_fail),
		TEST(the_nth_of_a_thread_fails_and_no_other),
		TEST(only_calls_from_a_place_fail),
		TEST(a_resize_that_fails_leaves_all_as_it_was),
		TEST(the_first_failures_are_told),
		TEST(a_pool_or_cache_that_fails_leaves_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
