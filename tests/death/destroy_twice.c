/* SPDX-License-Identifier: MIT */
/* A cache destroyed twice, and something destroyed that never was a cache. */
#include "death.h"

int main(void)
{
	struct kmem_cache *s = kmem_cache_create("once", 64, 0, SLAB_NO_MERGE, NULL);
	long other[64] = { 0 };

	MUST(s);
	kmem_cache_destroy(s);
	said_begin();
	kmem_cache_destroy(of_unknown_origin(s));
	if (STELE_DEBUG
		    ? !said("stele: kmem_cache_destroy(once): the cache was destroyed\n")
		    : !said("stele: kmem_cache_destroy(%p): not a cache, or already destroyed\n",
			    (void *)s))
		return 1;
	said_begin();
	kmem_cache_destroy(of_unknown_origin(other));
	if (!said("stele: kmem_cache_destroy(%p): not a cache, or already destroyed\n",
		  (void *)other))
		return 1;
	s = kmem_cache_create("again", 64, 0, SLAB_NO_MERGE, NULL);
	MUST(s);
	kmem_cache_destroy(s);
	return 0;
}
