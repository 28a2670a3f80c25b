/* SPDX-License-Identifier: MIT */
/* A byte behind an object of a checked cache: found by its free, which is refused; repaired. */
#include "debug.h"

int main(void)
{
	struct kmem_cache *s = checked_cache("right", 64);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);
	struct damage d = { "right", "Right Redzone", p + 64, p + 64, 0x12, 0xcc };

	poke(p, 64, 0x12);
	said_begin();
	kmem_cache_free(s, p);
	if (!said_damage(&d, text_of("kmem_cache_free(%p): 1 byte written behind the end of an "
				     "object of 64 bytes in cache 'right'; not freed; next: watch "
				     "*(char *)%p",
				     (void *)p, (void *)(p + 64))))
		return 1;
	MUST(reports_now() == 1 && stele_slab_errors() == 1);
	said_begin();
	kmem_cache_free(s, p);
	return !said("%s", "");
}
