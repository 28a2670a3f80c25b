/* SPDX-License-Identifier: MIT */
/*
 * malloc/realloc.c - blocks that change their size
 *
 * Idea      An object stays where it is while it fits its class and uses half of it. A large block
 *           grows and shrinks in place where it can. All else moves: allocate, copy, free.
 * Checked   Where objects are checked, every block up to 512 KiB moves (docs/debugging.md).
 * Context   any, as in malloc.c.
 * Errors    NULL with errno ENOMEM; the block is then as it was.
 * Source    POSIX.1-2024, C23; realloc(p, 0) frees and returns NULL, as in glibc.
 * Tests     tests/preload/
 */
#include "cache/fast.h"
#include "cache/object.h"
#include "kmalloc/kmalloc.h"
#include "malloc/malloc.h"
#include "page/run.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"
#include "slab/checks.h"
#include "trace/trace.h"
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

/* A block stays where it is. Its owner may ask for the bytes behind the new end again. */
static __attribute__((noinline, cold)) void *clear_tail(void *p, size_t size, size_t usable)
{
	if (size < usable)
		memset((char *)p + size, 0, usable - size);
	return p;
}

static inline void *stay_with(void *p, size_t size, size_t usable)
{
	return trace_asked(WATCH_CLEAR_NEW) ? clear_tail(p, size, usable) : p;
}

static void *move_block(void *p, size_t old, size_t size)
{
	void *new = malloc(size);

	if (!new)
		return NULL;
	memcpy(new, p, old < size ? old : size);
	free(p);
	return new;
}

/* Refuses to resize: the object was freed, or there is no object. */
static void *refuse_resize(const void *p, const char *what, const char *cache, const void *site)
{
	stele_report_resize((struct stele_call){ "realloc", site }, p, what, cache);
	return no_memory();
}

/* Why @p, which has no size, cannot be resized. */
static const char *why_not(const void *p)
{
	const struct run *run = stele_run_of(p);

	if (!run || run_rests(run))
		return STELE_NOT_OURS;
	return run_is_own(run) ? STELE_OWN : "not the start of an object";
}

/* @p was copied to @new, and the fast step did not take it: it may have been on top, free. */
static __attribute__((noinline)) void *moved_slow(void *p, void *new, const void *site)
{
	const struct run *run = stele_run_of(p);

	if (stele_unlikely(!run || stele_seen_free(run, p))) {
		free(new);
		return refuse_resize(p, "object was already free",
				     run ? run_cache(run)->name : NULL, site);
	}
	stele_free_slow(p, site);
	return new;
}

/*
 * Stays where it is when it fits and at least half of it is used. Growth by a small step is often
 * followed by more of it: the new place then has a quarter to spare. The new place is of another
 * class than @p. So if @p was freed just before, it is still on top of its sheaf when this call
 * frees it, and the free sees that.
 */
static void *resize_object(void *p, size_t old, size_t size, const void *site)
{
	const struct run *run;
	void *new = NULL;

	if (size <= old && (size >= old / 2 || old <= 64))
		return stay_with(p, size, old);
	/* Before anything is taken: that may put another object there. */
	run = stele_run_of(p);
	if (stele_unlikely(!run || object_is_free(run, p)))
		return refuse_resize(p, "object was already free",
				     run ? run_cache(run)->name : NULL, site);
	/* A second try would hide a failure on purpose. */
	if (size > old && size < old + old / 4 && !trace_asked(WATCH_FAIL))
		new = stele_malloc_for(old + old / 4, site);
	if (!new)
		new = stele_malloc_for(size, site);
	if (!new)
		return NULL;
	memcpy(new, p, old < size ? old : size);
	probe_kfree(p);
	return stele_likely(slab_free_fast(p)) ? new : moved_slow(p, new, site);
}

/* Grows by a small step within an area: with room for the next steps, here or elsewhere. */
static void *grow_roomy(void *p, size_t old, size_t size)
{
	size_t roomy = trace_asked(WATCH_FAIL) ? size : large_roomy(old, size);
	void *new = NULL;

	if (roomy != size)
		new = stele_large_resize(p, roomy, false);
	if (!new &&roomy != size)
		new = stele_large_resize(p, size, false);
	return !new &&roomy != size ? move_block(p, old, roomy) : new;
}

static void *resize_large(void *p, size_t old, size_t size)
{
	void *new;

	if (size > PTRDIFF_MAX)
		return no_memory();
	if (size > KMALLOC_MAX_CACHE_SIZE && !(stele_grow_by_moving && size > old)) {
		if (large_stays(old, size))
			return stay_with(p, size, old);
		if (size > old && pages_fail(size, 0, STELE_CALLER))
			return no_memory();
		new = grow_roomy(p, old, size);
		if (new)
			return new;
		new = stele_large_resize(p, size, true);
		if (new &&new != p) {
			TRACE(KFREE, .call_site = STELE_CALLER, .ptr = p);
			stele_malloc_report(new, size, stele_usable(new), STELE_CALLER);
		}
		if (new)
			return stay_with(new, size, stele_usable(new));
		if (size <= old && size >= old / 2)
			return stay_with(p, size, old);
	}
	return move_block(p, old, size);
}

static void *resize_boot(void *p, size_t size)
{
	if (size)
		return move_block(p, stele_boot_size(p), size);
	stele_boot_free();
	return NULL;
}

/* A long block stays if it can, as it may be gigabytes. NULL: it has to move. */
static void *resize_watched_in_place(struct run *run, void *p, size_t size, const void *site)
{
	void *new = NULL;

	if (size > KMALLOC_MAX_CACHE_SIZE &&
	    stele_watch_large_stays(run, (struct stele_call){ "realloc", site })) {
		new = stele_large_resize(p, stele_watch_room(size), true);
		if (!new)
			stele_watch_large_stayed(run);
	}
	stele_watch_taken(new, size, site, KIND_MALLOC);
	return new;
}

/* Where objects are checked, other blocks move, so that a stale pointer shows. */
static void *resize_watched(void *p, size_t old, size_t size, const void *site)
{
	struct run *run = stele_run_of(p);
	void *new;

	if (size > PTRDIFF_MAX)
		return no_memory();
	if (run->kind == RUN_SLAB && object_is_free(run, p))
		return refuse_resize(p, "object was already free", run_cache(run)->name, site);
	new = resize_watched_in_place(run, p, size, site);
	if (new)
		return new;
	new = stele_malloc_as(KIND_MALLOC, size, site);
	if (!new)
		return NULL;
	memcpy(new, p, old < size ? old : size);
	stele_free("realloc", p, site);
	return new;
}

static __attribute__((noinline)) void *realloc_slow(void *p, size_t size, const void *site)
{
	size_t old;

	if (!p)
		return malloc(size);
	if (stele_unlikely(stele_boot_has(p)))
		return resize_boot(p, size);
	old = stele_usable(p);
	if (!old)
		return refuse_resize(p, why_not(p), NULL, site);
	if (!size) {
		stele_free("realloc", p, site);
		return NULL;
	}
	if (watching())
		return resize_watched(p, old, size, site);
	return stele_run_of(p)->kind == RUN_SLAB ? resize_object(p, old, size, site)
						 : resize_large(p, old, size);
}

EXPORT void *realloc(void *p, size_t size)
{
	const struct object_facts *facts;
	uint64_t tag;

	if (stele_unlikely(!in_heap(p) || !size))
		return realloc_slow(p, size, STELE_CALLER);
	tag = tag_at(p);
	facts = facts_at(tag_words(tag));
	if (stele_unlikely(!tag_has_object_at(tag, p, facts->recip, facts->limit)))
		return realloc_slow(p, size, STELE_CALLER);
	return resize_object(p, facts->size, size, STELE_CALLER);
}

EXPORT void *reallocarray(void *p, size_t n, size_t size)
{
	size_t bytes;

	if (__builtin_mul_overflow(n, size, &bytes))
		return no_memory();
	return realloc(p, bytes);
}

/* ---- the C library's own name for it, as in malloc.c ---- */

STELE_HERE(realloc);

void *__libc_realloc(void *p, size_t size);

EXPORT void *__libc_realloc(void *p, size_t size)
{
	return realloc_here(p, size);
}
