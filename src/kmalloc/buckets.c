/* SPDX-License-Identifier: MIT */
/*
 * kmalloc/buckets.c - a kmalloc of one's own
 *
 * Idea      A set of caches, one per bucket of the kernel's row, that share slabs with no other
 *           cache: an object that overflows, or is used after free, meets only its own kind. Fewer
 *           classes than kmalloc's, since every set pays for all of its caches.
 * Buckets   8 16 32 64 96 128 192 256 512 1k ... 32k, aligned as kmalloc's.
 * Context   create and destroy: control. Allocation: any.
 * Failure   create: NULL; the caches that were made are destroyed again.
 * Tests     tests/contract/test_buckets.c
 */
#include "cache/caches.h"
#include "kmalloc/kmalloc.h"
#include "cache/fast.h"
#include "slab/kmem_cache.h"
#include "trace/trace.h"

#include <string.h>

#include "base/fmt.h"
#include "page/run.h"

#define NR_BUCKETS 15
#define NAME_MAX_BYTES 128

struct kmem_buckets {
	struct kmem_cache *cache[NR_BUCKETS]; /* fixed at create */
};

_Static_assert(sizeof(struct kmem_buckets) <= STELE_OWN_MAX, "is made there");

static const struct {
	uint16_t size;
	const char name[6];
} table[NR_BUCKETS] = {
	{ 8, "8" },	{ 16, "16" },	{ 32, "32" },	{ 64, "64" },	  { 96, "96" },
	{ 128, "128" }, { 192, "192" }, { 256, "256" }, { 512, "512" },	  { 1024, "1k" },
	{ 2048, "2k" }, { 4096, "4k" }, { 8192, "8k" }, { 16384, "16k" }, { 32768, "32k" },
};

/* The index of a size in 1..KMALLOC_MAX_CACHE_SIZE. */
static unsigned int bucket_of(size_t size)
{
	unsigned int log = stele_ilog2_up(size);

	if (size > 192)
		return log - 1;
	if (size > 128)
		return 6;
	if (size > 96)
		return 5;
	if (size > 64)
		return 4;
	return log > 3 ? log - 3 : 0;
}

static struct kmem_cache *create_bucket(const char *name, unsigned int index, slab_flags_t flags,
					struct kmem_cache_args args, const void *site)
{
	char full[NAME_MAX_BYTES];
	struct stele_out out;
	unsigned int size = table[index].size;

	stele_out_init(&out, full, sizeof(full));
	stele_fmt(&out, "%s-%s", name, table[index].name);
	args.align = size & -size;
	if (args.useroffset >= size)
		args.useroffset = args.usersize = 0;
	args.usersize = STELE_MIN(args.usersize, size - args.useroffset);
	return stele_cache_create(full, size, &args, flags | SLAB_NO_MERGE, site);
}

kmem_buckets *kmem_buckets_create(const char *name, slab_flags_t flags, unsigned int useroffset,
				  unsigned int usersize, void (*ctor)(void *object))
{
	const struct kmem_cache_args args = { .useroffset = useroffset,
					      .usersize = usersize,
					      .ctor = ctor };
	kmem_buckets *b = stele_own_alloc(GFP_KERNEL, NUMA_NO_NODE);
	unsigned int i;

	if (!b)
		return NULL;
	for (i = 0; i < NR_BUCKETS; i++) {
		b->cache[i] = create_bucket(name, i, flags, args, STELE_CALLER);
		if (!b->cache[i]) {
			kmem_buckets_destroy(b);
			return NULL;
		}
	}
	return b;
}

void kmem_buckets_destroy(kmem_buckets *b)
{
	unsigned int i;

	if (ZERO_OR_NULL_PTR(b))
		return;
	for (i = 0; i < NR_BUCKETS; i++)
		kmem_cache_destroy(b->cache[i]);
	stele_own_free(b);
}

static void *bucket_alloc(struct kmem_cache *s, const struct stele_request *r)
{
	return stele_request_report(r, slab_alloc_for(s, r->gfp, r->site), s->size);
}

void *kmem_buckets_alloc(kmem_buckets *b, size_t size, gfp_t gfp)
{
	const struct stele_request r = {
		.size = size, .gfp = gfp, .node = NUMA_NO_NODE, .site = STELE_CALLER
	};

	if (ZERO_OR_NULL_PTR(b) || size == 0 || size > KMALLOC_MAX_CACHE_SIZE)
		return kmalloc(size, gfp);
	return bucket_alloc(b->cache[bucket_of(size)], &r);
}

void *kmem_buckets_valloc(kmem_buckets *b, size_t size, gfp_t gfp)
{
	const struct stele_request r = {
		.size = size, .gfp = gfp, .node = NUMA_NO_NODE, .site = STELE_CALLER
	};
	struct kmem_cache *s;
	size_t bytes;
	void *p;

	if (ZERO_OR_NULL_PTR(b) || size == 0 || size > KMALLOC_MAX_CACHE_SIZE)
		return kvmalloc(size, gfp);
	s = b->cache[bucket_of(size)];
	bytes = s->size;
	p = slab_alloc_for(s, gfp, r.site);
	if (!p && size > stele_page_size())
		p = stele_request_pages(&r, &bytes);
	return stele_request_report(&r, p, bytes);
}
