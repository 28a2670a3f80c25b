/* SPDX-License-Identifier: MIT */
/*
 * cache/memory.c - where struct kmem_cache comes from
 *
 * Idea      Caches are objects of a cache without sheaves, whose slabs stay for good: threads that do
 *           not own a cache may read it (slab/kept.c).
 * Context   ordinary threads. Nothing here is done under the list lock but the first start: an
 *           allocation may find slabs to retire, and run their destructors.
 * Order     LIST
 * Tests     tests/contract/test_cache_create.c
 */
#include "cache/caches.h"
#include "cache/object.h"
#include "cache/valid.h"
#include "percpu/percpu.h"
#include "slab/geometry.h"
#include "slab/parts.h"
#include "slab/object.h"
#include "sync/mutex.h"

static struct kmem_cache cache_cache;
static _Atomic bool cache_cache_ready;

static int boot_cache_cache(void)
{
	int error = stele_lock(&stele_list_lock);

	if (error)
		return error;
	if (!load_relaxed(&cache_cache_ready)) {
		stele_slab_boot(&cache_cache, "kmem_cache", sizeof(struct kmem_cache), 64,
				SLAB_NO_MERGE | SLAB_NO_SHEAVES | SLAB_KEPT | SLAB_OWN);
		/* ORDER(LIST) release: the child of a fork may have to boot it again. */
		store_release(&cache_cache_ready, true);
	}
	stele_unlock(&stele_list_lock);
	return 0;
}

void stele_cache_free_parts(struct kmem_cache *s)
{
	uint64_t words = s->words;

	/* The caller has the cache alone; one that was never filled in has no size. */
	STELE_SOUND(s->size ? stele_cache_whole(s) : NULL);
	s->words = s->capacity = 0;
	stele_cache_nodes_free(s);
	if (words)
		stele_pcpu_free(words);
}

void stele_cache_give(struct kmem_cache *s)
{
	stele_free_object(&cache_cache, s, EFFORT_USUAL);
}

void stele_cache_free(struct kmem_cache *s)
{
	stele_cache_free_parts(s);
	stele_cache_give(s);
}

struct kmem_cache *stele_cache_with_nodes(struct kmem_cache *s)
{
	if (!s || stele_cache_nodes_make(s) == 0)
		return s;
	stele_cache_free(s);
	return NULL;
}

struct kmem_cache *stele_cache_take(void)
{
	/* ORDER(LIST) acquire: the cache of caches is complete. */
	if (!load_acquire(&cache_cache_ready) && boot_cache_cache() != 0)
		return NULL;
	return stele_cache_with_nodes(stele_alloc_anywhere(&cache_cache, __GFP_ZERO));
}

bool stele_is_cache_memory(const void *p)
{
	const struct run *run = stele_run_of(p);

	return run && run->kind == RUN_SLAB && run->cache == &cache_cache &&
	       run_has_object_at(run, p);
}
