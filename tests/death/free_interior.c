/* SPDX-License-Identifier: MIT */
/* A pointer into an object, into the slack behind the last one, and into large memory. */
#include "death.h"

#define MANY 300

static int by_address(const void *a, const void *b)
{
	const char *x = *(char *const *)a, *y = *(char *const *)b;

	return (x > y) - (x < y);
}

/* Frees the address behind the last object of each slab, where a further object would begin. */
static int behind_the_last(struct kmem_cache *s)
{
	static char *p[MANY + 1];
	int tried = 0;

	for (int i = 0; i < MANY; i++)
		MUST(p[i] = kmem_cache_alloc(s, GFP_KERNEL));
	qsort(p, MANY, sizeof(p[0]), by_address);
	for (int i = 0; i < MANY; i++)
		if (p[i + 1] != p[i] + 96 && (uintptr_t)(p[i] + 96) % 4096) {
			kmem_cache_free(s, of_unknown_origin(p[i] + 96));
			kfree(of_unknown_origin(p[i] + 96));
			tried += 2;
		}
	for (int i = 0; i < MANY; i++)
		kmem_cache_free(s, p[i]);
	return tried;
}

int main(void)
{
	int tried;
	uint64_t before;
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
	before = reports_now();
	tried = behind_the_last(s);
	MUST(tried > 0 && reports_now() == before + (uint64_t)tried);
	said_begin();
	kmem_cache_free(s, p);
	kfree(large);
	kmem_cache_destroy(s);
	return !said("%s", "");
}
