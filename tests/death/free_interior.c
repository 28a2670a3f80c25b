/* SPDX-License-Identifier: MIT */
/* A pointer into an object, into the slack behind the last one, and into large memory. */
#include "death.h"

int main(void)
{
	struct kmem_cache *s = kmem_cache_create("inner", 96, 0, SLAB_NO_MERGE, NULL);
	char *p = kmem_cache_alloc(s, GFP_KERNEL), *large = kmalloc(300000, GFP_KERNEL);

	memset(p, 0x5a, 96);
	large[0] = 7;
	said_begin();
	kfree(of_unknown_origin(p + 8));
	kfree(of_unknown_origin(p + 95));
	kmem_cache_free(s, of_unknown_origin(p + 48));
	kfree(of_unknown_origin(large + 4096));
	kfree(of_unknown_origin(large + 1));
	if (!said("stele: kfree(%p): not the start of an object in cache 'inner'; not freed\n"
		  "stele: kfree(%p): not the start of an object in cache 'inner'; not freed\n"
		  "stele: kmem_cache_free(%p): not the start of an object in cache 'inner'; not "
		  "freed\n"
		  "stele: kfree(%p): not the start of an object; not freed\n"
		  "stele: kfree(%p): not the start of an object; not freed\n",
		  (void *)(p + 8), (void *)(p + 95), (void *)(p + 48), (void *)(large + 4096),
		  (void *)(large + 1)))
		return 1;
	MUST(reports_now() == 5);
	MUST(p[0] == 0x5a && p[95] == 0x5a && large[0] == 7);
	said_begin();
	kmem_cache_free(s, p);
	kfree(large);
	kmem_cache_destroy(s);
	return !said("%s", "");
}
