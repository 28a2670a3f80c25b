/* SPDX-License-Identifier: MIT */
/* A byte before an object of a checked cache: found by its free, which is refused; repaired. */
#include "debug.h"

int main(void)
{
	struct kmem_cache *s = checked_cache("left", 64);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);
	struct damage d = { "left", "Left Redzone", p - 3, p - 1, 0x12, 0xcc };

	poke(p, -1, 0x13);
	poke(p, -3, 0x12);
	said_begin();
	kmem_cache_free(s, p);
	if (!said_damage(&d, text_of("kmem_cache_free(%p): 3 bytes written before the start of an "
				     "object of 64 bytes in cache 'left'; not freed; next: watch "
				     "*(char *)%p",
				     (void *)p, (void *)(p - 3))))
		return 1;
	said_begin();
	kmem_cache_free(s, p);
	return !said("%s", "");
}
