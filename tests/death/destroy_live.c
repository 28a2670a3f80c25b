/* SPDX-License-Identifier: MIT */
/* A cache is destroyed while an object is alive. The call reports it, the object stays, and its
 * late free does no harm. */
#include "death.h"

int main(void)
{
	struct kmem_cache *s = kmem_cache_create("alive", 64, 0, SLAB_NO_MERGE, NULL);
	char *p = kmem_cache_alloc(s, GFP_KERNEL), *end;
	char expected[512];
	int n;

	memset(p, 0x5a, 64);
	said_begin();
	kmem_cache_destroy(s);
	stderr_end(&death_text);
	n = snprintf(expected, sizeof(expected),
		     "stele: BUG alive: Objects remaining on kmem_cache_destroy()\n"
		     "stele: Object %p @offset=",
		     (void *)p);
	MUST(strncmp(death_text.text, expected, (size_t)n) == 0);
	/* The slab chooses which of its objects it gives: a multiple of the size. */
	MUST(strtoul(death_text.text + n, &end, 10) % 64 == 0 && *end == '\n');
	snprintf(expected, sizeof(expected),
		 "\nstele: kmem_cache_destroy alive: Slab cache still has objects when called from "
		 "death_destroy_live+0x");
	MUST(strncmp(end, expected, strlen(expected)) == 0);
	MUST(strchr(end + 1, '\n')[1] == 0);
	MUST(p[0] == 0x5a && p[63] == 0x5a);
	said_begin();
	kmem_cache_free(s, p);
	return !said("%s", "");
}
