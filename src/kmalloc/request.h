/* SPDX-License-Identifier: MIT */
/*
 * kmalloc/request.h - a request of the kmalloc family, on its way through the files of this floor
 *
 * Idea      kmalloc.c serves a request from a size class or from page runs; realloc.c and kvmalloc.c
 *           fill one in and hand it over.
 * Context   any, but for what the flags of the request allow.
 * Tests     tests/contract/test_kmalloc.c, tests/contract/test_krealloc.c, tests/contract/test_kvmalloc.c
 */
#ifndef STELE_KMALLOC_REQUEST_H
#define STELE_KMALLOC_REQUEST_H

#include "trace/probe.h"
#include "trace/trace.h"
#include <stele/slab.h>

/* An allocation with everything that can be asked for. */
struct stele_request {
	size_t size;
	size_t align; /* a power of two; 0 and 1: as the size gives it */
	size_t limit; /* refused above: KMALLOC_MAX_SIZE, or INT_MAX for the kvmalloc family */
	gfp_t gfp;
	int node;
	const void *site; /* the caller */
};

/* A size of the kvmalloc family ends at INT_MAX. */
#define STELE_KV_MAX ((size_t)INT32_MAX)

/* Serves a request: a bucket that fits size and alignment, else a page run; NULL as kmalloc(). */
void *stele_request_alloc(const struct stele_request *r);

/* The same in two halves, for a caller that tries again in between: the first serves, and sets
 * *bytes to the bytes it gives; the second reports kmalloc, and returns @p. */
void *stele_request_serve(const struct stele_request *r, size_t *bytes);

/* The rest of it, when a callback asked for the event or objects are checked: apart, as it needs a
 * frame. The first is the event alone. */
void stele_kmalloc_event(const void *site, void *p, size_t req, size_t alloc, gfp_t gfp, int node);
void stele_kmalloc_taken(const void *site, void *p, size_t req, size_t alloc, gfp_t gfp, int node);

static inline void *stele_request_report(const struct stele_request *r, void *p, size_t bytes)
{
	probe_kmalloc(p, r->size);
	if (trace_asked(STELE_TRACE_KMALLOC | WATCH_OBJECTS))
		stele_kmalloc_taken(r->site, p, r->size, bytes, r->gfp, r->node);
	return p;
}

/* The page-run half of serving. */
void *stele_request_pages(const struct stele_request *r, size_t *bytes);

/* False, after one message, for an alignment that is no power of two, or a size above the limit. */
bool stele_request_valid(const struct stele_request *r);

/* krealloc() and kvrealloc() of an allocation that exists. */
void *stele_request_resize(const void *p, const struct stele_request *r);

#endif
