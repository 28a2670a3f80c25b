/* SPDX-License-Identifier: MIT */
/*
 * malloc/malloc.c - malloc, free and family over the size classes
 *
 * Idea      malloc: a table by exact size, or above 1 KiB by class, gives the words of the class,
 *           then one pop.
 *           free: the address gives the words, then one push. Until the heap has started
 *           small_end is 0 and span is 0, so the first calls take the slow way and start it. A
 *           call from inside the start gets memory of boot.c.
 * Context   any: each of these may run in a signal handler that interrupted another one.
 *           malloc_trim() and the reports are for ordinary threads.
 * Errors    NULL with errno ENOMEM; free() never changes errno.
 * Source    POSIX.1-2024, C23, and glibc for what they leave open: malloc(0) is unique,
 *           realloc(p, 0) frees and returns NULL; calloc() clears all that malloc_usable_size()
 *           tells. The same functions are the __libc_ ones, by which some libraries go around a
 *           wrapper of their own.
 * Rest      realloc.c has the calls that resize, aligned.c those with an alignment.
 * Tests     tests/preload/, tests/apps/programs/
 */
#include "malloc/malloc.h"
#include "kmalloc/kmalloc.h"
#include "page/run.h"
#include "cache/fast.h"
#include "cache/object.h"
#include "cache/resting.h"
#include "percpu/percpu.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"
#include "slab/checks.h"
#include "trace/trace.h"
#include <errno.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_ABOVE (STELE_EVEN_CLASSES + 3 * STELE_PER_DOUBLING) /* of 1025 bytes */
#define SIZE_WORDS (STELE_TABLE_MAX + 1 + STELE_NR_CLASSES - FIRST_ABOVE)
_Static_assert(STELE_SIZES_OFFSET + SIZE_WORDS * sizeof(uint16_t) <= STELE_FACTS_OFFSET,
	       "the table ends before the facts");

/* Those of a size in (STELE_TABLE_MAX, KMALLOC_MAX_CACHE_SIZE]. */
static inline uint16_t *words_above(size_t size)
{
	return size_words() + STELE_TABLE_MAX + 1 + stele_class_above(size) - FIRST_ABOVE;
}

/* @kind: the family of calls that is to free it, where objects are checked. */
static __attribute__((noinline, cold)) void tell_taken(enum track_kind kind, void *p, size_t size,
						       size_t bytes, const void *site)
{
	if (watching())
		stele_watch_taken(p, size, site, kind);
	stele_kmalloc_event(site, p, size, bytes, 0, NUMA_NO_NODE);
}

/* Reports kmalloc. */
static inline void *report_as(enum track_kind kind, void *p, size_t size, size_t bytes,
			      const void *site)
{
	probe_kmalloc(p, size);
	if (trace_asked(STELE_TRACE_KMALLOC | WATCH_OBJECTS))
		tell_taken(kind, p, size, bytes, site);
	return p;
}

void *stele_malloc_report(void *p, size_t size, size_t bytes, const void *site)
{
	return report_as(KIND_MALLOC, p, size, bytes, site);
}

/* Nothing that fits rests in this slot. */
static void *alloc_pages_of(size_t size, size_t align, bool zero, const void *site,
			    enum track_kind kind)
{
	void *p = NULL;

	if (!pages_fail(size, 0, site))
		p = stele_large_alloc(stele_watch_room(size), align, zero);

	return report_as(kind, p, size, p ? stele_usable(p) : size, site);
}

void *stele_malloc_large(size_t size, size_t align, bool zero, const void *site)
{
	void *p = stele_resting_take(size, align);

	if (!p)
		return alloc_pages_of(size, align, zero, site, KIND_MALLOC);
	probe_kmalloc(p, size);
	return zero ? memset(p, 0, stele_usable(p)) : p;
}

void *stele_malloc_small(struct kmem_cache *s, size_t size, const void *site)
{
	return stele_malloc_report(slab_alloc_for(s, 0, site), size, s->size, site);
}

void *stele_malloc_unstarted(size_t align, size_t size)
{
	return stele_heap_failed() ? NULL : stele_boot_alloc(align, size);
}

void *stele_malloc_as(enum track_kind kind, size_t size, const void *site)
{
	struct kmem_cache *s = stele_cache_for(size ? size : 1);
	void *p;

	if (!s && !stele_malloc_start())
		return checked(stele_malloc_unstarted(MALLOC_GRANULE, size));
	if (size > KMALLOC_MAX_CACHE_SIZE)
		return checked(alloc_pages_of(size, 1, false, site, kind));
	s = s ? s : stele_cache_for(size ? size : 1);
	p = slab_fails(s, 0, site) ? NULL : stele_alloc_anywhere(s, 0);
	return checked(report_as(kind, p, size, s->size, site));
}

/* Any size, any state of the heap. */
__attribute__((noinline)) void *stele_malloc_slow(size_t size, const void *site)
{
	void *p;

	if (size < stele_hot.small_end && !trace_asked(STELE_TRACE_KMALLOC | WATCH_ALL) &&
	    (p = pcpu_pop_late(size_words()[size]))) {
		probe_kmalloc(p, size);
		return p;
	}
	return stele_malloc_as(KIND_MALLOC, size, site);
}

/* @p was popped, and does not fit; or NULL. */
static __attribute__((noinline)) void *malloc_block_late(void *p, size_t size, const void *site)
{
	p = stele_likely(stele_hot.small_end) ? stele_resting_take_late(p, size, 1) : NULL;
	if (stele_unlikely(!p))
		return stele_malloc_slow(size, site);
	probe_kmalloc(p, size);
	return p;
}

/* Above KMALLOC_MAX_CACHE_SIZE: a run that rests in this slot. Before the start none does. */
static __attribute__((noinline)) void *malloc_block(size_t size, const void *site)
{
	size_t frames = frames_for(size);
	void *p = resting_pop(frames);

	if (stele_unlikely(!p || !resting_fits(p, frames)))
		return malloc_block_late(p, size, site);
	probe_kmalloc(p, size);
	return resting_out(p);
}

/* Sizes that are not in the table, and every size before the start. */
__attribute__((noinline)) void *stele_malloc_above(size_t size, const void *site)
{
	void *p = NULL;

	if (size > KMALLOC_MAX_CACHE_SIZE)
		return malloc_block(size, site);
	if (stele_likely(stele_hot.small_end))
		p = pcpu_pop(*words_above(size));
	if (stele_unlikely(!p))
		return stele_malloc_slow(size, site);
	probe_kmalloc(p, size);
	return p;
}

/* @site: where the call returns to; NULL: this function's caller, which is then read at need alone. */
static inline __attribute__((always_inline)) void *alloc_fast(size_t size, const void *site)
{
	void *p;

	if (stele_unlikely(size >= stele_hot.small_end))
		return stele_malloc_above(size, site ? site : STELE_CALLER);
	p = pcpu_pop(size_words()[size]);
	if (stele_unlikely(!p))
		return stele_malloc_slow(size, site ? site : STELE_CALLER);
	probe_kmalloc(p, size);
	return p;
}

EXPORT void *malloc(size_t size)
{
	return alloc_fast(size, NULL);
}

__attribute__((noinline)) void *stele_malloc_for(size_t size, const void *site)
{
	return alloc_fast(size, site);
}

static __attribute__((noinline)) void free_late(void *p, const void *site)
{
	/* In the fallback every free comes here, and most are of objects: they go first. */
	if (!stele_hot.by_thread && stele_resting_free(p))
		return;
	if (stele_boot_has(p))
		stele_boot_free();
	else if (p)
		stele_free_any("free", p, site, EFFORT_USUAL);
}

/* A block that can rest goes first, and without a frame. */
__attribute__((noinline)) void stele_free_slow(void *p, const void *site)
{
	if (stele_unlikely(!resting_free_fast(p)))
		free_late(p, site);
}

EXPORT void free(void *p)
{
	probe_kfree(p);
	if (stele_unlikely(!slab_free_fast(p)))
		stele_free_slow(p, STELE_CALLER);
}

/*
 * The bytes of an object for a request of at most KMALLOC_MAX_CACHE_SIZE; @size before the start.
 * A cache without sheaves has no words, and no facts beside them.
 */
static inline size_t room_for(size_t size)
{
	uint16_t words = size < stele_hot.small_end ? size_words()[size] : 0;
	const struct kmem_cache *s;

	if (stele_likely(words))
		return facts_at(words)->size;
	s = stele_cache_for(size ? size : 1);
	return s && !s->meta ? s->size : size;
}

EXPORT void *calloc(size_t n, size_t size)
{
	size_t bytes;
	void *p;

	if (__builtin_mul_overflow(n, size, &bytes))
		return no_memory();
	if (bytes > KMALLOC_MAX_CACHE_SIZE) {
		if (!stele_malloc_start())
			return checked(stele_malloc_unstarted(MALLOC_GRANULE, bytes));
		return checked(stele_malloc_large(bytes, 1, true, STELE_CALLER));
	}
	p = alloc_fast(bytes, NULL);
	return p ? memset(p, 0, room_for(bytes)) : NULL;
}

/* ---- the rest of the family ---- */

/* Not in this C library's headers. */
void cfree(void *p);
void free_sized(void *p, size_t size);
void free_aligned_sized(void *p, size_t align, size_t size);

EXPORT void cfree(void *p)
{
	free(p);
}

EXPORT void free_sized(void *p, size_t size)
{
	(void)size;
	free(p);
}

EXPORT void free_aligned_sized(void *p, size_t align, size_t size)
{
	(void)align, (void)size;
	free(p);
}

/* Where objects are checked, one of no bytes has none. */
static size_t usable_of_watched(const void *p)
{
	const struct run *run = stele_run_of(p);
	size_t usable = stele_usable(p);

	return usable && run->kind == RUN_SLAB && run_cache(run)->meta
		       ? stele_watch_asked(run_cache(run), p)
		       : usable;
}

EXPORT size_t malloc_usable_size(void *p)
{
	if (!p)
		return 0;
	if (stele_unlikely(stele_boot_has(p)))
		return stele_boot_size(p);
	return watching() ? usable_of_watched(p) : stele_usable(p);
}

/*
 * ---- the C library's own names for them ----
 *
 * By names that nobody else can replace: a wrapper of malloc() that calls __libc_malloc() must not
 * come back to itself. And each is a function of its own, so that tools show malloc() as malloc().
 */

STELE_HERE(malloc);
STELE_HERE(calloc);
STELE_HERE(free);

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void __libc_free(void *p);

EXPORT void *__libc_malloc(size_t size)
{
	return malloc_here(size);
}

EXPORT void *__libc_calloc(size_t n, size_t size)
{
	return calloc_here(n, size);
}

EXPORT void __libc_free(void *p)
{
	free_here(p);
}
