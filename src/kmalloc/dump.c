/* SPDX-License-Identifier: MIT */
/*
 * kmalloc/dump.c - what is known about an address
 *
 * Idea      For a fault report of other code: which cache, which object, how far inside. Reads only
 *           the run's descriptor, never the memory in question.
 * Context   any. A slab given back during the call may still be described.
 * Tests     tests/contract/test_kmalloc.c
 */
#include "kmalloc/kmalloc.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"
#include "slab/checks.h"

#include "base/fmt.h"
#include "page/run.h"

/* The object that holds @p; an address in the slab's tail counts to the last one. */
static uintptr_t object_start(const struct run *run, uintptr_t p)
{
	uintptr_t index = p < run->first ? 0 : (p - run->first) / run->size;

	if (index >= run->objects)
		index = run->objects - 1;
	return (uintptr_t)object_at(run, (unsigned)index);
}

bool kmem_dump_obj(void *p)
{
	const struct run *run = stele_run_of(p);
	struct kmem_cache *s;
	uintptr_t start;

	if (!run || run->kind != RUN_SLAB)
		return false;
	s = run_cache(run);
	start = object_start(run, (uintptr_t)p);
	stele_say(" slab %s start %016zx pointer offset %zu size %u\n", s->name, (size_t)start,
		  (size_t)((uintptr_t)p - start), load_relaxed(&s->object_size));
	stele_watch_tracks(s, (void *)start);
	return true;
}
