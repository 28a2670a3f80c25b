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
 * Rest      aligned.c has the calls with an alignment.
 * Tests     tests/preload/, tests/apps/programs/
 */
#include "malloc/malloc.h"
#include "kmalloc/kmalloc.h"
#include "kmalloc/request.h"
#include "malloc/share.h"
#include "os/os.h"
#include "page/run.h"
#include "cache/fast.h"
#include "cache/fault.h"
#include "cache/free.h"
#include "cache/miss.h"
#include "cache/resting.h"
#include "percpu/percpu.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"
#include "slab/report.h"
#include "trace/probe.h"
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

bool stele_malloc_start(void)
{
	stele_kmalloc_init(MALLOC_GRANULE);
	if (!stele_cache_for(1))
		return false;
	if (stele_hot.small_end)
		return true;
	for (size_t size = 0; size <= STELE_TABLE_MAX; size++) {
		struct kmem_cache *s = stele_cache_for(size ? size : 1);

		size_words()[size] = (uint16_t)s->words;
	}
	for (unsigned cls = FIRST_ABOVE; cls < STELE_NR_CLASSES; cls++)
		*words_above(stele_class_size(cls)) = (uint16_t)stele_kmalloc_caches[cls].words;
	/* ORDER(START) release, and a barrier in every thread: a plain look at small_end that finds
	 * it set comes after that barrier, and so does the look at the table behind it. */
	fence_release();
	stele_os_membarrier();
	stele_hot.small_end = STELE_TABLE_MAX + 1;
	return true;
}

static __attribute__((constructor(101))) void start_drop_in(void)
{
	stele_malloc_start();
}

/* Reports kmalloc. */
static void *with_event(void *p, size_t size, size_t bytes, const void *site)
{
	const struct stele_request r = { .size = size, .node = NUMA_NO_NODE, .site = site };

	return stele_request_report(&r, p, bytes);
}

/* Nothing that fits rests in this slot. */
static void *alloc_pages_of(size_t size, size_t align, bool zero, const void *site)
{
	void *p = pages_fail(size, 0, site) ? NULL : stele_large_alloc(size, align, zero);

	return with_event(p, size, p ? stele_usable(p) : size, site);
}

void *stele_malloc_large(size_t size, size_t align, bool zero, const void *site)
{
	void *p = stele_resting_take(size, align);

	if (!p)
		return alloc_pages_of(size, align, zero, site);
	probe_kmalloc(p, size);
	return zero ? memset(p, 0, stele_usable(p)) : p;
}

void *stele_malloc_small(struct kmem_cache *s, size_t size, const void *site)
{
	return with_event(slab_alloc_for(s, 0, site), size, s->size, site);
}

void *stele_malloc_unstarted(size_t align, size_t size)
{
	return stele_heap_failed() ? NULL : stele_boot_alloc(align, size);
}

/* Any size, any state of the heap. */
static __attribute__((noinline)) void *malloc_slow(size_t size, const void *site)
{
	struct kmem_cache *s;
	void *p;

	if (size < stele_hot.small_end && !trace_asked(STELE_TRACE_KMALLOC | WATCH_ALL) &&
	    (p = pcpu_pop_late(size_words()[size]))) {
		probe_kmalloc(p, size);
		return p;
	}
	s = stele_cache_for(size ? size : 1);
	if (!s && !stele_malloc_start())
		return checked(stele_malloc_unstarted(MALLOC_GRANULE, size));
	if (size > KMALLOC_MAX_CACHE_SIZE)
		return checked(alloc_pages_of(size, 1, false, site));
	s = s ? s : stele_cache_for(size ? size : 1);
	p = slab_fails(s, 0, site) ? NULL : stele_alloc_anywhere(s, 0);
	return checked(with_event(p, size, s->size, site));
}

/* @p was popped, and does not fit; or NULL. */
static __attribute__((noinline)) void *malloc_block_late(void *p, size_t size, const void *site)
{
	p = stele_likely(stele_hot.small_end) ? stele_resting_take_late(p, size, 1) : NULL;
	if (stele_unlikely(!p))
		return malloc_slow(size, site);
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
static __attribute__((noinline)) void *malloc_above(size_t size, const void *site)
{
	void *p = NULL;

	if (size > KMALLOC_MAX_CACHE_SIZE)
		return malloc_block(size, site);
	if (stele_likely(stele_hot.small_end))
		p = pcpu_pop(*words_above(size));
	if (stele_unlikely(!p))
		return malloc_slow(size, site);
	probe_kmalloc(p, size);
	return p;
}

/* @site: where the call returns to; NULL: this function's caller, which is then read at need alone. */
static inline __attribute__((always_inline)) void *alloc_fast(size_t size, const void *site)
{
	void *p;

	if (stele_unlikely(size >= stele_hot.small_end))
		return malloc_above(size, site ? site : STELE_CALLER);
	p = pcpu_pop(size_words()[size]);
	if (stele_unlikely(!p))
		return malloc_slow(size, site ? site : STELE_CALLER);
	probe_kmalloc(p, size);
	return p;
}

EXPORT void *malloc(size_t size)
{
	return alloc_fast(size, NULL);
}

/* malloc() for a call of another name. */
static __attribute__((noinline)) void *malloc_for(size_t size, const void *site)
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

/* No object, or its sheaf has no room: a block that can rest, first, and without a frame. */
static __attribute__((noinline)) void free_slow(void *p, const void *site)
{
	if (stele_unlikely(!resting_free_fast(p)))
		free_late(p, site);
}

EXPORT void free(void *p)
{
	probe_kfree(p);
	if (stele_unlikely(!slab_free_fast(p)))
		free_slow(p, STELE_CALLER);
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
	return s ? s->size : size;
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

/* ---- realloc ---- */

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
	free_slow(p, site);
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
		new = malloc_for(old + old / 4, site);
	if (!new)
		new = malloc_for(size, site);
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
			with_event(new, size, stele_usable(new), STELE_CALLER);
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

EXPORT size_t malloc_usable_size(void *p)
{
	if (!p)
		return 0;
	return stele_unlikely(stele_boot_has(p)) ? stele_boot_size(p) : stele_usable(p);
}

/*
 * ---- the C library's own names for them ----
 *
 * By names that nobody else can replace: a wrapper of malloc() that calls __libc_malloc() must not
 * come back to itself. And each is a function of its own, so that tools show malloc() as malloc().
 */

STELE_HERE(malloc);
STELE_HERE(calloc);
STELE_HERE(realloc);
STELE_HERE(free);

void *__libc_malloc(size_t size);
void *__libc_calloc(size_t n, size_t size);
void *__libc_realloc(void *p, size_t size);
void __libc_free(void *p);

EXPORT void *__libc_malloc(size_t size)
{
	return malloc_here(size);
}

EXPORT void *__libc_calloc(size_t n, size_t size)
{
	return calloc_here(n, size);
}

EXPORT void *__libc_realloc(void *p, size_t size)
{
	return realloc_here(p, size);
}

EXPORT void __libc_free(void *p)
{
	free_here(p);
}
