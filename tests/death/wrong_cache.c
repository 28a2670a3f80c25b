/* SPDX-License-Identifier: MIT */
/* An object given to a cache that is not its own. */
#include "death.h"

int main(void)
{
	struct kmem_cache *a = kmem_cache_create("mine", 64, 0, SLAB_NO_MERGE, NULL);
	struct kmem_cache *b = kmem_cache_create("theirs", 64, 0, SLAB_NO_MERGE, NULL);
	char *p = kmem_cache_alloc(a, GFP_KERNEL), *large = kmalloc(300000, GFP_KERNEL);

	memset(p, 0x5a, 64);
	said_begin();
	kmem_cache_free(b, p);
	if (!said("stele: kmem_cache_free(%p): object belongs to cache 'mine', not to 'theirs';"
		  " not freed\n",
		  (void *)p))
		return 1;
	said_begin();
	kmem_cache_free(b, large);
	if (!said("stele: kmem_cache_free(%p): object is not in a slab page; not freed\n",
		  (void *)large))
		return 1;
	MUST(reports_now() == 2);
	MUST(p[0] == 0x5a && p[63] == 0x5a);
	MUST(kmem_cache_alloc(b, GFP_KERNEL) != p);
	said_begin();
	kmem_cache_free(a, p);
	kmem_cache_destroy(a);
	kfree(large);
	return !said("%s", "");
}
