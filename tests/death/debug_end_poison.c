/* SPDX-License-Identifier: MIT */
/* A write to the last byte of a freed object: found by a validation, and repaired. */
#include "debug.h"

int main(void)
{
	struct kmem_cache *s = checked_cache("stale", 64);
	char *p = kmem_cache_alloc(s, GFP_KERNEL);
	struct damage d = { "stale", "End Poison", p + 63, p + 63, 0x12, 0xa5 };

	kmem_cache_free(s, p);
	poke(p, 63, 0x12);
	said_begin();
	MUST(validate_slab_cache(s) == 1);
	if (!said_damage(&d, text_of("validate(%p): 1 byte written after the free of an object of "
				     "64 bytes in cache 'stale'; repaired; next: watch *(char *)%p",
				     (void *)p, (void *)(p + 63))))
		return 1;
	said_begin();
	MUST(stele_slab_validate() == 0 && kmem_cache_alloc(s, GFP_KERNEL) == p);
	return !said("%s", "");
}
