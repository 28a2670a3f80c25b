/* SPDX-License-Identifier: MIT */
/*
 * slab/free.c - freeing any pointer, and telling what is wrong with it
 *
 * Idea      The descriptor decides: an object goes to its cache, a large run to the page
 *           floor, anything else is reported under the name of the call.
 * Context   any.
 */
#include "slab/slab.h"

/* Why @p cannot be freed: it lies in @run but is not the start of anything there. */
static bool report_inside(const char *call, const void *p, const struct run *run)
{
	const char *cache = run->cache ? run->cache->name : NULL;

	if (run_is_pages(run))
		stele_report_free(call, p, "pages of alloc_pages()", NULL);
	else
		stele_report_free(call, p, "not the start of an object", cache);
	return false;
}

static bool free_object(const char *call, struct run *run, void *p)
{
	if (!run_has_object_at(run, p))
		return report_inside(call, p, run);
	if (stele_object_is_free(run, p) || stele_pcpu_on_top(run->words, p)) {
		stele_report_free(call, p, "object was already free", run->cache->name);
		return false;
	}
	stele_slab_free_slow(run->cache, p);
	return true;
}

bool stele_free_slow(const char *call, void *p)
{
	struct run *run = stele_heap_started() ? stele_run_of(p) : NULL;

	if (!run || run->kind == RUN_NONE) {
		stele_report_free(call, p, "not a pointer of this allocator, or already free",
				  NULL);
		return false;
	}
	if (run->kind == RUN_SLAB)
		return free_object(call, run, p);
	if (run_is_pages(run) || run->base != (uintptr_t)p)
		return report_inside(call, p, run);
	stele_large_free(run);
	return true;
}

bool stele_free(const char *call, void *p)
{
	return slab_free_fast(p) || stele_free_slow(call, p);
}

size_t stele_usable(const void *p)
{
	struct run *run = stele_heap_started() ? stele_run_of(p) : NULL;

	if (!run || run->kind == RUN_NONE || run_is_pages(run))
		return 0;
	if (run->kind == RUN_SLAB)
		return run_has_object_at(run, p) ? run->size : 0;
	return run->base == (uintptr_t)p ? stele_large_usable(run) : 0;
}

/* ---- freeing into a named cache ---- */

static void report_wrong_cache(struct kmem_cache *s, void *p)
{
	struct run *run = stele_run_of(p);

	if (!run || run->kind != RUN_SLAB)
		stele_report_free("kmem_cache_free", p, "object is not in a slab page", NULL);
	else if (!run_has_object_at(run, p))
		report_inside("kmem_cache_free", p, run);
	else
		stele_report_cache(p, run->cache->name, s->name);
}

static void cache_free_slow(struct kmem_cache *s, void *p)
{
	struct run *run = stele_run_of(p);

	if (!run || run->cache != s || !run_has_object_at(run, p))
		report_wrong_cache(s, p);
	else
		free_object("kmem_cache_free", run, p);
}

/* The words are taken from @s, not from the run: they are then known before the run is. */
void kmem_cache_free(struct kmem_cache *s, void *p)
{
	if (stele_likely(in_heap(p))) {
		struct run *run = run_at(p);

		if (stele_likely(run->cache == s && run_has_object_at(run, p) &&
				 pcpu_push(&s->words, p)))
			return;
	}
	cache_free_slow(s, p);
}

void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp)
{
	return slab_alloc(s, gfp);
}
