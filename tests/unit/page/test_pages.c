/* SPDX-License-Identifier: MIT */
/*
 * Tests of page/pages.c: the public page calls, and their answers to a wrong free.
 */
#include "pages.h"

#include "../base/stderr_of.h"

#include <stdio.h>

#include <stele/page.h>

static struct stderr_text said;

static void assert_said(const char *format, const void *p)
{
	char expected[256];

	snprintf(expected, sizeof(expected), format, p);
	assert_string_equal(said.text, expected);
}

#define SAID(code)                                                                                 \
	do {                                                                                       \
		assert_true(stderr_begin(&said));                                                  \
		code;                                                                              \
		stderr_end(&said);                                                                 \
	} while (0)

static void an_order_is_the_smallest_that_holds(void **state)
{
	(void)state;
	assert_int_equal(get_order(1), 0);
	assert_int_equal(get_order(PAGE_SIZE), 0);
	assert_int_equal(get_order(PAGE_SIZE + 1), 1);
	assert_int_equal(get_order(PAGE_SIZE * 2), 1);
	assert_int_equal(get_order(PAGE_SIZE * 3), 2);
	assert_int_equal(get_order(PAGE_SIZE * 1024), 10);
	assert_int_equal(get_order(PAGE_SIZE * 1024 + 1), 11);
}

static void a_block_is_aligned_to_its_size_and_usable(void **state)
{
	(void)state;
	for (unsigned order = 0; order <= MAX_PAGE_ORDER; order++) {
		size_t bytes = PAGE_SIZE << order;
		struct page *page = alloc_pages(GFP_KERNEL, order);
		char *p = page_address(page);

		assert_non_null(page);
		assert_int_equal((uintptr_t)p % bytes, 0);
		p[0] = p[bytes - 1] = 1;
		assert_ptr_equal(virt_to_page(p), page);
		assert_ptr_equal(virt_to_page(p + PAGE_SIZE - 1), page);
		SAID(__free_pages(page, order));
		assert_string_equal(said.text, "");
	}
}

static void zeroed_pages_are_zero_after_use(void **state)
{
	(void)state;
	for (int i = 0; i < 4; i++) {
		unsigned long one = get_zeroed_page(GFP_KERNEL);
		unsigned long many = __get_free_pages(GFP_KERNEL | __GFP_ZERO, 9);

		assert_true(all_bytes((void *)one, PAGE_SIZE, 0));
		assert_true(all_bytes((void *)many, PAGE_SIZE << 9, 0));
		memset((void *)one, 1, PAGE_SIZE);
		memset((void *)many, 1, PAGE_SIZE << 9);
		free_page(one);
		free_pages(many, 9);
	}
}

static void an_exact_block_is_not_rounded_to_an_order(void **state)
{
	uint64_t before = stele_page_stats().used;
	char *p = alloc_pages_exact(PAGE_SIZE * 4 + 1, GFP_KERNEL);

	(void)state;
	assert_non_null(p);
	assert_int_equal(stele_page_stats().used - before, PAGE_SIZE * 5);
	memset(p, 1, PAGE_SIZE * 5);
	SAID(free_pages_exact(p, PAGE_SIZE * 4 + 1));
	assert_string_equal(said.text, "");
	assert_null(alloc_pages_exact(0, GFP_KERNEL));
	assert_null(alloc_pages_exact(SIZE_MAX, GFP_KERNEL));
	assert_null(alloc_pages_exact((size_t)PTRDIFF_MAX + 1, GFP_KERNEL));
}

static void too_high_an_order_and_another_node_have_nothing(void **state)
{
	struct page *page;

	(void)state;
	assert_null(alloc_pages(GFP_KERNEL, MAX_PAGE_ORDER + 1));
	assert_null(alloc_pages(GFP_KERNEL, ~0u));
	assert_int_equal(__get_free_pages(GFP_KERNEL, 64), 0);
	assert_null(alloc_pages_node(1000, GFP_KERNEL | __GFP_THISNODE, 0));
	page = alloc_pages_node(0, GFP_KERNEL | __GFP_THISNODE, 0);
	assert_non_null(page);
	__free_page(page);
	page = alloc_pages_node(1, GFP_KERNEL, 0);
	assert_non_null(page);
	__free_page(page);
}

static void only_empty_places_of_an_array_are_filled(void **state)
{
	struct page *own = alloc_page(GFP_KERNEL), *array[9] = { NULL, own };
	uint64_t before = stele_page_stats().used;

	(void)state;
	assert_int_equal(alloc_pages_bulk(GFP_KERNEL | __GFP_ZERO, 9, array), 9);
	assert_int_equal(stele_page_stats().used - before, 8 * PAGE_SIZE);
	assert_ptr_equal(array[1], own);
	for (int i = 0; i < 9; i++)
		for (int j = 0; j < i; j++)
			assert_ptr_not_equal(array[i], array[j]);
	assert_true(all_bytes(page_address(array[8]), PAGE_SIZE, 0));
	assert_int_equal(alloc_pages_bulk(GFP_KERNEL, 9, array), 9);
	assert_int_equal(alloc_pages_bulk(GFP_KERNEL, 0, array), 0);
	free_pages_bulk(&array[3], 1);
	array[3] = NULL;
	SAID(free_pages_bulk(array, 9));
	assert_string_equal(said.text, "");
	assert_int_equal(stele_page_stats().used, before - PAGE_SIZE);
}

static void where_memory_ends_an_array_is_filled_so_far(void **state)
{
	struct page *own = alloc_page(GFP_KERNEL), *array[4] = { own };

	(void)state;
	assert_int_equal(alloc_pages_bulk_node(GFP_KERNEL | __GFP_THISNODE, 1000, 4, array), 1);
	assert_null(array[1]);
	array[2] = own;
	assert_int_equal(alloc_pages_bulk_node(GFP_KERNEL, 0, 2, array), 2);
	__free_page(array[1]);
	__free_page(own);
}

static void freeing_nothing_is_allowed(void **state)
{
	(void)state;
	SAID(__free_pages(NULL, 3); free_pages(0, 3); free_pages_exact(NULL, 3));
	assert_string_equal(said.text, "");
	assert_null(page_address(NULL));
}

static void a_foreign_address_has_no_page(void **state)
{
	int on_stack = 0;

	(void)state;
	assert_null(virt_to_page(&on_stack));
	assert_null(virt_to_page(NULL));
}

static void a_wrong_free_is_told_and_does_nothing(void **state)
{
	unsigned long p = __get_free_pages(GFP_KERNEL, 2);
	void *exact = alloc_pages_exact(PAGE_SIZE * 3, GFP_KERNEL);
	int on_stack = 0;

	(void)state;
	memset((void *)p, 0x42, PAGE_SIZE * 4);
	SAID(free_pages(p, 1));
	assert_said("stele: free_pages(%p): allocated with another size; not freed\n", (void *)p);
	assert_int_equal(said.callers, 1);
	assert_non_null(strstr(said.caller, "page_pages+0x"));
	SAID(free_pages(p, 3));
	assert_said("stele: free_pages(%p): allocated with another size; not freed\n", (void *)p);
	SAID(free_pages(p, 11));
	assert_said("stele: free_pages(%p): order too large; not freed\n", (void *)p);
	SAID(__free_pages(virt_to_page((void *)p), 99));
	assert_said("stele: __free_pages(%p): order too large; not freed\n", (void *)p);
	SAID(__free_pages(virt_to_page((void *)p), 0));
	assert_said("stele: __free_pages(%p): allocated with another size; not freed\n", (void *)p);
	SAID(free_pages(p + PAGE_SIZE, 0));
	assert_said("stele: free_pages(%p): not the start of pages that are allocated; not freed\n",
		    (void *)(p + PAGE_SIZE));
	SAID(free_pages((unsigned long)&on_stack, 0));
	assert_said("stele: free_pages(%p): not the start of pages that are allocated; not freed\n",
		    &on_stack);
	SAID(free_pages_exact(exact, PAGE_SIZE * 2));
	assert_said("stele: free_pages_exact(%p): allocated with another size; not freed\n", exact);
	assert_true(all_bytes((void *)p, PAGE_SIZE * 4, 0x42));
	SAID(free_pages(p, 2); free_pages_exact(exact, PAGE_SIZE * 3));
	assert_string_equal(said.text, "");
	SAID(free_pages(p, 2));
	assert_said("stele: free_pages(%p): not the start of pages that are allocated; not freed\n",
		    (void *)p);
}

static void errno_is_left_alone(void **state)
{
	unsigned long p;

	(void)state;
	errno = 4711;
	p = __get_free_pages(GFP_KERNEL, 3);
	SAID(free_pages(p, 2));
	free_pages(p, 3);
	assert_null(alloc_pages(GFP_KERNEL, 99));
	assert_int_equal(errno, 4711);
}

static void no_memory_is_null(void **state)
{
	(void)state;
	stele_inject_page_fail = -1;
	assert_null(alloc_pages(GFP_KERNEL, 0));
	assert_null(alloc_pages(GFP_KERNEL, MAX_PAGE_ORDER));
	assert_int_equal(get_zeroed_page(GFP_KERNEL), 0);
	assert_null(alloc_pages_exact(100000, GFP_KERNEL));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		page_test(an_order_is_the_smallest_that_holds),
		page_test(a_block_is_aligned_to_its_size_and_usable),
		page_test(zeroed_pages_are_zero_after_use),
		page_test(an_exact_block_is_not_rounded_to_an_order),
		page_test(too_high_an_order_and_another_node_have_nothing),
		page_test(only_empty_places_of_an_array_are_filled),
		page_test(where_memory_ends_an_array_is_filled_so_far),
		page_test(freeing_nothing_is_allowed),
		page_test(a_foreign_address_has_no_page),
		page_test(a_wrong_free_is_told_and_does_nothing),
		page_test(errno_is_left_alone),
		page_test(no_memory_is_null),
	};

	return small_arena("256m") != 0 || cmocka_run_group_tests(tests, NULL, NULL);
}
