/* SPDX-License-Identifier: MIT */
/*
 * bench/cache_pair.c - bench-cache [BATCHES]: kmem_cache_alloc and kmem_cache_free of 64 bytes
 *
 * Idea      The loop of pair64 against a typed cache, both calls out of line through the shared
 *           library as an application has them. As bench-cache-inline it is compiled with the fast
 *           paths of <stele/inline.h>.
 */
#include "bench.h"

#include <stele/gfp.h>
#include <stele/slab.h>

#define PAIRS 3000000u
#define OBJECT 64u

#ifdef STELE_INLINE_H
#define MEASURE "cache-pair64-inline"
#else
#define MEASURE "cache-pair64"
#endif

static struct kmem_cache *cache;

static inline void *cache_object(struct kmem_cache *from)
{
	void *p = kmem_cache_alloc(from, GFP_KERNEL);

	if (!p)
		bench_die("kmem_cache_alloc");
	*(volatile unsigned long *)p = 1;
	return p;
}

static double cache_pair(void)
{
	struct kmem_cache *from = cache;
	uint64_t start = bench_now_ns();

	for (unsigned int i = 0; i < PAIRS; i++)
		kmem_cache_free(from, cache_object(from));
	return (double)(bench_now_ns() - start) / PAIRS;
}

int main(int argc, char **argv)
{
	static const struct bench_measure measure = { MEASURE, cache_pair };

	cache = kmem_cache_create("bench", OBJECT, 0, 0, NULL);
	if (!cache)
		bench_die("kmem_cache_create");
	bench_run(&measure, argc > 1 ? bench_number(argv[1]) : 5);
	kmem_cache_destroy(cache);
	return 0;
}
