/* SPDX-License-Identifier: MIT */
/* A write to where no object of the slab is: found by a validation. */
#include "debug.h"

int main(void)
{
	struct kmem_cache *s = kmem_cache_create("holes", 64, 64, ALL, NULL);
	char *p = kmem_cache_alloc(s, GFP_KERNEL), *at;
	/* The lowest object has a whole unit of alignment before it. */
	char *hole = p - 20;

	MUST(((uintptr_t)p & 4095) == 64);
	poke(p, -20, 0x12);
	said_begin();
	MUST(validate_slab_cache(s) == 1);
	stderr_end(&death_text);
	at = death_text.text;
	debug_find(
		&at,
		"[Alignment padding overwritten] %p-%p @offset=44. First byte 0x12 instead of 0x5a",
		(void *)hole, (void *)hole);
	debug_find(&at, "BUG holes (Not tainted): Padding overwritten");
	debug_find(&at, "FIX holes: Restoring Alignment padding %p-%p=0x5a", (void *)hole,
		   (void *)hole);
	debug_find(&at,
		   "validate: 1 byte written between the objects of cache 'holes'; repaired; next: "
		   "watch *(char *)%p",
		   (void *)hole);
	MUST(!debug_line(&at));
	kmem_cache_free(s, p);
	return 0;
}
