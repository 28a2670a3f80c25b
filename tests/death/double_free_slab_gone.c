/* SPDX-License-Identifier: MIT */
/* Freed again after its whole slab went back. */
#include "death.h"

int main(void)
{
	struct kmem_cache *s = kmem_cache_create("gone", 64, 0, SLAB_NO_MERGE, NULL);
	void *p = kmem_cache_alloc(s, GFP_KERNEL);

	kmem_cache_free(s, p);
	MUST(kmem_cache_shrink(s) == 0);
	said_begin();
	kmem_cache_free(s, of_unknown_origin(p));
	if (!said("stele: kmem_cache_free(%p): object is not in a slab page; not freed\n", p))
		return 1;
	MUST(reports_now() == 1);
	kmem_cache_destroy(s);
	return 0;
}
