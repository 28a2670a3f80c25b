/* SPDX-License-Identifier: MIT */
/* The same mistake at the same place, many times: reported once, counted each time. */
#include "debug.h"

static void overrun(struct kmem_cache *s)
{
	char *p = kmem_cache_alloc(s, GFP_KERNEL);

	poke(p, 64, 0x12);
	kmem_cache_free(s, p);
}

int main(void)
{
	struct kmem_cache *s = checked_cache("often", 64);
	char *at = death_text.text;

	said_begin();
	for (volatile int i = 0; i < 100; i++)
		overrun(s);
	stderr_end(&death_text);
	debug_find(&at, "BUG often");
	while ((at = strstr(at, "BUG")))
		return 1;
	MUST(stele_slab_errors() == 100 && reports_now() == 1);
	return 0;
}
