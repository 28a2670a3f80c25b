/* SPDX-License-Identifier: MIT */
/*
 * malloc/info.c - malloc_trim() and the reports of <malloc.h>
 *
 * Context   ordinary threads.
 * Unlike    glibc there are no arenas to list: one heap, its slabs and its large runs.
 */
#include "page/run.h"
#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stele/stats.h>
#include <unistd.h>

#define EXPORT __attribute__((visibility("default")))

EXPORT int malloc_trim(size_t pad)
{
	return stele_trim(pad) > 0;
}

EXPORT struct mallinfo2 mallinfo2(void)
{
	struct mallinfo2 info = { 0 };
	struct stele_stats stats;

	stele_stats_read(&stats);
	info.arena = stats.slab_bytes + stats.dirty_free_bytes;
	info.hblks = stats.large_count;
	info.hblkhd = stats.large_bytes;
	info.uordblks = stats.slab_bytes - stats.slab_free_bytes;
	info.fordblks = stats.slab_free_bytes + stats.dirty_free_bytes;
	info.keepcost = stats.dirty_free_bytes;
	return info;
}

EXPORT struct mallinfo mallinfo(void)
{
	struct mallinfo2 wide = mallinfo2();

	return (struct mallinfo){
		.arena = (int)wide.arena,
		.hblks = (int)wide.hblks,
		.hblkhd = (int)wide.hblkhd,
		.uordblks = (int)wide.uordblks,
		.fordblks = (int)wide.fordblks,
		.keepcost = (int)wide.keepcost,
	};
}

EXPORT int malloc_info(int options, FILE *stream)
{
	struct stele_stats stats;

	if (options != 0) {
		errno = EINVAL;
		return -1;
	}
	stele_stats_read(&stats);
	fprintf(stream,
		"<malloc version=\"stele-1\">\n"
		"<slabs bytes=\"%lu\" free=\"%lu\"/>\n"
		"<large count=\"%lu\" bytes=\"%lu\"/>\n"
		"<resident free=\"%lu\"/>\n"
		"</malloc>\n",
		stats.slab_bytes, stats.slab_free_bytes, stats.large_count, stats.large_bytes,
		stats.dirty_free_bytes);
	return 0;
}

EXPORT void malloc_stats(void)
{
	stele_slabinfo_write(STDERR_FILENO);
}

EXPORT int mallopt(int parameter, int value)
{
	(void)parameter, (void)value;
	return 1; /* glibc's knobs have no counterpart here, and refusing them helps nobody */
}
