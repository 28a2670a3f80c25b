/* SPDX-License-Identifier: MIT */
/*
 * kmalloc/refuse.c - warnings of requests that kmalloc() and its kin refuse
 *
 * Idea      Each warning appears once, and names the place of the call.
 * Context   any.
 * Tests     tests/death/names_the_caller.c, tests/contract/test_kmalloc.c
 */
#include "base/fmt.h"
#include "kmalloc/kmalloc.h"
#include "os/os.h"

bool stele_refuse_align(const struct stele_request *r)
{
	STELE_WARN_SITE_ONCE(r->site, "stele: kmalloc: alignment %zu is not a power of two",
			     r->align);
	return false;
}

bool stele_refuse_size(const struct stele_request *r)
{
	if (!(r->gfp & __GFP_NOWARN))
		STELE_WARN_SITE_ONCE(r->site,
				     "stele: kmalloc: %zu bytes are more than the limit of %zu",
				     r->size, r->limit);
	return false;
}

void stele_refuse_ksize(const void *p, const void *site)
{
	STELE_WARN_SITE_ONCE(site, "stele: ksize: %p is not an allocation", p);
}
