/* SPDX-License-Identifier: MIT */
/*
 * kmalloc/realloc.c - changing the size of an allocation
 *
 * Idea      In place while the bucket holds it; a page run may also grow where it is, or be
 *           moved by its pages; else allocate, copy, free.
 * Zeroes    The size asked for is not remembered, only the bucket's. So with __GFP_ZERO every
 *           call leaves [size, bucket) clear, and the next growth finds zeroes there.
 * Context   any; one caller per allocation.
 * Failure   NULL, and the allocation is as before.
 * Promise   contract 19 (docs/contract.md)
 * Tests     tests/contract/test_krealloc.c
 */
#include "kmalloc/kmalloc.h"
#include "cache/object.h"
#include "os/os.h"
#include "page/where.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"
#include "trace/trace.h"
#include "slab/checks.h"

#include <string.h>

#include "base/fmt.h"
#include "page/run.h"

static bool is_page_run(const void *p)
{
	const struct run *run = stele_run_of(p);

	return run && (run->kind == RUN_LARGE || run->kind == RUN_HUGE);
}

static void clear_from(void *p, size_t from, size_t to, gfp_t gfp)
{
	if ((gfp & __GFP_ZERO || trace_asked(WATCH_CLEAR_NEW)) && from < to)
		memset((char *)p + from, 0, to - from);
}

/* Whether it has to be on another node than it is. */
static bool elsewhere(const void *p, const struct stele_request *r)
{
	return r->gfp & __GFP_THISNODE && r->node >= 0 && (unsigned)r->node != node_at(p);
}

static bool fits_in_place(const void *p, size_t usable, const struct stele_request *r)
{
	return r->size <= usable && (r->align <= 1 || stele_is_aligned((uintptr_t)p, r->align));
}

/* Gives back whole pages behind the new end, if they are many; failing to is no failure. */
static void *stay(void *p, size_t usable, const struct stele_request *r)
{
	size_t bytes = STELE_ALIGN_UP(r->size, stele_page_size());

	if (bytes < usable && is_page_run(p) && !large_stays(usable, bytes) &&
	    stele_large_resize(p, bytes, false))
		usable = stele_usable(p);
	clear_from(p, r->size, usable, r->gfp);
	return p;
}

/* A page run that grows without a copy. The added part may hold a former owner's bytes. */
static void *grow_run(void *p, size_t usable, const struct stele_request *r)
{
	size_t page = stele_page_size(), bytes = STELE_ALIGN_UP(r->size, page), roomy;
	void *q = NULL;

	if (r->align > page || r->size > r->limit || !is_page_run(p))
		return NULL;
	roomy = STELE_ALIGN_UP(large_roomy(usable, bytes), page);
	if (roomy != bytes)
		q = stele_large_resize(p, roomy, false);
	if (!q)
		q = stele_large_resize(p, bytes, true);
	if (!q)
		return NULL;
	clear_from(q, usable, stele_usable(q), r->gfp);
	if (q != p) {
		TRACE(KFREE, .call_site = r->site, .ptr = p);
		stele_request_report(r, q, stele_usable(q));
	}
	return q;
}

/* Asked before anything is taken: that may put another object on top of the freed one. */
static bool was_freed(const void *p, const void *site)
{
	const struct run *run = stele_run_of(p);

	if (!run || run->kind != RUN_SLAB || !stele_seen_free(run, p))
		return false;
	stele_report_resize((struct stele_call){ "krealloc", site }, p, "object was already free",
			    run_cache(run)->name);
	return true;
}

static void *move_object(void *p, size_t usable, const struct stele_request *r)
{
	struct stele_request roomy = *r;
	void *q = NULL;

	if (was_freed(p, r->site))
		return NULL;
	/* A second try would hide a failure on purpose. */
	if (is_page_run(p) && !trace_asked(WATCH_FAIL))
		roomy.size = STELE_MIN(large_roomy(usable, r->size), r->limit);
	if (roomy.size > r->size)
		q = stele_request_alloc(&roomy);
	if (!q)
		q = stele_request_alloc(r);
	if (!q)
		return NULL;
	memcpy(q, p, STELE_MIN(usable, r->size));
	stele_free("kfree", p, r->site);
	return q;
}

/* A checked object always moves, so that a stale pointer shows. */
static bool is_watched(const void *p)
{
	const struct run *run = watching() ? stele_run_of(p) : NULL;

	return run && (run->kind == RUN_SLAB ? run_cache(run)->meta != 0
					     : stele_watch_large_asked(run) != 0);
}

void *stele_request_resize(const void *old, const struct stele_request *r)
{
	void *p = (void *)old;
	size_t usable = stele_usable(p);
	void *q;

	if (!usable) {
		STELE_WARN_SITE_ONCE(r->site, "stele: krealloc: %p is not an allocation", p);
		return NULL;
	}
	if (stele_unlikely(run_is_given(stele_run_of(p)))) {
		stele_report_resize((struct stele_call){ "krealloc", r->site }, p, STELE_GIVEN,
				    NULL);
		return NULL;
	}
	if (stele_likely(!elsewhere(p, r)) && !is_watched(p)) {
		if (fits_in_place(p, usable, r))
			return stay(p, usable, r);
		if (is_page_run(p) && pages_fail(r->size, r->gfp, r->site))
			return NULL;
		q = grow_run(p, usable, r);
		if (q)
			return q;
	}
	return move_object(p, usable, r);
}

static void *resize_any(const void *p, size_t size, size_t align, gfp_t gfp, int node,
			const void *site)
{
	const struct stele_request r = {
		.size = size,
		.align = align,
		.limit = KMALLOC_MAX_SIZE,
		.gfp = gfp,
		.node = node,
		.site = site,
	};

	if (size == 0) {
		kfree(p);
		return ZERO_SIZE_PTR;
	}
	return ZERO_OR_NULL_PTR(p) ? stele_request_alloc(&r) : stele_request_resize(p, &r);
}

void *krealloc_node_align(const void *p, size_t size, size_t align, gfp_t gfp, int node)
{
	return resize_any(p, size, align, gfp, node, STELE_CALLER);
}

void *krealloc(const void *p, size_t size, gfp_t gfp)
{
	return resize_any(p, size, 1, gfp, NUMA_NO_NODE, STELE_CALLER);
}
