/* SPDX-License-Identifier: MIT */
/*
 * page/pages.c - the public door of the floor: alloc_pages() and friends
 *
 * Idea      A struct page is the entry of the page map, so it costs nothing. A block is a
 *           run (huge above half an area) of kind RUN_PAGES; its `bytes` check the free.
 * Context   any.
 * Failure   NULL or 0; a bad free is reported and nothing happens.
 * Tests     tests/unit/page/test_pages.c
 */
#include "base/fmt.h"
#include "base/options.h"
#include "page/run.h"
#include "percpu/system.h"
#include <stdlib.h>
#include <stele/page.h>

struct page {
	uint32_t ref;
};

size_t stele_page_bytes(void)
{
	return stele_page_size();
}

int get_order(size_t size)
{
	size_t pages = (size + stele_page_size() - 1) / stele_page_size();
	int order = 0;

	while (((size_t)1 << order) < pages)
		order++;
	return order;
}

void *page_address(const struct page *page)
{
	size_t index;

	if (!page)
		return NULL;
	index = (size_t)((const char *)page - (stele_hot.base + STELE_MAP_OFFSET)) / sizeof(*page);
	return stele_hot.base + (index << FRAME_SHIFT);
}

struct page *virt_to_page(const void *p)
{
	uintptr_t page = (uintptr_t)p & ~(stele_page_size() - 1);
	uint64_t offset = page - (uintptr_t)stele_hot.base;

	if ((uintptr_t)p - (uintptr_t)stele_hot.base >= stele_hot.span)
		return NULL;
	return (struct page *)(stele_hot.base + STELE_MAP_OFFSET) + (offset >> FRAME_SHIFT);
}

static void *block_alloc(size_t bytes, size_t align, gfp_t gfp)
{
	void *p;

	if (stele_heap_start() != 0)
		return NULL;
	p = stele_large_alloc(bytes, align, gfp & __GFP_ZERO);
	if (p)
		stele_run_of(p)->kind |= RUN_PAGES_FLAG;
	return p;
}

static void report(const char *call, const void *p, const char *what)
{
	stele_say("stele: %s(%p): %s; not freed\n", call, p, what);
	if (stele_opt.abort_on_error)
		abort();
}

static void block_free(const char *call, void *p, size_t bytes)
{
	struct run *run = stele_heap_started() ? stele_run_of(p) : NULL;

	if (!run || !(run->kind & RUN_PAGES_FLAG) || run->base != (uintptr_t)p)
		report(call, p, "not the start of pages that are allocated");
	else if (run->bytes != bytes)
		report(call, p, "allocated with another size");
	else
		stele_large_free(run);
}

static size_t order_bytes(unsigned int order)
{
	return stele_page_size() << order;
}

unsigned long __get_free_pages(gfp_t gfp, unsigned int order)
{
	if (order > MAX_PAGE_ORDER)
		return 0;
	return (unsigned long)block_alloc(order_bytes(order), order_bytes(order), gfp);
}

unsigned long get_zeroed_page(gfp_t gfp)
{
	return __get_free_pages(gfp | __GFP_ZERO, 0);
}

void free_pages(unsigned long address, unsigned int order)
{
	if (address && order <= MAX_PAGE_ORDER)
		block_free("free_pages", (void *)address, order_bytes(order));
	else if (address)
		report("free_pages", (void *)address, "order too large");
}

struct page *alloc_pages(gfp_t gfp, unsigned int order)
{
	void *p = (void *)__get_free_pages(gfp, order);

	return p ? virt_to_page(p) : NULL;
}

struct page *alloc_pages_node(int node, gfp_t gfp, unsigned int order)
{
	/* One node of memory is managed; another one has nothing to give. */
	if (node > 0 && gfp & __GFP_THISNODE)
		return NULL;
	return alloc_pages(gfp, order);
}

void __free_pages(struct page *page, unsigned int order)
{
	if (!page)
		return;
	if (order > MAX_PAGE_ORDER)
		report("__free_pages", page_address(page), "order too large");
	else
		block_free("__free_pages", page_address(page), order_bytes(order));
}

static size_t exact_bytes(size_t size)
{
	return STELE_ALIGN_UP(size, stele_page_size());
}

void *alloc_pages_exact(size_t size, gfp_t gfp)
{
	if (!size || size > PTRDIFF_MAX)
		return NULL;
	return block_alloc(exact_bytes(size), stele_page_size(), gfp);
}

void free_pages_exact(void *p, size_t size)
{
	if (p)
		block_free("free_pages_exact", p, exact_bytes(size));
}
