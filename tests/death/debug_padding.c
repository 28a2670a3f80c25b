/* SPDX-License-Identifier: MIT */
/* A write behind an object of a cache that has poison, and no red zones. */
#include "debug.h"

int main(void)
{
	struct kmem_cache *s =
		kmem_cache_create("padded", 52, 0, SLAB_CONSISTENCY_CHECKS | SLAB_POISON, NULL);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);
	struct damage d = { "padded", "Object padding", p + 52, p + 52, 0x12, 0x5a };

	poke(p, 52, 0x12);
	said_begin();
	kmem_cache_free(s, p);
	if (!said_damage(&d, text_of("kmem_cache_free(%p): 1 byte written behind the end of an "
				     "object of 52 bytes in cache 'padded'; not freed; next: watch "
				     "*(char *)%p",
				     (void *)p, (void *)(p + 52))))
		return 1;
	said_begin();
	kmem_cache_free(s, p);
	return !said("%s", "");
}
