/* SPDX-License-Identifier: MIT */
/* A second free in a checked cache, when others were freed in between: told with the frame. */
#include "debug.h"

int main(void)
{
	struct kmem_cache *s = checked_cache("twice", 64);
	char *p = kmem_cache_alloc(s, GFP_KERNEL), *q = kmem_cache_alloc(s, GFP_KERNEL), *at;

	kmem_cache_free(s, p);
	kmem_cache_free(s, q);
	said_begin();
	kmem_cache_free(s, of_unknown_origin(p));
	stderr_end(&death_text);
	at = death_text.text;
	debug_find(&at, "BUG twice (Not tainted): Object already free");
	debug_find(&at, "Allocated in death_debug_double_free+0x");
	debug_find(&at, "Freed in death_debug_double_free+0x");
	debug_find(&at, "Object %p @offset=", (void *)p);
	debug_find(&at, "FIX twice: Object at %p not freed", (void *)p);
	debug_find(&at, "kmem_cache_free(%p): object was already free in cache 'twice'; not freed",
		   (void *)p);
	MUST(!debug_line(&at) && reports_now() == 1);
	MUST(kmem_cache_alloc(s, GFP_KERNEL) != kmem_cache_alloc(s, GFP_KERNEL));
	return 0;
}
