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

#include "base/basics.h"
#include "kmalloc/table.h"
#include "slab/kmem_cache.h"
#include "trace/trace.h"
#include <stele/slab.h>

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

/* ---- a request ---- */

/*
 * A request of the kmalloc family, on its way through the files of this floor. kmalloc.c serves it from
 * a size class or from page runs; realloc.c and kvmalloc.c fill one in and hand it over. Context: any,
 * but for what the flags of the request allow.
 */

/* An allocation with everything that can be asked for. */
struct stele_request {
	size_t size;
	size_t align; /* a power of two; 0 and 1: as the size gives it */
	size_t limit; /* refused above: KMALLOC_MAX_SIZE, or INT_MAX for the kvmalloc family */
	gfp_t gfp;
	int node;
	const void *site; /* the caller */
};

/* A size of the kvmalloc family ends at INT_MAX. */
#define STELE_KV_MAX ((size_t)INT32_MAX)

/* Serves a request: a bucket that fits size and alignment, else a page run; NULL as kmalloc(). */
void *stele_request_alloc(const struct stele_request *r);

/* The same in two halves, for a caller that tries again in between: the first serves, and sets
 * *bytes to the bytes it gives; the second reports kmalloc, and returns @p. */
void *stele_request_serve(const struct stele_request *r, size_t *bytes);

/* The rest of it, when a callback asked for the event or objects are checked: apart, as it needs a
 * frame. The first is the event alone. */
void stele_kmalloc_event(const void *site, void *p, size_t req, size_t alloc, gfp_t gfp, int node);
void stele_kmalloc_taken(const void *site, void *p, size_t req, size_t alloc, gfp_t gfp, int node);

static inline void *stele_request_report(const struct stele_request *r, void *p, size_t bytes)
{
	probe_kmalloc(p, r->size);
	if (trace_asked(STELE_TRACE_KMALLOC | WATCH_OBJECTS))
		stele_kmalloc_taken(r->site, p, r->size, bytes, r->gfp, r->node);
	return p;
}

/* The page-run half of serving. */
void *stele_request_pages(const struct stele_request *r, size_t *bytes);

/* False, after one message, for an alignment that is no power of two, or a size above the limit. */
bool stele_request_valid(const struct stele_request *r);
/* refuse.c: false, after that message. */
bool stele_refuse_align(const struct stele_request *r);
bool stele_refuse_size(const struct stele_request *r);
void stele_refuse_ksize(const void *p, const void *site);

/* krealloc() and kvrealloc() of an allocation that exists. */
void *stele_request_resize(const void *p, const struct stele_request *r);

#endif
