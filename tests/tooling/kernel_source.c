/* SPDX-License-Identifier: MIT */
/*
 * tests/tooling/kernel_source.c - kernel code compiles against what is installed
 *
 * Idea      includes as in the kernel, flags from pkg-config alone; see tests/tooling/installed.
 */
#include <linux/gfp_types.h>
#include <linux/mm.h>
#include <linux/slab.h>

struct thing {
	int number;
};

int main(void)
{
	struct kmem_cache *cache = KMEM_CACHE(thing, 0);
	struct thing *thing = kmem_cache_alloc(cache, GFP_KERNEL | __GFP_ZERO);
	int bad = !thing || thing->number != 0;

	kmem_cache_free(cache, thing);
	kmem_cache_destroy(cache);
	kfree(kmalloc(100, GFP_ATOMIC));
	kvfree(kvmalloc(100 * PAGE_SIZE, GFP_KERNEL));
	return bad;
}
