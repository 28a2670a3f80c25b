/* SPDX-License-Identifier: MIT */
/*
 * cache/fault.c - objects that fail on purpose: the facts of a cache that the trace floor needs
 *
 * Context   any; marking: any.
 * Tests     tests/contract/test_fault.c
 */
#include "cache/object.h"

bool stele_slab_fault_hits(const struct kmem_cache *s, gfp_t gfp, const void *site)
{
	const struct fault_call call = { .name = s->name,
					 .bytes = cache_object_size(s),
					 .gfp = gfp,
					 .marked = load_relaxed(&s->fault_marked),
					 .site = site };

	return stele_fault_hits(STELE_FAULT_SLAB, &call);
}

bool stele_fault_cache(struct kmem_cache *s, bool marked)
{
	return atomic_exchange_explicit(&s->fault_marked, marked, memory_order_relaxed);
}
