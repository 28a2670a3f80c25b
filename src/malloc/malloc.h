/* SPDX-License-Identifier: MIT */
/*
 * malloc/malloc.h - what the files of the drop-in share
 */
#ifndef STELE_MALLOC_MALLOC_H
#define STELE_MALLOC_MALLOC_H

#include "base/basics.h"
#include "base/layout.h"
#include "slab/checks.h"
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Function @name under a name that no other library can replace. */
#if __has_attribute(copy)
#define STELE_HERE(name)                                                                           \
	static __typeof__(name) name##_here __attribute__((alias(#name), copy(name)))
#else
#define STELE_HERE(name) static __typeof__(name) name##_here __attribute__((alias(#name)))
#endif

/* Memory aligned to @align (a power of two), without touching errno; NULL when there is none.
 * @site: the caller. */
void *stele_malloc_aligned(size_t align, size_t size, const void *site);

/* ---- cxx_library.c: functions of the caller's C++ library ---- */
enum stele_cxx {
	STELE_CXX_GET_NEW_HANDLER, /* void (*(void))(void) */
	STELE_CXX_THROW_BAD_ALLOC, /* void (void), which does not come back */
	STELE_CXX_NEW_NOTHROW,	   /* void *(size_t, const void *), which calls our throwing one */
	STELE_CXX_NEW_ALIGNED_NOTHROW, /* void *(size_t, size_t, const void *) */
	STELE_CXX_NEW,		       /* void *(size_t), which calls malloc(), and throws */
	STELE_CXX_NEW_ALIGNED,	       /* void *(size_t, size_t) */
};
typedef void (*stele_cxx_fn)(void);
/* @site: an address in the code that called operator new. NULL: not to be had. */
stele_cxx_fn stele_cxx_find(enum stele_cxx which, const void *site);

/* ---- tsan.c ---- */
/* A block that grows is moved, by an allocation and a free. Fixed at start. */
extern bool stele_grow_by_moving;

/* ---- boot.c: for calls from inside the start ---- */
/* @align: a power of two. The memory is zero. */
void *stele_boot_alloc(size_t align, size_t size);
/* One piece is no longer needed. */
void stele_boot_free(void);
bool stele_boot_has(const void *p);
/* Of a piece that it has. */
size_t stele_boot_size(const void *p);

/* ---- the table by size, and the slow ways of malloc.c ---- */

struct kmem_cache;

#define EXPORT __attribute__((visibility("default")))
#define MALLOC_GRANULE 16 /* alignof(max_align_t), for every size */

/* The words by exact size, then those of the classes above. */
static inline uint16_t *size_words(void)
{
	return (uint16_t *)(stele_hot.base + STELE_SIZES_OFFSET);
}

static inline void *no_memory(void)
{
	errno = ENOMEM;
	return NULL;
}

static inline void *checked(void *p)
{
	return stele_likely(p) ? p : no_memory();
}

/* Fills the table of words by size and opens the fast path. Idempotent. */
bool stele_malloc_start(void);
/* The heap does not start: the call comes from inside the start, or there is no memory at all. */
void *stele_malloc_unstarted(size_t align, size_t size);
/* Allocates any size where the fast step did not. */
void *stele_malloc_slow(size_t size, const void *site);
/* The same, for an object that calls of @kind are to free. Where objects are checked no step of a
 * slot's serves, so this tries none. */
void *stele_malloc_as(enum track_kind kind, size_t size, const void *site);
/* Sizes that are not in the table, and every size before the start. */
void *stele_malloc_above(size_t size, const void *site);
/* malloc() for a call of another name. */
void *stele_malloc_for(size_t size, const void *site);
/* Frees what the fast step did not take; NULL is fine. */
void stele_free_slow(void *p, const void *site);
/* Reports kmalloc of @size, which got @bytes; returns @p. */
void *stele_malloc_report(void *p, size_t size, size_t bytes, const void *site);
/* An object of @s for a request of @size. NULL: none. */
void *stele_malloc_small(struct kmem_cache *s, size_t size, const void *site);
/* A run for more than KMALLOC_MAX_CACHE_SIZE, or for a larger alignment. NULL: none. */
void *stele_malloc_large(size_t size, size_t align, bool zero, const void *site);

#endif
