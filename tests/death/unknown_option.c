/* SPDX-License-Identifier: MIT */
/* Options that do not exist or cannot be: each told once, the allocator works all the same. */
#include "death.h"

static int allocate(void)
{
	void *p = kmalloc(100, GFP_KERNEL);

	MUST(p);
	kfree(p);
	return 0;
}

int main(int argc, char **argv)
{
	(void)argv;
	if (argc > 1)
		return allocate();
	setenv("STELE_OPTIONS", "dirty_mni=4k,profile=huge,slots=5000,arena_size=4k,nomerge", 1);
	setenv("STELE_PROFIL", "tiny", 1);
	said_begin();
	MUST(run_self("allocate") == 0);
	return !said("stele: unknown variable 'STELE_PROFIL', did you mean 'STELE_PROFILE'? "
		     "(see 'stele help options')\n"
		     "stele: STELE_OPTIONS: unknown option 'dirty_mni', did you mean 'dirty_min'? "
		     "(see 'stele help options')\n"
		     "stele: option 'profile': 'huge' is not one of default|tiny|debug\n"
		     "stele: option 'slots': '5000' is out of range 0..4096\n"
		     "stele: option 'arena_size': '4k' is out of range 0 or 16m..4032g\n"
		     "stele: STELE_OPTIONS: option 'nomerge' has no value (write nomerge=VALUE)\n");
}
