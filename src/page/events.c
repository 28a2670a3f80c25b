/* SPDX-License-Identifier: MIT */
/*
 * page/events.c - reports mm_page_alloc and mm_page_free
 *
 * Context   any.
 * Tests     tests/contract/test_trace.c
 */
#include "page/run.h"
#include "trace/trace.h"
#include <stele/page.h>

static __attribute__((noinline, cold)) void taken_event(const void *p, size_t bytes_req,
							size_t bytes, unsigned gfp)
{
	TRACE(MM_PAGE_ALLOC, .ptr = p, .bytes_req = bytes_req, .bytes_alloc = bytes,
	      .order = (unsigned)get_order(bytes), .gfp_flags = gfp);
}

static __attribute__((noinline, cold)) void given_event(const void *p, size_t bytes)
{
	TRACE(MM_PAGE_FREE, .ptr = p, .bytes_alloc = bytes, .order = (unsigned)get_order(bytes));
}

void stele_pages_taken(const void *p, size_t bytes_req, size_t bytes, unsigned gfp)
{
	probe_mm_page_alloc(p, bytes, gfp);
	if (trace_asked(STELE_TRACE_MM_PAGE_ALLOC))
		taken_event(p, bytes_req, bytes, gfp);
}

void stele_pages_given(const void *p, size_t bytes)
{
	probe_mm_page_free(p, bytes);
	if (trace_asked(STELE_TRACE_MM_PAGE_FREE))
		given_event(p, bytes);
}
