/* SPDX-License-Identifier: MIT */
/*
 * cache/prefilled.c - sheaves that a user fills beforehand
 *
 * Idea      A user's sheaf is an array of objects that are allocated already, so taking
 *           from it cannot fail.
 * Context   any; one user of a sheaf at a time.
 * Events    when an object is taken from it, as in the kernel; filling and returning it are the
 *           library's own.
 * Failure   NULL or -ENOMEM; the objects that were gathered go back (prefill) or stay (refill).
 * Tests     tests/contract/test_bulk_sheaf.c
 */
#include "cache/fast.h"
#include "page/run.h"
#include "trace/trace.h"
#include <errno.h>
#include <stele/gfp.h>
#include <string.h>

struct slab_sheaf {
	struct kmem_cache *cache;
	unsigned int capacity;
	unsigned int count;
	void *object[];
};

/* As the kernel, which takes it by kmalloc(). */
static struct slab_sheaf *prefilled_create(struct kmem_cache *s, unsigned int capacity)
{
	size_t bytes = sizeof(struct slab_sheaf) + (size_t)capacity * sizeof(void *);
	struct slab_sheaf *sheaf =
		bytes <= KMALLOC_MAX_SIZE ? stele_large_alloc(bytes, FRAME_SIZE, false) : NULL;

	if (!sheaf)
		return NULL;
	stele_run_of(sheaf)->kind |= RUN_OWN_FLAG;
	run_changed();
	sheaf->cache = s;
	sheaf->capacity = capacity;
	sheaf->count = 0;
	return sheaf;
}

static void prefilled_release(struct slab_sheaf *sheaf)
{
	for (unsigned int i = 0; i < sheaf->count; i++)
		if (!slab_free_fast(sheaf->object[i]))
			stele_free_into("kmem_cache_return_sheaf", sheaf->cache, sheaf->object[i],
					NULL);
	stele_large_free(stele_run_of(sheaf));
}

static int prefilled_fill(struct slab_sheaf *sheaf, gfp_t gfp, unsigned int n)
{
	while (sheaf->count < n) {
		void *p = slab_alloc(sheaf->cache, gfp & ~__GFP_ZERO);

		if (!p)
			return -ENOMEM;
		sheaf->object[sheaf->count++] = p;
	}
	return 0;
}

struct slab_sheaf *kmem_cache_prefill_sheaf(struct kmem_cache *s, gfp_t gfp, unsigned int n)
{
	struct slab_sheaf *sheaf = n ? prefilled_create(s, n) : NULL;

	if (sheaf && prefilled_fill(sheaf, gfp, n) != 0) {
		prefilled_release(sheaf);
		return NULL;
	}
	return sheaf;
}

int kmem_cache_refill_sheaf(struct kmem_cache *s, gfp_t gfp, struct slab_sheaf **sheaf,
			    unsigned int n)
{
	struct slab_sheaf *larger;

	if (!sheaf || !*sheaf || (*sheaf)->cache != s)
		return -EINVAL;
	if (n > (*sheaf)->capacity) {
		larger = prefilled_create(s, n);
		if (!larger)
			return -ENOMEM;
		memcpy(larger->object, (*sheaf)->object, (*sheaf)->count * sizeof(void *));
		larger->count = (*sheaf)->count;
		stele_large_free(stele_run_of(*sheaf));
		*sheaf = larger;
	}
	return prefilled_fill(*sheaf, gfp, n);
}

void kmem_cache_return_sheaf(struct kmem_cache *s, gfp_t gfp, struct slab_sheaf *sheaf)
{
	(void)s, (void)gfp;
	if (sheaf)
		prefilled_release(sheaf);
}

void *kmem_cache_alloc_from_sheaf(struct kmem_cache *s, gfp_t gfp, struct slab_sheaf *sheaf)
{
	void *p;

	if (!sheaf || !sheaf->count)
		return NULL;
	p = sheaf->object[--sheaf->count];
	if (gfp & __GFP_ZERO)
		stele_zero_object(s, p);
	stele_cache_alloc_event(s, p, gfp, NUMA_NO_NODE, STELE_CALLER);
	return p;
}

unsigned int kmem_cache_sheaf_size(struct slab_sheaf *sheaf)
{
	return sheaf ? sheaf->count : 0;
}
