/* SPDX-License-Identifier: MIT */
/* STELE_DEBUG=FZPU: a byte behind what kmalloc() was asked for, and behind a large block. */
#include "debug.h"

static int faults_are_told(void)
{
	char *p = kmalloc(50, GFP_KERNEL), *at;
	struct damage d = { "kmalloc-64", "kmalloc Redzone", p + 50, p + 50, 0x12, 0xcc };

	MUST(ksize(p) == 50);
	poke(p, 50, 0x12);
	said_begin();
	kfree(p);
	if (!said_damage(&d, text_of("kfree(%p): 1 byte written behind the end of an object of 50 "
				     "bytes in cache 'kmalloc-64'; not freed; next: watch *(char "
				     "*)%p",
				     (void *)p, (void *)(p + 50))))
		return 1;
	kfree(p);
	p = kmalloc(100000, GFP_KERNEL);
	poke(p, 100000, 0x12);
	said_begin();
	kfree(p);
	stderr_end(&death_text);
	at = death_text.text;
	debug_find(&at,
		   "[Redzone overwritten] %p-%p @offset=100000. First byte 0x12 instead of 0xcc",
		   (void *)(p + 100000), (void *)(p + 100000));
	debug_find(&at, "Allocated in death_debug_kmalloc+0x");
	debug_find(&at,
		   "kfree(%p): 1 byte written behind the end of a block of 100000 bytes; repaired; "
		   "next: watch *(char *)%p",
		   (void *)p, (void *)(p + 100000));
	MUST(!debug_line(&at));
	/* It waits in the ring: a late write is found there. */
	poke(p, 7, 0x12);
	said_begin();
	MUST(stele_slab_validate() == 1);
	stderr_end(&death_text);
	at = death_text.text;
	debug_find(&at, "[Poison overwritten] %p-%p", (void *)(p + 7), (void *)(p + 7));
	return 0;
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return faults_are_told();
	setenv("STELE_DEBUG", "FZPU", 1);
	return run_self((char *)"faults") != 0;
}
