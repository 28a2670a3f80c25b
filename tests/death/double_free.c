/* SPDX-License-Identifier: MIT */
/* The same object freed twice: told at once or when its sheaf is emptied. */
#include "death.h"

int main(void)
{
	struct kmem_cache *s = kmem_cache_create("twice", 64, 0, SLAB_NO_MERGE, NULL);
	char *kept = kmem_cache_alloc(s, GFP_KERNEL), *p = kmem_cache_alloc(s, GFP_KERNEL);

	memset(kept, 0x5a, 64);
	said_begin();
	kmem_cache_free(s, p);
	kmem_cache_free(s, of_unknown_origin(p));
	kmem_cache_shrink(s);
	if (!said_already_free(p, "twice"))
		return 1;
	MUST(reports_now() == 1);
	MUST(kept[0] == 0x5a && kept[63] == 0x5a);
	/* It is free once, not twice. */
	MUST(kmem_cache_alloc(s, GFP_KERNEL) != kmem_cache_alloc(s, GFP_KERNEL));
	return 0;
}
