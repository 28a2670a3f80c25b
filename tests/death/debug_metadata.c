/* SPDX-License-Identifier: MIT */
/* A write that jumps over the red zone hits the record of the object, and is found all the same. */
#include "debug.h"

int main(void)
{
	struct kmem_cache *s = checked_cache("far", 64);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);
	struct damage d = { "far", "Object metadata", p + 72, p + 119, 0, 0 };

	poke(p, 100, 0x12);
	said_begin();
	kmem_cache_free(s, p);
	if (!said_damage(&d, text_of("kmem_cache_free(%p): 48 bytes written far behind the end of "
				     "an object of 64 bytes in cache 'far'; not freed; next: watch "
				     "*(char *)%p",
				     (void *)p, (void *)(p + 72))))
		return 1;
	said_begin();
	kmem_cache_free(s, p);
	return !said("%s", "");
}
