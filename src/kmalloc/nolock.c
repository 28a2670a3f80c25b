/* SPDX-License-Identifier: MIT */
/*
 * kmalloc/nolock.c - allocation with nothing but promises
 *
 * Idea      The data path has no lock that could be busy, so these calls could take the ordinary
 *           way. They differ in three points. They give NULL for a size that is no bucket's. They
 *           warn once of flags that could mean waiting, and serve the call without waiting. And
 *           they are short: their slow way is bounded (base/basics.h), and leaves long work to
 *           other threads (slab/deferred.c).
 * Order of the tests: size 0, flags, size too large, as in the kernel.
 * Retry     once, from the next larger bucket: it may have an object where this one would
 *           need a slab. NULL after that is final.
 * Context   any. errno is preserved by the floors below.
 * Unlike    the kernel: a busy lock is never a reason for NULL, and an object is never deferred,
 *           only the end of its slab.
 * Promise   contract 8 and 9 (docs/contract.md)
 * Tests     tests/contract/test_nolock.c, tests/contract/test_kmalloc.c
 */
#include "base/basics.h"
#include "kmalloc/kmalloc.h"
#include "cache/fast.h"
#include "cache/object.h"
#include "os/os.h"
#include "percpu/percpu.h"
#include "slab/kmem_cache.h"
#include "trace/trace.h"

#include "base/fmt.h"
#include "page/run.h"

static __attribute__((noinline)) void *nolock_slow(size_t size, gfp_t gfp, int node,
						   const void *site)
{
	const struct stele_request r = { .size = size, .gfp = gfp, .node = node, .site = site };
	struct kmem_cache *s;
	void *p;

	if (size == 0)
		return ZERO_SIZE_PTR;
	NOLOCK_WARN_FLAGS("kmalloc_nolock", gfp, site);
	stele_kmalloc_init(0);
	s = stele_cache_for(size);
	if (!s) /* too large, or not started */
		return stele_request_report(&r, NULL, 0);
	p = stele_alloc_at(s, gfp, node, EFFORT_BOUNDED);
	if (!p && (s = stele_cache_for((size_t)load_relaxed(&s->object_size) + 1)))
		p = stele_alloc_at(s, gfp, node, EFFORT_BOUNDED);
	return stele_request_report(&r, p, p ? s->size : 0);
}

STELE_NEVER_WAITS void *kmalloc_nolock(size_t size, gfp_t gfp, int node)
{
	struct kmem_cache *s = stele_cache_for(size);
	void *p = stele_likely(s != NULL) && nolock_permits(gfp) ? pcpu_pop(s->words) : NULL;

	if (stele_unlikely(!p))
		return nolock_slow(size, gfp, node, STELE_CALLER);
	probe_kmalloc(p, size);
	return stele_unlikely(gfp & __GFP_ZERO) ? stele_zero_object(s, p) : p;
}

static bool is_large(const void *p)
{
	const struct run *run = stele_run_of(p);

	return run && (run->kind == RUN_LARGE || run->kind == RUN_HUGE) && !run_rests(run);
}

static __attribute__((noinline)) void kfree_nolock_slow(void *p, const void *site)
{
	if (ZERO_OR_NULL_PTR(p))
		return;
	if (is_large(p))
		STELE_WARN_ONCE("stele: large_kmalloc is not supported by kfree_nolock()\n");
	else
		stele_free_any("kfree_nolock", p, site, EFFORT_BOUNDED);
}

STELE_NEVER_WAITS void kfree_nolock(const void *p)
{
	probe_kfree(p);
	if (stele_unlikely(!slab_free_fast((void *)p)))
		kfree_nolock_slow((void *)p, STELE_CALLER);
}
