/* SPDX-License-Identifier: MIT */
/* A write to a freed object: found when it would be handed out again; another object is. */
#include "debug.h"

int main(void)
{
	struct kmem_cache *s = checked_cache("stale", 64);
	char *p = kmem_cache_alloc(s, GFP_KERNEL), *q;
	struct damage d = { "stale", "Poison", p + 3, p + 3, 0x12, 0x6b };

	kmem_cache_free(s, p);
	poke(p, 3, 0x12);
	said_begin();
	q = kmem_cache_alloc(s, GFP_KERNEL);
	if (!said_damage(&d, text_of("alloc(%p): 1 byte written after the free of an object of 64 "
				     "bytes in cache 'stale'; not handed out; next: watch *(char "
				     "*)%p",
				     (void *)p, (void *)(p + 3))))
		return 1;
	MUST(q && q != p);
	return 0;
}
