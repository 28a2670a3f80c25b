/* SPDX-License-Identifier: MIT */
/*
 * cache/boot.c - caches in static memory, for the floors above
 *
 * Context   booting: any, one thread at a time. Listing: ordinary threads.
 * Failure   no memory for a node's parts: node 0's serve.
 * Tests     tests/contract/test_kmalloc.c
 */
#include "cache/caches.h"
#include "cache/sheaves.h"
#include "cache/valid.h"
#include "slab/chosen.h"
#include "slab/geometry.h"
#include "slab/parts.h"
#include "sync/mutex.h"

void stele_cache_boot(struct kmem_cache *s, const char *name, uint32_t size, uint32_t align,
		      uint32_t flags)
{
	stele_cache_start();
	stele_slab_boot(s, name, size, align, stele_debug_chosen(name, flags));
	store_relaxed(&s->fault_marked, (s->flags & SLAB_FAILSLAB) != 0);
	if (!s->words)
		stele_cache_sheaves(s, 0);
}

void stele_cache_list(struct kmem_cache *row, unsigned n)
{
	/* Failed: node 0's serve. */
	for (unsigned i = 0; i < n; i++) {
		STELE_SOUND(stele_cache_valid(&row[i]));
		stele_cache_nodes_make(&row[i]);
	}
	stele_sheaf_nodes_make();
	if (stele_lock(&stele_list_lock) != 0)
		return;
	while (n-- > 0)
		stele_list_push(&row[n]);
	stele_unlock(&stele_list_lock);
}
