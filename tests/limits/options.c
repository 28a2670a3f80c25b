/* SPDX-License-Identifier: MIT */
/*
 * tests/limits/options.c - pretended page sizes, the tiny profile, odd budgets and slots
 *
 * Idea      The same workload runs under each set of options. With it goes what a page size
 *           promises: blocks are multiples of it and aligned to it.
 */
#include "limited.h"

static const char *const sets[] = {
	"page_size=4k",
	"page_size=16k",
	"page_size=64k",
	"profile=tiny",
	"profile=tiny,page_size=64k",
	"nomerge=1,dirty_min=0",
	"barn_max=0,dirty_min=64k",
	"rseq=0,slots=1",
	"rseq=0,slots=7",
	"rseq=0,slots=4096",
	"selftest=0",
	"arena_size=64m",
	"arena_size=16m",
	"arena_size=4032g",
	"arena_size=1g,page_size=16k",
	"thp=1",
};

/* Pages are as large as they say, and so aligned. */
static int check_pages(size_t expected)
{
	size_t page = PAGE_SIZE;
	void *large = kmalloc(KMALLOC_MAX_CACHE_SIZE + 1, GFP_KERNEL);
	void *exact = alloc_pages_exact(page + 1, GFP_KERNEL);
	unsigned long block = __get_free_pages(GFP_KERNEL, 2);
	bool good = large && exact && block && (!expected || page == expected);

	good = good && (uintptr_t)large % page == 0 && (uintptr_t)exact % page == 0;
	good = good && block % (page * 4) == 0 && ksize(large) % page == 0;
	if (!good)
		return 30;
	memset(exact, 1, page * 2);
	memset((void *)block, 1, page * 4);
	kfree(large);
	free_pages_exact(exact, page + 1);
	free_pages(block, 2);
	return 0;
}

static int child_with_options(const char *options)
{
	const char *size = strstr(options, "page_size=");
	int status = check_pages(size ? (size_t)atoi(size + 10) * 1024 : 0);

	return status ? status : usual_child(4000);
}

static int set_options(const void *options)
{
	return setenv("STELE_OPTIONS", options, 1);
}

int main(int argc, char **argv)
{
	if (argc > 1)
		return child_with_options(argv[1]);
	for (unsigned i = 0; i < ARRAY_SIZE(sets); i++)
		judge(sets[i], run_limited(sets[i], set_options, sets[i]), "");
	return cases_failed != 0;
}
