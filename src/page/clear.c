/* SPDX-License-Identifier: MIT */
/*
 * page/clear.c - clears pages for the options init_on_alloc and init_on_free
 *
 * Idea      Few bytes are written over. Of many, the pages go back to the system: they then read as
 *           zero, and those that were never touched cost nothing.
 * Bounded   A call that promises to be short makes no system call; it writes, however many there are.
 * Context   any; the caller owns the pages.
 * Failure   the system keeps pages that are locked: these are written over.
 * Tests     tests/unit/page/test_clear.c, tests/contract/test_init.c
 */
#include "page/clear.h"
#include "base/basics.h"
#include "os/os.h"
#include "percpu/system.h"
#include <string.h>

#define MANY (256ul << 10)

static bool clear_by_system(char *p, size_t bytes)
{
	size_t page = stele_system_facts.page_size;

	return stele_is_aligned((uintptr_t)p, page) && stele_is_aligned(bytes, page) &&
	       stele_os_purge(p, bytes) == 0;
}

void stele_pages_clear(void *p, size_t bytes, enum effort effort)
{
	if (bytes < MANY || effort == EFFORT_BOUNDED || !clear_by_system(p, bytes))
		memset(p, 0, bytes);
}
