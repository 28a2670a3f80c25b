/* SPDX-License-Identifier: MIT */
/*
 * slab/bulk.c - many objects at once, and sheaves that a user fills beforehand
 *
 * Idea      A user's sheaf is an array of objects that are allocated already, so taking
 *           from it cannot fail. Bulk allocation is all or nothing.
 * Context   any; one user of a sheaf at a time.
 * Failure   false, NULL or -ENOMEM; what was gathered goes back (bulk) or stays (refill).
 * Tests     tests/contract/test_bulk_sheaf.c
 */
#include "slab/slab.h"
#include <errno.h>
#include <stele/gfp.h>

void kmem_cache_free_bulk(struct kmem_cache *s, size_t n, void **p)
{
	for (size_t i = 0; i < n; i++) {
		if (s)
			kmem_cache_free(s, p[i]);
		else
			stele_free("kmem_cache_free_bulk", p[i]);
	}
}

bool kmem_cache_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n, void **p)
{
	for (size_t i = 0; i < n; i++) {
		p[i] = slab_alloc(s, gfp);
		if (!p[i]) {
			kmem_cache_free_bulk(s, i, p);
			return false;
		}
	}
	return n > 0;
}

void *kmem_cache_alloc_node(struct kmem_cache *s, gfp_t gfp, int node)
{
	/* One node of memory is managed; another one has nothing to give. */
	if (node > 0 && gfp & __GFP_THISNODE)
		return NULL;
	return slab_alloc(s, gfp);
}

bool kmem_cache_charge(void *p, gfp_t gfp)
{
	(void)p, (void)gfp;
	return true; /* nothing is accounted, so nothing can be refused */
}

/* ---- sheaves in the user's hands ---- */

struct slab_sheaf {
	struct kmem_cache *cache;
	unsigned int capacity;
	unsigned int count;
	void *object[];
};

static struct slab_sheaf *sheaf_create(struct kmem_cache *s, unsigned int capacity)
{
	struct slab_sheaf *sheaf = stele_large_alloc(
		sizeof(*sheaf) + (size_t)capacity * sizeof(void *), FRAME_SIZE, false);

	if (!sheaf)
		return NULL;
	sheaf->cache = s;
	sheaf->capacity = capacity;
	sheaf->count = 0;
	return sheaf;
}

static void sheaf_release(struct slab_sheaf *sheaf)
{
	kmem_cache_free_bulk(sheaf->cache, sheaf->count, sheaf->object);
	stele_free("kmem_cache_return_sheaf", sheaf);
}

static int sheaf_fill(struct slab_sheaf *sheaf, gfp_t gfp, unsigned int n)
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
	struct slab_sheaf *sheaf = n ? sheaf_create(s, n) : NULL;

	if (sheaf && sheaf_fill(sheaf, gfp, n) != 0) {
		sheaf_release(sheaf);
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
		larger = sheaf_create(s, n);
		if (!larger)
			return -ENOMEM;
		memcpy(larger->object, (*sheaf)->object, (*sheaf)->count * sizeof(void *));
		larger->count = (*sheaf)->count;
		stele_free("kmem_cache_refill_sheaf", *sheaf);
		*sheaf = larger;
	}
	return sheaf_fill(*sheaf, gfp, n);
}

void kmem_cache_return_sheaf(struct kmem_cache *s, gfp_t gfp, struct slab_sheaf *sheaf)
{
	(void)s, (void)gfp;
	if (sheaf)
		sheaf_release(sheaf);
}

void *kmem_cache_alloc_from_sheaf(struct kmem_cache *s, gfp_t gfp, struct slab_sheaf *sheaf)
{
	void *p;

	if (!sheaf || !sheaf->count)
		return NULL;
	p = sheaf->object[--sheaf->count];
	if (gfp & __GFP_ZERO)
		stele_zero_object(s, p);
	return p;
}

unsigned int kmem_cache_sheaf_size(struct slab_sheaf *sheaf)
{
	return sheaf ? sheaf->count : 0;
}
