/* SPDX-License-Identifier: MIT */
/*
 * trace/fault.h - whether an allocation is to fail on purpose (fault.c)
 *
 * Idea      Two of the WATCH_ bits: while one is set, the slow paths of the kind ask here. The fast paths
 *           are closed meanwhile.
 * Context   any.
 */
#ifndef STELE_TRACE_FAULT_H
#define STELE_TRACE_FAULT_H

#include "trace/trace.h"
#include <stele/fault.h>
#include <stele/gfp.h>

struct fault_call {
	const char *name; /* of the cache; NULL: pages */
	size_t bytes;
	gfp_t gfp;
	bool marked;	  /* the cache is */
	const void *site; /* the caller; NULL: a structure of the library for a user */
};

bool stele_fault_hits(enum stele_fault_kind kind, const struct fault_call *call);
/* For a block of pages. Out of line: the callers are deep. */
bool stele_fault_hits_pages(size_t bytes, gfp_t gfp, const void *site);

static inline bool pages_fail(size_t bytes, gfp_t gfp, const void *site)
{
	return trace_asked(WATCH_FAIL_PAGE) && stele_fault_hits_pages(bytes, gfp, site);
}

/* Makes the choices that the options name, once the options are known. */
void stele_fault_by_options(void);

#endif
