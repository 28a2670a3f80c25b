/* SPDX-License-Identifier: MIT */
/*
 * cache/free.c - freeing any pointer, and telling what is wrong with it
 *
 * Idea      The descriptor decides: an object goes to its cache, a large run to the page
 *           floor, anything else is reported under the name of the call. A program cannot free the
 *           library's own objects (its caches, sheaves, pools): the library frees them by other
 *           ways.
 * Context   any.
 * Promise   contract 5 (docs/contract.md)
 * Tests     tests/death/
 */
#include "cache/fast.h"
#include "cache/resting.h"
#include "page/where.h"
#include "slab/checks.h"
#include "trace/trace.h"

/* An object of another node's memory goes to its slab, not onto a sheaf of this node. */
static inline __attribute__((always_inline)) bool push_late(uint64_t words, void *p)
{
	return !is_remote(p) && pcpu_push_late(words, p);
}

/* Why @p cannot be freed: it lies in @run but is not the start of anything there. */
static bool report_inside(struct stele_call call, const void *p, const struct run *run)
{
	const char *cache = run->kind == RUN_SLAB ? run_cache(run)->name : NULL;

	if (run_is_own(run))
		stele_report_free(call, p, STELE_OWN, cache);
	else if (run_is_pages(run))
		stele_report_free(call, p, "pages of alloc_pages()", NULL);
	else
		stele_report_free(call, p, "not the start of an object", cache);
	return false;
}

bool stele_refuse_own(const char *name, const void *p, const void *site)
{
	const struct run *run = stele_heap_started() ? stele_run_of(p) : NULL;

	return run && run_is_own(run) && !report_inside((struct stele_call){ name, site }, p, run);
}

bool stele_seen_free(const struct run *run, const void *p)
{
	return object_is_free(run, p) || stele_pcpu_on_top(run_cache(run)->words, p);
}

/* Whether the object at @p can be freed; reported if not. */
static bool may_free(struct stele_call call, struct run *run, void *p)
{
	if (run_is_own(run) || !run_has_object_at(run, p))
		return report_inside(call, p, run);
	if (!stele_seen_free(run, p))
		return true;
	stele_watch_twice(run_cache(run), run, p);
	stele_report_free(call, p, "object was already free", run_cache(run)->name);
	return false;
}

/* @event: reported while the object is still the caller's; NULL when no callback asked for it. */
static bool free_object(struct stele_call call, struct run *run, void *p,
			const struct stele_trace_event *event, enum effort effort)
{
	if (!may_free(call, run, p))
		return false;
	if (stele_unlikely(event))
		stele_trace_call(event);
	if (stele_unlikely(run_cache(run)->flags & SLAB_WATCHED) &&
	    !stele_watch_give(call, run_cache(run), run, p))
		return false;
	return stele_free_object(run_cache(run), p, effort);
}

/* The run of something that was allocated; else NULL, and it was reported. */
static struct run *run_to_free(struct stele_call call, void *p)
{
	struct run *run = stele_heap_started() ? stele_run_of(p) : NULL;

	if (run && run->kind != RUN_NONE && !run_rests(run))
		return run;
	stele_report_free(call, p, STELE_NOT_OURS, NULL);
	return NULL;
}

static bool free_run(struct stele_call call, void *p, const struct stele_trace_event *event,
		     enum effort effort)
{
	struct run *run = run_to_free(call, p);

	if (!run)
		return false;
	if (run->kind == RUN_SLAB)
		return free_object(call, run, p, event, effort);
	if (effort == EFFORT_BOUNDED || run_is_pages(run) || run_is_own(run) ||
	    run->base != (uintptr_t)p)
		return report_inside(call, p, run);
	if (stele_unlikely(run_is_given(run))) {
		stele_report_free(call, p, STELE_GIVEN, NULL);
		return false;
	}
	if (event)
		stele_trace_call(event);
	if (watching() && !stele_watch_large_give(call, run))
		return false;
	if (!stele_resting_free(p))
		stele_large_free(run);
	return true;
}

static __attribute__((noinline, cold)) bool free_reported(struct stele_call call, void *p)
{
	const struct stele_trace_event event = { .event = STELE_TRACE_KFREE,
						 .call_site = call.site,
						 .ptr = p };

	return free_run(call, p, &event, EFFORT_USUAL);
}

bool stele_free_any(const char *name, void *p, const void *site, enum effort effort)
{
	struct stele_call call = { name, site };

	/* A traced call is not bounded: the callback is not ours. */
	if (trace_asked(STELE_TRACE_KFREE) && site)
		return free_reported(call, p);
	return (!trace_asked(WATCH_CLEAR_FREED) && slab_free_by(push_late, p)) ||
	       free_run(call, p, NULL, effort);
}

bool stele_free(const char *name, void *p, const void *site)
{
	probe_kfree(p);
	return slab_free_fast(p) || stele_free_any(name, p, site, EFFORT_USUAL);
}

/* The bytes that the owner may use. In a checked object those behind the request are red zone. */
static size_t room_of(const struct run *run, const void *p)
{
	const struct kmem_cache *s = run_cache(run);
	size_t asked;

	if (stele_likely(!s->meta))
		return run->size;
	asked = stele_watch_asked(s, p);
	return asked ? asked : 1; /* there is an object, even if none of it may be used */
}

size_t stele_usable(const void *p)
{
	struct run *run = stele_heap_started() ? stele_run_of(p) : NULL;

	if (!run || run->kind == RUN_NONE || run_rests(run) || run_is_pages(run) || run_is_own(run))
		return 0;
	if (run->kind == RUN_SLAB)
		return run_has_object_at(run, p) ? room_of(run, p) : 0;
	if (run->base != (uintptr_t)p)
		return 0;
	return watching() && stele_watch_large_asked(run) ? stele_watch_large_asked(run)
							  : stele_large_usable(run);
}

/* ---- freeing into a named cache ---- */

static void report_wrong_cache(struct stele_call call, struct kmem_cache *s, void *p)
{
	struct run *run = stele_run_of(p);

	if (stele_refuse_own(call.name, p, call.site))
		return;
	if (!run || run->kind != RUN_SLAB)
		stele_report_free(call, p, "object is not in a slab page", NULL);
	else if (!run_has_object_at(run, p))
		report_inside(call, p, run);
	else
		stele_report_cache(call, p, run_cache(run)->name, s->name);
}

static void free_into(struct stele_call call, struct kmem_cache *s, void *p,
		      const struct stele_trace_event *event)
{
	struct run *run = stele_run_of(p);

	if (STELE_DEBUG && s->destroyed)
		stele_report_destroyed(call, s);
	else if (!run || run->cache != s || !run_has_object_at(run, p))
		report_wrong_cache(call, s, p);
	else if (event || trace_asked(WATCH_CLEAR_FREED) || !push_late(s->words, p))
		free_object(call, run, p, event, EFFORT_USUAL);
}

static __attribute__((noinline, cold)) void free_into_reported(struct stele_call call,
							       struct kmem_cache *s, void *p)
{
	const struct stele_trace_event event = { .event = STELE_TRACE_KMEM_CACHE_FREE,
						 .call_site = call.site,
						 .ptr = p,
						 .name = s->name };

	free_into(call, s, p, &event);
}

void stele_free_into(const char *call, struct kmem_cache *s, void *p, const void *site)
{
	if (trace_asked(STELE_TRACE_KMEM_CACHE_FREE) && site)
		free_into_reported((struct stele_call){ call, site }, s, p);
	else
		free_into((struct stele_call){ call, site }, s, p, NULL);
}
