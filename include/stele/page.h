/* SPDX-License-Identifier: MIT */
/*
 * stele/page.h - the page allocator
 *
 * Idea      Blocks of 2^order system pages, naturally aligned, or an exact number of pages.
 * Context   any, unless said otherwise. errno is preserved.
 * Unlike    the kernel: a page is address space with memory behind it at once, so
 *           alloc_pages() and __get_free_pages() differ only in what they return.
 */
#ifndef STELE_PAGE_H
#define STELE_PAGE_H

#include <stddef.h>

#include <stele/compiler.h>
#include <stele/gfp.h>

STELE_EXTERN_C_BEGIN

struct page; /* opaque; page_address() gives the memory */

#define MAX_PAGE_ORDER 10

/** stele_page_bytes - the system's page size in bytes: 4096, 16384 or 65536. Context: any. */
STELE_API size_t stele_page_bytes(void);
#define PAGE_SIZE (stele_page_bytes())

/** get_order - the smallest order whose block holds @size bytes. Context: any. */
STELE_API int get_order(size_t size);

/**
 * alloc_pages - 2^order pages, aligned to their size
 * @gfp: __GFP_ZERO clears them; other bits are accepted
 *
 * Return:  the first page, or NULL: no memory, or order > MAX_PAGE_ORDER.
 * Free:    __free_pages() with the same order.
 * Context: any.
 */
STELE_API STELE_MUST_CHECK struct page *alloc_pages(gfp_t gfp, unsigned int order);
/**
 * alloc_pages_node - alloc_pages(), preferably of one node's memory
 * @node: node number, or NUMA_NO_NODE for the one this thread runs on. A memoryless or nonexistent
 *        node stands for the nearest one that has memory; with __GFP_THISNODE the result is NULL.
 *
 * Context: any.
 */
STELE_API STELE_MUST_CHECK struct page *alloc_pages_node(int node, gfp_t gfp, unsigned int order);
#define alloc_page(gfp) alloc_pages((gfp), 0)

/**
 * __free_pages - give a block back. A wrong page or order is reported and nothing freed.
 *
 * NULL does nothing.
 * Context: any.
 */
STELE_API void __free_pages(struct page *page, unsigned int order);
#define __free_page(page) __free_pages((page), 0)

/**
 * alloc_pages_nolock - alloc_pages() that is short, for any context
 * @gfp:   __GFP_ACCOUNT or 0; __GFP_ZERO, __GFP_NOWARN, __GFP_NOMEMALLOC and __GFP_COMP are
 *         implied. Any other bit warns once, and means what it means to alloc_pages_node().
 * @node:  preferred node, or NUMA_NO_NODE
 * @order: up to MAX_PAGE_ORDER
 *
 * Return:  the first of 2^order pages that read as zero, aligned to their size; NULL when there is
 *          no memory, or order > MAX_PAGE_ORDER. NULL is never "try again".
 * Context: any. Waits for nothing and gives nothing back to the system. Takes longer with the
 *          number of pages to be cleared, and of areas (2 MiB) to be searched.
 * Free:    free_pages_nolock(), __free_pages(), with the same order.
 * Source:  Linux alloc_pages_nolock(); differs in that a busy lock is never a reason for NULL, and
 *          that every order is served.
 */
STELE_API STELE_MUST_CHECK struct page *alloc_pages_nolock(gfp_t gfp, int node, unsigned int order);

/**
 * free_pages_nolock - __free_pages() that is short, for any context
 * @page:  of alloc_pages_nolock() or alloc_pages(); NULL does nothing
 * @order: as it was allocated
 *
 * The pages can be allocated again at once. Giving memory back to the system (madvise) is left
 * to the next ordinary call that frees, and to stele_deferred_barrier().
 * Context: any.
 */
STELE_API void free_pages_nolock(struct page *page, unsigned int order);

/**
 * alloc_pages_bulk - a page for each empty place of an array
 * @gfp:   as for alloc_pages()
 * @n:     places of @array
 * @array: NULL marks an empty place; a page that is there stays
 *
 * Return:  how many places hold a page, counted from the first one to the first empty one. Less than
 *          @n: there was no memory for that place.
 * Free:    free_pages_bulk(), or __free_page() for each.
 * Context: any.
 * Source:  Linux alloc_pages_bulk().
 */
STELE_API unsigned long alloc_pages_bulk(gfp_t gfp, unsigned long n, struct page **array);
/** alloc_pages_bulk_node - the same, with the node as for alloc_pages_node(). Context: any. */
STELE_API unsigned long alloc_pages_bulk_node(gfp_t gfp, int node, unsigned long n,
					      struct page **array);
/**
 * free_pages_bulk - __free_page() for each page of an array
 * @array: empty places are passed over; the array stays as it is
 * @n:     places of @array
 *
 * Context: any.
 */
STELE_API void free_pages_bulk(struct page **array, unsigned long n);

/** __get_free_pages - alloc_pages() by address; 0 on failure. Context: any. */
STELE_API STELE_MUST_CHECK unsigned long __get_free_pages(gfp_t gfp, unsigned int order);
/** get_zeroed_page - one page that reads as zero, by address; 0 on failure. Context: any. */
STELE_API STELE_MUST_CHECK unsigned long get_zeroed_page(gfp_t gfp);
#define __get_free_page(gfp) __get_free_pages((gfp), 0)
/** free_pages - __free_pages() by address; 0 is allowed. Context: any. */
STELE_API void free_pages(unsigned long address, unsigned int order);
#define free_page(address) free_pages((address), 0)

/**
 * alloc_pages_exact - as many pages as @size bytes need, and no more
 *
 * Return:  page-aligned memory, or NULL: no memory, or size 0.
 * Free:    free_pages_exact() with the same size.
 * Context: any.
 */
STELE_API STELE_MUST_CHECK void *alloc_pages_exact(size_t size, gfp_t gfp);
/** alloc_pages_exact_nid - the same, with the node as for alloc_pages_node(). Context: any. */
STELE_API STELE_MUST_CHECK void *alloc_pages_exact_nid(int node, size_t size, gfp_t gfp);
/**
 * free_pages_exact - give back the pages of alloc_pages_exact()
 * @p:    NULL does nothing
 * @size: as it was allocated. A size of other pages is reported and nothing freed.
 *
 * Context: any.
 */
STELE_API void free_pages_exact(void *p, size_t size);

/** page_address - the memory of a page. NULL for NULL. Context: any. */
STELE_API void *page_address(const struct page *page);
/**
 * virt_to_page - the page that holds @p, or NULL when it is not of this allocator
 *
 * Context: any.
 */
STELE_API struct page *virt_to_page(const void *p);

/**
 * page_to_nid - the memory node that a page is of; NUMA_NO_NODE when it is not of this allocator
 *
 * It is the node whose memory the page prefers; where that is full, the system takes another.
 * Context: any.
 */
STELE_API int page_to_nid(const struct page *page);

STELE_EXTERN_C_END

#endif
