/* SPDX-License-Identifier: MIT */
/*
 * bench/giveback.c - bench-giveback MIB: what stays resident after everything was freed
 *
 * Idea      Allocates MIB mebibytes of objects of 16 to 512 bytes, writes all of each, frees
 *           them in the order they came, calls malloc_trim(0) and compares RSS with RSS before.
 *           The table of pointers is a mapping of its own and is gone before RSS is read.
 * Context   Where an allocator has no malloc_trim of its own, the C library's is what a program
 *           would get, and does nothing for it.
 */
#include "bench.h"

#include <malloc.h>
#include <string.h>
#include <sys/mman.h>

#define SMALLEST 16u
#define LARGEST 512u

/* Returns how many objects it took to reach @bytes. */
static size_t take(void **objects, size_t bytes)
{
	uint64_t seed = 1;
	size_t taken = 0, count = 0;

	while (taken < bytes) {
		size_t size = bench_between(&seed, SMALLEST, LARGEST);

		objects[count++] = memset(bench_alloc(size), 1, size);
		taken += size;
	}
	return count;
}

int main(int argc, char **argv)
{
	size_t mib = argc > 1 ? bench_number(argv[1]) : 1024;
	size_t bytes = mib << 20, table = bytes / SMALLEST * sizeof(void *) + sizeof(void *);
	size_t before, full, after, count;
	void **objects = mmap(NULL, table, PROT_READ | PROT_WRITE,
			      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

	if (objects == MAP_FAILED)
		bench_die("mmap");
	free(bench_alloc(SMALLEST));
	before = bench_rss_kib();
	count = take(objects, bytes);
	full = bench_rss_kib();
	for (size_t i = 0; i < count; i++)
		free(objects[i]);
	munmap(objects, table);
	malloc_trim(0);
	after = bench_rss_kib();
	bench_print("{\"measure\":\"giveback\",\"mib\":%zu,\"full_kib\":%zu,\"kept_kib\":%zu}\n",
		    mib, full, after > before ? after - before : 0);
	return 0;
}
