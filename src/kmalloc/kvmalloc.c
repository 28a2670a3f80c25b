/* SPDX-License-Identifier: MIT */
/*
 * kmalloc/kvmalloc.c - large allocations, and page runs when a bucket has no memory
 *
 * Idea      In the kernel this family falls back to mapping single pages together. A page
 *           run here is contiguous address space already, so the fallback is one and the
 *           same page run, and kfree() and kvfree() are one.
 * Context   any.
 * Failure   NULL; above INT_MAX with one message.
 * Tests     tests/contract/test_kvmalloc.c
 */
#include "kmalloc/kmalloc.h"
#include "cache/object.h"
#include "trace/trace.h"

#include <string.h>

#include "page/run.h"

void *kvmalloc_node_align(size_t size, size_t align, gfp_t gfp, int node)
{
	const struct stele_request r = {
		.size = size,
		.align = align,
		.limit = STELE_KV_MAX,
		.gfp = gfp,
		.node = node,
		.site = STELE_CALLER,
	};
	size_t bytes;
	void *p;

	if (size == 0)
		return ZERO_SIZE_PTR;
	p = stele_request_serve(&r, &bytes);
	/* A bucket may be out of slabs where a short run of pages still is. */
	if (!p && size > stele_page_size() && size <= KMALLOC_MAX_CACHE_SIZE &&
	    stele_request_valid(&r))
		p = stele_request_pages(&r, &bytes);
	return stele_request_report(&r, p, bytes);
}

void *kvrealloc_node_align(const void *p, size_t size, size_t align, gfp_t gfp, int node)
{
	const struct stele_request r = {
		.size = size,
		.align = align,
		.limit = STELE_KV_MAX,
		.gfp = gfp,
		.node = node,
		.site = STELE_CALLER,
	};

	if (size == 0) {
		kvfree(p);
		return ZERO_SIZE_PTR;
	}
	if (ZERO_OR_NULL_PTR(p))
		return kvmalloc_node_align(size, align, gfp, node);
	return stele_request_resize(p, &r);
}

void kvfree(const void *p)
{
	if (!ZERO_OR_NULL_PTR(p))
		stele_free("kvfree", (void *)p, STELE_CALLER);
}

void kvfree_sensitive(const void *p, size_t len)
{
	if (ZERO_OR_NULL_PTR(p))
		return;
	explicit_bzero((void *)p, STELE_MIN(len, stele_usable(p)));
	stele_free("kvfree_sensitive", (void *)p, STELE_CALLER);
}
