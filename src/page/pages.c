/* SPDX-License-Identifier: MIT */
/*
 * page/pages.c - the public door of the floor: alloc_pages() and friends
 *
 * Idea      A struct page is the entry of the page map, so it costs nothing. A block is a
 *           run (huge from an area on) with RUN_PAGES_FLAG in its kind; its `bytes` check the free.
 * Context   any. alloc_pages() may take long when a big free block has to be found, and may have to
 *           clear it; __free_pages() may purge, free_pages_nolock() leaves that to others.
 * Failure   NULL or 0; a bad free is reported and nothing happens.
 * Tests     tests/unit/page/test_pages.c, tests/contract/test_nolock.c
 */
#include "base/basics.h"
#include "base/fmt.h"
#include "os/os.h"
#include "os/report.h"
#include "page/run.h"
#include "page/where.h"
#include "percpu/system.h"
#include "trace/trace.h"
#include <stele/page.h>
#include <stele/topology.h>

struct page {
	uint32_t ref;
};

size_t stele_page_bytes(void)
{
	return stele_page_size();
}

void *page_address(const struct page *page)
{
	size_t index;

	if (!page)
		return NULL;
	index = (size_t)((const char *)page - stele_hot.refs) / sizeof(*page);
	return stele_hot.first + (index << FRAME_SHIFT);
}

struct page *virt_to_page(const void *p)
{
	uintptr_t page = (uintptr_t)p & ~(stele_page_size() - 1);
	uint64_t offset = page - (uintptr_t)stele_hot.first;

	if ((uintptr_t)p - (uintptr_t)stele_hot.first >= stele_span_now())
		return NULL;
	return (struct page *)stele_hot.refs + (offset >> FRAME_SHIFT);
}

/* @site: where the call returns to; NULL: a call that never fails on purpose. */
static void *block_alloc(int node, size_t bytes, size_t align, gfp_t gfp, const void *site)
{
	void *p;

	if (stele_heap_start() != 0 || (site && pages_fail(bytes, gfp, site)))
		return NULL;
	p = stele_large_take(bytes, align, gfp, node);
	if (p) {
		stele_run_of(p)->kind |= RUN_PAGES_FLAG;
		run_changed();
	}
	return p;
}

/* @site: where the call returns to. */
static void report(const char *call, const void *p, const char *what, const void *site)
{
	char place[STELE_OS_PLACE_SIZE];

	stele_report("stele: %s(%p): %s; not freed (called from %s)\n", call, p, what,
		     stele_os_place(site, place));
	stele_reported();
}

/* The run of a block that may be freed; else NULL, and it was reported. */
static struct run *block_of(const char *call, void *p, size_t bytes, const void *site)
{
	struct run *run = stele_heap_started() ? stele_run_of(p) : NULL;

	if (!run || !(run->kind & RUN_PAGES_FLAG) || run->base != (uintptr_t)p)
		report(call, p, "not the start of pages that are allocated", site);
	else if (run->bytes != bytes)
		report(call, p, "allocated with another size", site);
	else
		return run;
	return NULL;
}

static void block_free(const char *call, void *p, size_t bytes, const void *site)
{
	struct run *run = block_of(call, p, bytes, site);

	if (run)
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
	return (unsigned long)block_alloc(NUMA_NO_NODE, order_bytes(order), order_bytes(order), gfp,
					  STELE_CALLER);
}

unsigned long get_zeroed_page(gfp_t gfp)
{
	return __get_free_pages(gfp | __GFP_ZERO, 0);
}

void free_pages(unsigned long address, unsigned int order)
{
	if (address && order <= MAX_PAGE_ORDER)
		block_free("free_pages", (void *)address, order_bytes(order), STELE_CALLER);
	else if (address)
		report("free_pages", (void *)address, "order too large", STELE_CALLER);
}

static struct page *pages_alloc(int node, gfp_t gfp, unsigned int order, const void *site)
{
	void *p;

	if (order > MAX_PAGE_ORDER)
		return NULL;
	p = block_alloc(node, order_bytes(order), order_bytes(order), gfp, site);
	return p ? virt_to_page(p) : NULL;
}

struct page *alloc_pages(gfp_t gfp, unsigned int order)
{
	return pages_alloc(NUMA_NO_NODE, gfp, order, STELE_CALLER);
}

struct page *alloc_pages_node(int node, gfp_t gfp, unsigned int order)
{
	return pages_alloc(node, gfp, order, STELE_CALLER);
}

void __free_pages(struct page *page, unsigned int order)
{
	if (!page)
		return;
	if (order > MAX_PAGE_ORDER)
		report("__free_pages", page_address(page), "order too large", STELE_CALLER);
	else
		block_free("__free_pages", page_address(page), order_bytes(order), STELE_CALLER);
}

/* ---- any context ---- */

#define NOLOCK_IMPLIED (__GFP_ZERO | __GFP_NOWARN | __GFP_NOMEMALLOC | __GFP_COMP)

static void warn_flags(gfp_t gfp)
{
	STELE_WARN_ONCE("stele: alloc_pages_nolock: flags 0x%x are not for this call\n", gfp);
}

STELE_NEVER_WAITS struct page *alloc_pages_nolock(gfp_t gfp, int node, unsigned int order)
{
	gfp_t strange = gfp & ~(__GFP_ACCOUNT | NOLOCK_IMPLIED);

	if (strange)
		warn_flags(strange);
	return pages_alloc(node, (gfp & ~__GFP_RECLAIM) | NOLOCK_IMPLIED, order, NULL);
}

STELE_NEVER_WAITS void free_pages_nolock(struct page *page, unsigned int order)
{
	void *p = page_address(page);
	struct run *run;

	if (!page)
		return;
	if (order > MAX_PAGE_ORDER) {
		report("free_pages_nolock", p, "order too large", STELE_CALLER);
		return;
	}
	run = block_of("free_pages_nolock", p, order_bytes(order), STELE_CALLER);
	if (run)
		stele_large_free_later(run);
}

/* ---- many at once ---- */

static unsigned long fill_array(int node, gfp_t gfp, unsigned long n, struct page **array,
				const void *site)
{
	unsigned long i = 0;

	while (i < n && (array[i] || (array[i] = pages_alloc(node, gfp, 0, site))))
		i++;
	return i;
}

unsigned long alloc_pages_bulk(gfp_t gfp, unsigned long n, struct page **array)
{
	return fill_array(NUMA_NO_NODE, gfp, n, array, STELE_CALLER);
}

unsigned long alloc_pages_bulk_node(gfp_t gfp, int node, unsigned long n, struct page **array)
{
	return fill_array(node, gfp, n, array, STELE_CALLER);
}

void free_pages_bulk(struct page **array, unsigned long n)
{
	for (unsigned long i = 0; i < n; i++)
		if (array[i])
			block_free("free_pages_bulk", page_address(array[i]), order_bytes(0),
				   STELE_CALLER);
}

/* ---- no more than asked for ---- */

static size_t exact_bytes(size_t size)
{
	return STELE_ALIGN_UP(size, stele_page_size());
}

static void *exact_alloc(int node, size_t size, gfp_t gfp, const void *site)
{
	if (!size || size > PTRDIFF_MAX)
		return NULL;
	return block_alloc(node, exact_bytes(size), stele_page_size(), gfp, site);
}

void *alloc_pages_exact_nid(int node, size_t size, gfp_t gfp)
{
	return exact_alloc(node, size, gfp, STELE_CALLER);
}

void *alloc_pages_exact(size_t size, gfp_t gfp)
{
	return exact_alloc(NUMA_NO_NODE, size, gfp, STELE_CALLER);
}

void free_pages_exact(void *p, size_t size)
{
	if (p)
		block_free("free_pages_exact", p, exact_bytes(size), STELE_CALLER);
}

/* ---- nodes ---- */

int page_to_nid(const struct page *page)
{
	const char *p = page_address(page);

	if (!p)
		return NUMA_NO_NODE;
	return (int)node_at(p);
}

int cpu_to_node(int cpu)
{
	stele_heap_start();
	return cpu < 0 ? NUMA_NO_NODE : (int)stele_node_of_cpu((unsigned)cpu);
}

int numa_mem_id(void)
{
	stele_heap_start();
	return (int)stele_node_here();
}
