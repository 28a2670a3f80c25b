/* SPDX-License-Identifier: MIT */
/* A pointer of another allocator, by every way of freeing. */
#include "death.h"

#define NOT_OURS "not a pointer of this allocator, or already free; not freed\n"

int main(void)
{
	struct kmem_cache *s = kmem_cache_create("own", 64, 0, SLAB_NO_MERGE, NULL);
	char *p = malloc(64);
	void *list[1] = { p };

	memset(p, 0x5a, 64);
	said_begin();
	kfree(of_unknown_origin(p));
	kvfree(of_unknown_origin(p));
	kfree_nolock(of_unknown_origin(p));
	kfree_bulk(1, list);
	if (!said("stele: kfree(%p): " NOT_OURS "stele: kvfree(%p): " NOT_OURS
		  "stele: kfree_nolock(%p): " NOT_OURS "stele: kfree_bulk(%p): " NOT_OURS,
		  (void *)p, (void *)p, (void *)p, (void *)p))
		return 1;
	said_begin();
	kmem_cache_free(s, of_unknown_origin(p));
	if (!said("stele: kmem_cache_free(%p): object is not in a slab page; not freed\n",
		  (void *)p))
		return 1;
	MUST(reports_now() == 5);
	MUST(p[0] == 0x5a && p[63] == 0x5a);
	free(p);
	kmem_cache_destroy(s);
	return 0;
}
