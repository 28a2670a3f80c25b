/* SPDX-License-Identifier: MIT */
/*
 * tests/limits/no_maps.c - the process has as many mappings as the kernel allows
 *
 * Idea      Every second page of a range gets other rights, until the kernel has no mapping left
 *           to give. A heap that is in use then still grows: the kernel enlarges its mappings. A
 *           heap that has not begun, or that begins under RLIMIT_DATA, may give NULL to every call:
 *           it cannot have a first mapping. Once there are mappings again it must begin.
 */
#include "limited.h"

#define PAGES (1ul << 18)

static char *split;
static size_t page;

/* Splits mappings until that is refused; false when there seems to be no limit. */
static bool use_up_all_mappings(void)
{
	char *p;

	page = (size_t)sysconf(_SC_PAGESIZE);
	p = split = mmap(NULL, PAGES * page, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
			 -1, 0);

	if (p == MAP_FAILED)
		return false;
	for (size_t i = 0; i < PAGES; i += 2)
		if (mprotect(p + i * page, page, PROT_READ) != 0)
			return errno == ENOMEM;
	return false;
}

static int child_without_maps(const char *what)
{
	int status;

	/* The threads' stacks are mappings too: they come first, or there are none. */
	if (strcmp(what, "after") == 0 && usual_child(500) != 0)
		return 31;
	if (!use_up_all_mappings())
		return 32;
	status = usual_child(4000);
	if (status != 12 || strcmp(what, "after") == 0)
		return status;
	/* 12: all was refused. */
	return munmap(split, PAGES * page) == 0 ? usual_child(4000) : 33;
}

static int under_a_limit(const void *arg)
{
	struct rlimit limit = { 512ul << 20, 512ul << 20 };

	(void)arg;
	setenv("STELE_QUIET", "1", 1); /* creating a cache fails, and says so */
	return setrlimit(RLIMIT_DATA, &limit);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return child_without_maps(argv[1]);
	judge("no mappings left, before the first use", run_limited("before", NULL, NULL), NO_AREA);
	judge("no mappings left, in the middle", run_limited("after", NULL, NULL), "");
	judge("no mappings left, opened by steps", run_limited("steps", under_a_limit, NULL), "");
	return cases_failed != 0;
}
