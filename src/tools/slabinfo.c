/* SPDX-License-Identifier: MIT */
/*
 * tools/slabinfo.c - stele slabinfo: the caches of a program, at its exit
 *
 * Idea      the caches are in the program's own memory, so the library in it writes them; this is
 *           `stele run --option slabinfo_at_exit=1` under the name the kernel's users know.
 * Unlike    /proc/slabinfo, a process that runs already is not asked: nothing in it listens.
 * Tests     tests/tools/test_stele.sh
 */
#include "tools/tools.h"

#include <stdio.h>
#include <string.h>

static bool is_number(const char *s)
{
	return *s && strspn(s, "0123456789") == strlen(s);
}

int stele_main_slabinfo(int argc, char **argv)
{
	struct stele_launch l = { .command = argv[0], .reports = true };

	if (argc == 2 && is_number(argv[1])) {
		fprintf(stderr,
			"stele slabinfo: a running process (%s) cannot be asked; start the program "
			"with\n"
			"'stele slabinfo -- PROGRAM' or with STELE_OPTIONS=slabinfo_at_exit=1\n",
			argv[1]);
		return STELE_OWN_FAILURE;
	}
	if (!stele_launch_option(&l, "slabinfo_at_exit=1"))
		return STELE_OWN_FAILURE;
	return stele_launch_arguments(&l, argc, argv);
}
