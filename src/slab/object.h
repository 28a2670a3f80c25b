/* SPDX-License-Identifier: MIT */
/*
 * slab/object.h - does an object start at this address, and of which cache?
 *
 * Idea      A free asks the tag of the address's frame first: it holds the offset of the cache's
 *           words and the address of the slab's last object. With the facts that lie beside the
 *           words it tells whether an object starts there, by one multiplication. All other
 *           questions go to the descriptor.
 * Context   any. A slab may be retired any moment when its object was freed twice: then the answers
 *           are those of another run, or of none.
 */
#ifndef STELE_SLAB_OBJECT_H
#define STELE_SLAB_OBJECT_H

#include "base/layout.h"
#include "page/run.h"
#include "slab/kmem_cache.h"
#include "sync/atomic.h"

/*
 * Tells the start of an object from its inside, in 32 bits: the distance to the last object of the
 * slab times 2^32 / size, rounded up, wraps to below the limit if the size divides it. Both are 0
 * where that is not exact; every free is then a slow one. slab/geometry.c has the proof.
 */
struct object_facts {
	uint32_t recip;
	uint32_t limit;
	uint32_t size;
	uint32_t unused[5];
};
_Static_assert(sizeof(struct object_facts) == STELE_WORDS_SIZE, "found by the words' offset");

/* ---- by the tag ---- */

static inline bool in_heap(const void *p)
{
	return (uintptr_t)p - (uintptr_t)stele_hot.first < STELE_SPAN_SEEN;
}

/* The tag for an address in the heap. */
static inline __attribute__((always_inline)) uint64_t tag_at(const void *p)
{
	uint64_t offset = (uintptr_t)p - (uintptr_t)stele_hot.first;
	_Atomic uint64_t *tags = (_Atomic uint64_t *)(stele_hot.base + STELE_TAGS_OFFSET);

	/* ORDER(PAGEMAP): reached through the object's address. */
	return load_relaxed(&tags[offset >> FRAME_SHIFT]);
}

static inline uint64_t tag_make(uint64_t words, uintptr_t last)
{
	return words << 32 | (uint32_t)last;
}

static inline uint64_t tag_words(uint64_t tag)
{
	return tag >> 32;
}

static inline __attribute__((always_inline)) bool tag_has_object_at(uint64_t tag, const void *p,
								    uint32_t recip, uint32_t limit)
{
	return ((uint32_t)tag - (uint32_t)(uintptr_t)p) * recip < limit;
}

static inline struct object_facts *facts_at(uint64_t words)
{
	return (struct object_facts *)(stele_hot.base + STELE_FACTS_OFFSET + words);
}

/* ---- by the descriptor ---- */

/*
 * The cache of a slab that may be retired any moment: an object in it was freed twice, or is only
 * asked about. Then the cache may be another one, or be destroyed, or none.
 */
static inline struct kmem_cache *run_cache(const struct run *run)
{
	struct kmem_cache *s = __atomic_load_n(&run->cache, __ATOMIC_RELAXED);

	racy_target(s);
	return s ? s : &stele_no_cache;
}

/*
 * Whether the run has objects of the library's own: no call of the user frees or resizes them.
 * Their caches have no sheaves, so no fast path accepts them, and the slow paths ask here.
 */
static inline bool run_is_own(const struct run *run)
{
	return run->kind == RUN_SLAB ? run_cache(run)->flags & SLAB_OWN : run->kind & RUN_OWN_FLAG;
}

/* True when @p is the start of an object: its offset times the reciprocal wraps to below it. */
static inline bool run_has_object_at(const struct run *run, const void *p)
{
	uint64_t offset = (uintptr_t)p - run->first;

	return offset < (uint64_t)run->objects * run->size && offset * run->recip < run->recip;
}

/* Whether a large block waits for readers: it is not its user's any more. */
static inline bool run_is_given(const struct run *run)
{
	return run->kind != RUN_SLAB && load_relaxed(&run->grace.done);
}

/* Whether a large block is free, but kept whole in a slot (cache/resting.c). */
static inline bool run_rests(const struct run *run)
{
	return load_relaxed(&((struct run *)run)->rests);
}

static inline void *object_at(const struct run *run, unsigned i)
{
	return (void *)(run->first + (uint64_t)i * run->size);
}

static inline unsigned object_number(const struct run *run, uint64_t p)
{
	/* (p - first) / size: the high half of the product that run_has_object_at() looks at. */
	return (unsigned)(((unsigned __int128)(p - run->first) * run->recip) >> 64);
}

/* Whether the object's bit says free: a look, which may change at once. */
static inline bool object_is_free(const struct run *run, const void *p)
{
	/* The descriptor may be another run's by now: then the number may be anything. */
	unsigned i = object_number(run, (uint64_t)(uintptr_t)p) % SLAB_OBJECTS_MAX;

	return load_relaxed(&((struct run *)run)->free[i / 64]) >> i % 64 & 1;
}

#endif
