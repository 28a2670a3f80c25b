/* SPDX-License-Identifier: MIT */
/*
 * slab/report.c - bad pointers and warnings
 *
 * Idea      One line names the call, the pointer, the cache, what is wrong, and the place in the
 *           program's files that made the call. Nothing is freed or resized then, so no memory of
 *           another owner is lost.
 * Context   any; each line is written with one system call, errno kept.
 * Tests     tests/death/
 */
#include "slab/checks.h"
#include "base/fmt.h"
#include "os/os.h"
#include "os/report.h"
#include "slab/kmem_cache.h"
#include "sync/atomic.h"

struct kmem_cache stele_no_cache = { .name = "?", .name_at = stele_no_cache.name };

/* " (called from FILE+0xOFFSET)", or nothing. */
struct caller {
	char text[STELE_OS_PLACE_SIZE + 16];
};

static struct caller caller_of(struct stele_call call)
{
	struct caller caller = { "" };
	char place[STELE_OS_PLACE_SIZE];
	struct stele_out out;

	stele_out_init(&out, caller.text, sizeof(caller.text));
	if (call.site)
		stele_fmt(&out, " (called from %s)", stele_os_place(call.site, place));
	return caller;
}

void stele_report_cache(struct stele_call call, const void *p, const char *owner, const char *given)
{
	struct caller caller = caller_of(call);

	stele_report("stele: %s(%p): object belongs to cache '%s', not to '%s'; not freed%s\n",
		     call.name, p, owner, given, caller.text);
	stele_reported();
}

void *stele_report_destroyed(struct stele_call call, const struct kmem_cache *s)
{
	struct caller caller = caller_of(call);

	stele_report("stele: %s(%s): the cache was destroyed%s\n", call.name, s->name, caller.text);
	stele_reported();
	return NULL;
}

static void report_pointer(struct stele_call call, const void *p, const char *what,
			   const char *cache, const char *outcome)
{
	struct caller caller = caller_of(call);

	if (!p) {
		what = "NULL is no object";
		cache = NULL;
	}
	stele_report("stele: %s(%p): %s%s%s%s; %s%s\n", call.name, p, what,
		     cache ? " in cache '" : "", cache ? cache : "", cache ? "'" : "", outcome,
		     caller.text);
	stele_reported();
}

void stele_report_free(struct stele_call call, const void *p, const char *what, const char *cache)
{
	report_pointer(call, p, what, cache, "not freed");
}

void stele_report_late(const void *p, const char *cache)
{
	stele_report("stele: free(%p): object was already free in cache '%s'; not freed\n", p,
		     cache);
	stele_reported();
}

void stele_report_resize(struct stele_call call, const void *p, const char *what, const char *cache)
{
	report_pointer(call, p, what, cache, "not resized");
}

void stele_report_mismatch(struct stele_call call, const void *p, const char *came_from)
{
	struct caller caller = caller_of(call);

	stele_report("stele: %s(%p): mismatched, as it came from %s; freed%s\n", call.name, p,
		     came_from, caller.text);
	stele_reported();
}

void stele_report_size(struct stele_call call, const void *p, size_t given, size_t asked)
{
	struct caller caller = caller_of(call);

	stele_report("stele: %s(%p): of %zu bytes, but allocated with %zu; freed%s\n", call.name, p,
		     given, asked, caller.text);
	stele_reported();
}
