/* SPDX-License-Identifier: MIT */
/*
 * tools/leaks.c - stele leaks: the memory that a program has lost, at its exit
 *
 * Idea      The library in the program looks for it (cache/leaks.c); this is `stele run` with the
 *           options leak_check and leak_status. A program that ends by a signal or by _exit() is not
 *           looked at.
 * Status    LOST, as other leak checkers have it, if something is lost; else the program's own.
 * Tests     tests/tools/test_leaks.sh
 */
#include "tools/tools.h"

#define LOST "leak_status=23"

int stele_main_leaks(int argc, char **argv)
{
	struct stele_launch l = { .command = argv[0], .reports = true };

	if (!stele_launch_option(&l, "leak_check=1") || !stele_launch_option(&l, LOST))
		return STELE_OWN_FAILURE;
	return stele_launch_arguments(&l, argc, argv);
}
