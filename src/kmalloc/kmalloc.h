/* SPDX-License-Identifier: MIT */
/*
 * kmalloc/kmalloc.h - the size classes, and structures of the library that the user holds
 *
 * Idea      Every size up to KMALLOC_MAX_CACHE_SIZE has a class; a class is a static cache.
 *           Up to 1 KiB a byte table answers in one load, and its zero answers the rare
 *           questions too: size 0 and "not started" both read as "take the slow way".
 *           Above, the class follows from the bits of the size.
 * Classes   8 16 24 32 48 64 80 96 112 128, then eight per doubling up to 32768: at most
 *           12.5 % waste above 128 bytes. Each class is aligned to the largest power of two
 *           that divides it, which is the alignment rule of <stele/slab.h>.
 * Order     KMALLOC_BOOT: kmalloc/table.h
 * Tests     tests/contract/test_kmalloc.c
 */
#ifndef STELE_KMALLOC_KMALLOC_H
#define STELE_KMALLOC_KMALLOC_H

#include <stele/slab.h>

#include "base/bits.h"
#include "kmalloc/table.h"
#include "slab/kmem_cache.h"

/* Up to here the classes are by table, above by doublings of eight classes each. */
#define STELE_TABLE_MAX 1024u
#define STELE_TABLE_STEP 8u
#define STELE_TABLE_ENTRIES (STELE_TABLE_MAX / STELE_TABLE_STEP + 1)

#define STELE_EVEN_MAX 128u /* the doublings start above this size */
#define STELE_EVEN_CLASSES 10u
#define STELE_PER_DOUBLING 8u
#define STELE_NR_CLASSES (STELE_EVEN_CLASSES + 8 * STELE_PER_DOUBLING)

/* Fixed once the table names them. */
extern __attribute__((
	visibility("hidden"))) struct kmem_cache stele_kmalloc_caches[STELE_NR_CLASSES];

/* Class number plus one, by (size + 7) / 8; 0 for size 0 and before the start. Written at start. */
extern __attribute__((visibility("hidden"))) _Atomic uint8_t stele_class_table[STELE_TABLE_ENTRIES];

/**
 * stele_kmalloc_init - make the caches, once
 * @granule: classes that are no multiple of it stay unused: 16 for a malloc, whose memory is
 *           aligned to 16 from that size on, 8 for the library; 0 is 8. The first call counts.
 *
 * Context: any. A second thread waits for the first; a signal handler that interrupted the
 *          start itself comes back at once, and finds no memory.
 */
void stele_kmalloc_init(unsigned int granule);

/* Bytes of a class. */
static inline size_t stele_class_size(unsigned int cls)
{
	static const uint8_t even[STELE_EVEN_CLASSES] = {
		8, 16, 24, 32, 48, 64, 80, 96, 112, 128,
	};
	unsigned int above;

	if (cls < STELE_EVEN_CLASSES)
		return even[cls];
	above = cls - STELE_EVEN_CLASSES;
	return (size_t)(STELE_PER_DOUBLING + 1 + above % STELE_PER_DOUBLING)
	       << (above / STELE_PER_DOUBLING + 4);
}

/* The class of a size in (STELE_EVEN_MAX, KMALLOC_MAX_CACHE_SIZE]. */
static inline unsigned int stele_class_above(size_t size)
{
	unsigned int log = stele_ilog2(size - 1);

	return STELE_EVEN_CLASSES + (log - 7) * STELE_PER_DOUBLING +
	       (unsigned int)((size - 1) >> (log - 3)) - STELE_PER_DOUBLING;
}

/* The cache of a size; NULL for 0, above KMALLOC_MAX_CACHE_SIZE, and before the start. */
static inline struct kmem_cache *stele_cache_for(size_t size)
{
	unsigned int entry;

	if (stele_likely(size <= STELE_TABLE_MAX)) {
		entry = table_class(
			&stele_class_table[(size + STELE_TABLE_STEP - 1) / STELE_TABLE_STEP]);
		return stele_likely(entry) ? &stele_kmalloc_caches[entry - 1] : NULL;
	}
	if (size > KMALLOC_MAX_CACHE_SIZE || !table_is_whole(stele_class_table))
		return NULL;
	return &stele_kmalloc_caches[stele_class_above(size)];
}

/* ---- shared by the slow ways; not for the fast path ---- */

/* ---- own.c: structures that the user holds and only the library frees ---- */
#define STELE_OWN_MAX 384u
extern __attribute__((
	visibility("hidden"))) struct kmem_cache stele_own_cache; /* made with the classes */
/* STELE_OWN_MAX bytes, zeroed. */
void *stele_own_alloc(gfp_t gfp, int node);
void stele_own_free(void *p); /* NULL is fine */

#endif
