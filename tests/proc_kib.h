/* SPDX-License-Identifier: MIT */
/*
 * tests/proc_kib.h - a number in KiB that the kernel tells in a file of lines "name: number kB"
 */
#ifndef STELE_TESTS_PROC_KIB_H
#define STELE_TESTS_PROC_KIB_H

#include <stdio.h>
#include <string.h>

/* The number of the line @name in @path, such as "VmRSS" in /proc/self/status; 0: there is none. */
static inline unsigned long proc_kib(const char *path, const char *name)
{
	FILE *file = fopen(path, "re");
	size_t length = strlen(name);
	unsigned long kib = 0;
	char line[256];

	while (file && !kib && fgets(line, sizeof(line), file))
		if (strncmp(line, name, length) == 0)
			sscanf(line + length, ": %lu", &kib);
	if (file)
		fclose(file);
	return kib;
}

#endif
