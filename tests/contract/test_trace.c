/* SPDX-License-Identifier: MIT */
/*
 * Contract of <stele/trace.h>: every call causes one event. The event has the fields of the
 * kernel's event, and names the caller.
 */
#include "trace_log.h"

#include <stele/page.h>

/* ---- each call, once ---- */

static void kmalloc_and_kfree_say_what_the_kernel_says(void **state)
{
	void *p;

	(void)state;
	listen(OBJECTS);
	forget();
	/* Twice: once past an empty sheaf, once where the fast path would have served. */
	for (int i = 0; i < 2; i++) {
		p = kmalloc(100, GFP_ATOMIC);
		assert_non_null(p);
		expect_alloc(STELE_TRACE_KMALLOC, p, 100, ksize(p), GFP_ATOMIC, NUMA_NO_NODE);
		kfree(p);
		expect_kfree(p);
		expect_no_more();
	}
	stop();
}

static void every_call_by_size_is_one_event(void **state)
{
	void *p, *q;

	(void)state;
	listen(OBJECTS);
	forget();
	p = kzalloc(24, GFP_KERNEL);
	expect_alloc(STELE_TRACE_KMALLOC, p, 24, 24, GFP_KERNEL | __GFP_ZERO, NUMA_NO_NODE);
	kfree_sensitive(p);
	expect_kfree(p);
	p = kmalloc_node(3000, GFP_KERNEL, 0);
	expect_alloc(STELE_TRACE_KMALLOC, p, 3000, 3072, GFP_KERNEL, 0);
	kvfree(p);
	expect_kfree(p);
	p = kmalloc_nolock(40, __GFP_ZERO, NUMA_NO_NODE);
	expect_alloc(STELE_TRACE_KMALLOC, p, 40, 48, seen.event[next].gfp_flags, NUMA_NO_NODE);
	kfree_nolock(p);
	expect_kfree(p);
	p = kvmalloc(100, GFP_KERNEL);
	expect_alloc(STELE_TRACE_KMALLOC, p, 100, 112, GFP_KERNEL, NUMA_NO_NODE);
	kvfree_sensitive(p, 100);
	expect_kfree(p);
	p = kmalloc(10, GFP_KERNEL);
	q = krealloc(p, 200, GFP_ATOMIC);
	expect_alloc(STELE_TRACE_KMALLOC, p, 10, 16, GFP_KERNEL, NUMA_NO_NODE);
	expect_alloc(STELE_TRACE_KMALLOC, q, 200, 208, GFP_ATOMIC, NUMA_NO_NODE);
	expect_kfree(p);
	assert_ptr_equal(krealloc(q, 201, GFP_ATOMIC), q);
	assert_ptr_equal(krealloc(q, 0, GFP_ATOMIC), ZERO_SIZE_PTR);
	expect_kfree(q);
	expect_no_more();
	stop();
}

static void own_buckets_are_events_by_size(void **state)
{
	kmem_buckets *b = kmem_buckets_create("traced", 0, 0, 0, NULL);
	void *p, *q;

	(void)state;
	assert_non_null(b);
	listen(OBJECTS);
	forget();
	p = kmem_buckets_alloc(b, 100, GFP_ATOMIC);
	expect_alloc(STELE_TRACE_KMALLOC, p, 100, 128, GFP_ATOMIC, NUMA_NO_NODE);
	q = kmem_buckets_valloc(b, 100000, GFP_KERNEL);
	expect_alloc(STELE_TRACE_KMALLOC, q, 100000, ksize(q), GFP_KERNEL, NUMA_NO_NODE);
	kfree(p);
	expect_kfree(p);
	kvfree(q);
	expect_kfree(q);
	expect_no_more();
	stop();
	kmem_buckets_destroy(b);
}

static void every_call_for_a_cache_is_one_event(void **state)
{
	struct kmem_cache *s = kmem_cache_create("traced", 100, NULL, SLAB_NO_MERGE);
	void *p;

	(void)state;
	listen(OBJECTS);
	forget();
	p = kmem_cache_alloc(s, GFP_ATOMIC);
	expect_alloc(STELE_TRACE_KMEM_CACHE_ALLOC, p, 100, 104, GFP_ATOMIC, NUMA_NO_NODE);
	assert_string_equal(seen.event[0].name, "traced");
	kmem_cache_free(s, p);
	assert_string_equal(expect(STELE_TRACE_KMEM_CACHE_FREE, p)->name, "traced");
	p = kmem_cache_alloc_node(s, GFP_KERNEL, 0);
	expect_alloc(STELE_TRACE_KMEM_CACHE_ALLOC, p, 100, 104, GFP_KERNEL, 0);
	kfree(p);
	expect_kfree(p);
	assert_null(kmem_cache_alloc_node(s, __GFP_THISNODE, 1000));
	expect_alloc(STELE_TRACE_KMEM_CACHE_ALLOC, NULL, 100, 104, __GFP_THISNODE, 1000);
	p = kmem_cache_zalloc(s, GFP_KERNEL);
	expect_alloc(STELE_TRACE_KMEM_CACHE_ALLOC, p, 100, 104, GFP_KERNEL | __GFP_ZERO,
		     NUMA_NO_NODE);
	kmem_cache_free(s, p);
	expect(STELE_TRACE_KMEM_CACHE_FREE, p);
	expect_no_more();
	stop();
	kmem_cache_destroy(s);
}

static void bulk_is_one_event_for_each_object(void **state)
{
	struct kmem_cache *s = kmem_cache_create("traced", 64, NULL, SLAB_NO_MERGE);
	void *p[40];

	(void)state;
	listen(OBJECTS);
	forget();
	assert_true(kmem_cache_alloc_bulk(s, GFP_KERNEL, 40, p));
	for (int i = 0; i < 40; i++)
		expect_alloc(STELE_TRACE_KMEM_CACHE_ALLOC, p[i], 64, 64, GFP_KERNEL, NUMA_NO_NODE);
	kmem_cache_free_bulk(s, 20, p);
	kfree_bulk(20, p + 20);
	for (int i = 0; i < 20; i++)
		expect(STELE_TRACE_KMEM_CACHE_FREE, p[i]);
	for (int i = 20; i < 40; i++)
		expect_kfree(p[i]);
	expect_no_more();
	stop();
	kmem_cache_destroy(s);
}

static void a_users_sheaf_reports_each_object_taken_from_it(void **state)
{
	struct kmem_cache *s = kmem_cache_create("traced", 64, NULL, SLAB_NO_MERGE);
	struct slab_sheaf *sheaf;
	void *p;

	(void)state;
	listen(OBJECTS);
	forget();
	sheaf = kmem_cache_prefill_sheaf(s, GFP_KERNEL, 10);
	expect_no_more();
	p = kmem_cache_alloc_from_sheaf(s, GFP_ATOMIC, sheaf);
	expect_alloc(STELE_TRACE_KMEM_CACHE_ALLOC, p, 64, 64, GFP_ATOMIC, NUMA_NO_NODE);
	kmem_cache_return_sheaf(s, GFP_KERNEL, sheaf);
	expect_no_more();
	kmem_cache_free(s, p);
	expect(STELE_TRACE_KMEM_CACHE_FREE, p);
	expect_no_more();
	stop();
	kmem_cache_destroy(s);
}

static void pages_are_reported_with_their_order(void **state)
{
	size_t page = PAGE_SIZE;
	unsigned long address;
	void *p;

	(void)state;
	listen(OBJECTS | PAGES);
	forget();
	address = __get_free_pages(GFP_ATOMIC, 2);
	assert_int_equal(seen.event[0].order, 2);
	assert_int_equal(seen.event[0].bytes_alloc, 4 * page);
	assert_int_equal(seen.event[0].gfp_flags, GFP_ATOMIC);
	expect(STELE_TRACE_MM_PAGE_ALLOC, (void *)address);
	free_pages(address, 2);
	assert_int_equal(expect(STELE_TRACE_MM_PAGE_FREE, (void *)address)->order, 2);
	p = kmalloc(300000, GFP_KERNEL);
	assert_int_equal(expect(STELE_TRACE_MM_PAGE_ALLOC, p)->gfp_flags, GFP_KERNEL);
	expect_alloc(STELE_TRACE_KMALLOC, p, 300000, ksize(p), GFP_KERNEL, NUMA_NO_NODE);
	kfree(p);
	expect_kfree(p);
	expect(STELE_TRACE_MM_PAGE_FREE, p);
	expect_no_more();
	stop();
}

/* A tracer that pairs addresses must be able to follow a block that grows and moves. */
static void a_large_block_that_changes_is_freed_and_allocated(void **state)
{
	char *p = kvmalloc(3u << 20, GFP_KERNEL), *wall, *q;

	(void)state;
	wall = kvmalloc(3u << 20, GFP_KERNEL);
	listen(OBJECTS | PAGES);
	forget();
	q = kvrealloc(p, 9u << 20, GFP_KERNEL);
	assert_non_null(q);
	assert_ptr_not_equal(q, p);
	assert_int_equal(expect(STELE_TRACE_MM_PAGE_ALLOC, q)->bytes_alloc, 9u << 20);
	assert_int_equal(expect(STELE_TRACE_MM_PAGE_FREE, p)->bytes_alloc, 3u << 20);
	expect_kfree(p);
	expect_alloc(STELE_TRACE_KMALLOC, q, 9u << 20, 9u << 20, GFP_KERNEL, NUMA_NO_NODE);
	assert_ptr_equal(kvrealloc(q, 5u << 20, GFP_KERNEL), q);
	assert_int_equal(expect(STELE_TRACE_MM_PAGE_FREE, q)->bytes_alloc, 9u << 20);
	assert_int_equal(expect(STELE_TRACE_MM_PAGE_ALLOC, q)->bytes_alloc, 5u << 20);
	expect_no_more();
	stop();
	kvfree(q);
	kvfree(wall);
}

static void failures_have_no_address_and_nothing_freed_is_no_event(void **state)
{
	struct stderr_text t;
	long other;

	(void)state;
	listen(OBJECTS);
	forget();
	assert_null(kmalloc(opaque((size_t)1 << 40), GFP_KERNEL | __GFP_NOWARN));
	assert_int_equal(expect(STELE_TRACE_KMALLOC, NULL)->bytes_req, (size_t)1 << 40);
	assert_ptr_equal(kmalloc(0, GFP_KERNEL), ZERO_SIZE_PTR);
	kfree(NULL);
	kfree(ZERO_SIZE_PTR);
	STDERR_OF(&t, kfree(&other));
	expect_no_more();
	stop();
}

/* ---- the caller, and what is still there ---- */

static __attribute__((noinline)) void *call_from_here(void **freed)
{
	void *p = kmalloc(64, GFP_KERNEL);

	kfree(kmalloc(32, GFP_KERNEL));
	*freed = p; /* not a tail call */
	return p;
}

static bool is_in(const void *site, void *function)
{
	return (uintptr_t)site - (uintptr_t)function < 512;
}

static void the_call_site_is_the_callers(void **state)
{
	void *p, *again;

	(void)state;
	listen(OBJECTS);
	forget();
	p = call_from_here(&again);
	assert_int_equal(seen.n, 3);
	for (unsigned i = 0; i < 3; i++)
		assert_true(is_in(seen.event[i].call_site, (void *)(uintptr_t)call_from_here));
	stop();
	kfree(p);
}

static void look_inside(const struct stele_trace_event *event, void *arg)
{
	if (event->event & (STELE_TRACE_KFREE | STELE_TRACE_KMEM_CACHE_FREE))
		*(unsigned *)arg += *(const volatile unsigned *)event->ptr;
}

static void an_object_is_whole_when_its_free_is_reported(void **state)
{
	unsigned sum = 0, *p = kmalloc(64, GFP_KERNEL);

	(void)state;
	assert_int_equal(stele_trace_register(OBJECTS, look_inside, &sum), 0);
	*p = 77;
	kfree(p);
	assert_int_equal(stele_trace_unregister(look_inside, &sum), 0);
	assert_int_equal(sum, 77);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(kmalloc_and_kfree_say_what_the_kernel_says),
		cmocka_unit_test(every_call_by_size_is_one_event),
		cmocka_unit_test(own_buckets_are_events_by_size),
		cmocka_unit_test(every_call_for_a_cache_is_one_event),
		cmocka_unit_test(bulk_is_one_event_for_each_object),
		cmocka_unit_test(a_users_sheaf_reports_each_object_taken_from_it),
		cmocka_unit_test(pages_are_reported_with_their_order),
		cmocka_unit_test(a_large_block_that_changes_is_freed_and_allocated),
		cmocka_unit_test(failures_have_no_address_and_nothing_freed_is_no_event),
		cmocka_unit_test(the_call_site_is_the_callers),
		cmocka_unit_test(an_object_is_whole_when_its_free_is_reported),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
