/* SPDX-License-Identifier: MIT */
/*
 * tools/find.c - where libstele-malloc.so is
 *
 * Idea      beside this program, wherever both were put: an installation may be moved, and one built
 *           but not installed works too. The name given to the program is absolute, because its
 *           children may change their directory.
 * Tests     tests/tools/test_stele.sh
 */
#include "tools/tools.h"

#include "base/basics.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DROP_IN STELE_DROP_IN

#if defined(__x86_64__)
#define TRIPLET_PLACE "../lib/x86_64-linux-gnu"
#elif defined(__aarch64__)
#define TRIPLET_PLACE "../lib/aarch64-linux-gnu"
#elif defined(__riscv)
#define TRIPLET_PLACE "../lib/riscv64-linux-gnu"
#else
#define TRIPLET_PLACE "../lib"
#endif

/* From the directory of this program: built, installed, installed on Debian, on Fedora. */
static const char *const places[] = { ".", "../lib", TRIPLET_PLACE, "../lib64" };

/* The directory this program is in; false where /proc does not say. */
static bool own_directory(char *dir, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", dir, size - 1);
	char *slash;

	if (n < 0)
		return false;
	dir[n] = 0;
	slash = strrchr(dir, '/');
	if (!slash)
		return false;
	*slash = 0;
	return true;
}

static bool file_is_there(const char *file, char *path, size_t size)
{
	char *whole = access(file, R_OK) == 0 ? realpath(file, NULL) : NULL;
	bool fits = whole && strlen(whole) < size;

	if (fits)
		memcpy(path, whole, strlen(whole) + 1);
	free(whole);
	return fits;
}

static bool find_named(const char *command, const char *name, char *path, size_t size)
{
	if (file_is_there(name, path, size))
		return true;
	fprintf(stderr, "stele %s: STELE_MALLOC_SO: '%s': %s\n", command, name, strerror(errno));
	return false;
}

static bool find_beside(const char *command, char *path, size_t size)
{
	char dir[PATH_MAX];
	char file[PATH_MAX + 64];

	if (!own_directory(dir, sizeof(dir))) {
		fprintf(stderr,
			"stele %s: cannot tell where this program is (/proc/self/exe: %s); "
			"set STELE_MALLOC_SO to the path of " DROP_IN "\n",
			command, strerror(errno));
		return false;
	}
	for (size_t i = 0; i < STELE_ARRAY_SIZE(places); i++) {
		snprintf(file, sizeof(file), "%s/%s/" DROP_IN, dir, places[i]);
		if (file_is_there(file, path, size))
			return true;
	}
	fprintf(stderr, "stele %s: no " DROP_IN " in %s, nor in", command, dir);
	for (size_t i = 1; i < STELE_ARRAY_SIZE(places); i++)
		fprintf(stderr, " %s%s", places[i], i + 1 < STELE_ARRAY_SIZE(places) ? "," : "");
	fprintf(stderr, " beside it; set STELE_MALLOC_SO to its path\n");
	return false;
}

bool stele_find_drop_in(const char *command, char *path, size_t size)
{
	const char *name = getenv("STELE_MALLOC_SO"), *why;

	if (name && *name ? !find_named(command, name, path, size)
			  : !find_beside(command, path, size))
		return false;
	why = stele_not_the_drop_in(path);
	if (why) {
		fprintf(stderr, "stele %s: '%s' %s\n", command, path, why);
		return false;
	}
	/* LD_PRELOAD is a list with these between its entries, and has no way to quote them. */
	if (!strpbrk(path, ": \t\n"))
		return true;
	fprintf(stderr, "stele %s: '%s': LD_PRELOAD cannot carry a path with a blank or a colon\n",
		command, path);
	return false;
}
