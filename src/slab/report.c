/* SPDX-License-Identifier: MIT */
/*
 * slab/report.c - bad pointers and warnings
 *
 * Idea      One line names the call, the pointer, the cache and what is wrong. Nothing is
 *           freed or resized then, so no memory of another owner is lost.
 * Context   any; written with one system call, errno kept.
 * Tests     tests/death/
 */
#include "slab/report.h"
#include "base/fmt.h"
#include "base/options.h"
#include "slab/kmem_cache.h"
#include "sync/atomic.h"
#include <stdlib.h>

struct kmem_cache stele_no_cache = { .name = "?", .name_at = stele_no_cache.name };

static _Atomic uint64_t reports;

uint64_t stele_reports(void)
{
	return load_relaxed(&reports);
}

void stele_reported(void)
{
	add_relaxed(&reports, 1);
	if (stele_opt.abort_on_error)
		abort();
}

void stele_report_cache(const void *p, const char *owner, const char *given)
{
	stele_say("stele: kmem_cache_free(%p): object belongs to cache '%s', not to '%s'; not "
		  "freed\n",
		  p, owner, given);
	stele_reported();
}

void *stele_report_destroyed(const char *call, const struct kmem_cache *s)
{
	stele_say("stele: %s(%s): the cache was destroyed\n", call, s->name);
	stele_reported();
	return NULL;
}

static void report_pointer(const char *call, const void *p, const char *what, const char *cache,
			   const char *outcome)
{
	stele_say("stele: %s(%p): %s%s%s%s; %s\n", call, p, what, cache ? " in cache '" : "",
		  cache ? cache : "", cache ? "'" : "", outcome);
	stele_reported();
}

void stele_report_free(const char *call, const void *p, const char *what, const char *cache)
{
	report_pointer(call, p, what, cache, "not freed");
}

void stele_report_resize(const char *call, const void *p, const char *what, const char *cache)
{
	report_pointer(call, p, what, cache, "not resized");
}
