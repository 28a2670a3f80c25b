/* SPDX-License-Identifier: MIT */
/*
 * malloc/share.h - what the files of malloc share: the table by size, and the slow ways
 */
#ifndef STELE_MALLOC_SHARE_H
#define STELE_MALLOC_SHARE_H

#include "base/bits.h"
#include "base/layout.h"
#include "slab/layout.h"
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

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
