/* SPDX-License-Identifier: MIT */
/*
 * base/layout.h - where everything lies in the heap's first area, and the line that fast paths read
 *
 * Idea      The heap begins with tables at fixed offsets from its base, so that a fast path needs one
 *           pointer. Each belongs to the floor that is named at it; they are listed here so that
 *           all can be seen beside each other. The slots' own table, which steps in assembly read, is
 *           at STELE_SLOTS_OFFSET (arch/contract.h).
 * Objects   stele_hot: fixed after start, but for rseq (stele_fast_path()) and span (page/heap.c).
 * Context   any.
 */
#ifndef STELE_BASE_LAYOUT_H
#define STELE_BASE_LAYOUT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- frames, areas, nodes ---- */

#define FRAME_SHIFT 12
#define FRAME_SIZE (1ul << FRAME_SHIFT)
#ifndef AREA_FRAMES
#define AREA_FRAMES 512u /* a model has fewer */
#endif
#define AREA_SIZE (AREA_FRAMES * FRAME_SIZE)

#define STELE_NODES_MAX 64u /* nodes that are numbered above count as ones without memory */

/* ---- slots ---- */

#ifndef STELE_SLOT_SHIFT /* a model has smaller ones */
#define STELE_SLOT_SHIFT 17
#endif
#define STELE_SLOT_SIZE (1u << STELE_SLOT_SHIFT)
#ifndef STELE_SLOTS_MAX /* a model has fewer */
#define STELE_SLOTS_MAX 4096
#endif
#define STELE_WORDS_SIZE 32 /* one cache's words in a slot */

/* ---- offsets from the base ---- */

#define STELE_SENTINELS_OFFSET 1024
#define STELE_SIZES_OFFSET 1536
#define STELE_FACTS_OFFSET 4096	      /* of the objects behind each line of words (slab/object.h) */
#define STELE_DUMMY_OFFSET (1u << 19) /* percpu/slots.h */
/* The slot of threads that are stepped (percpu/slots.h). */
#define STELE_STEPPED_OFFSET (3u << 18)
#define STELE_TAGS_OFFSET (STELE_STEPPED_OFFSET + STELE_SLOT_SIZE)

/* ---- the line that every fast path reads ---- */

struct stele_hot {
	char *base;	  /* the heap's first byte; offset 0 is the descriptor of "not ours" */
	long rseq;	  /* thread-pointer offset of the rseq area; a dead one if closed */
	size_t span;	  /* addresses in [first, first+span) have a page-map entry; grows only */
	size_t small_end; /* sizes below are in the size table; 0 before start: none is */
	long by_cpu;	  /* slots are CPU numbers: the offset again; else 0 */
	bool by_thread; /* slow ways begin with a step by thread: the fallback, or one was stepped */
	char *refs;	/* per frame: a reference to its run's descriptor (page/run.h) */
	char *first;	/* of the addresses that have a page-map entry */
};
extern struct stele_hot stele_hot __attribute__((visibility("hidden")));

/* The fast paths read it plainly, which ThreadSanitizer would report; an atomic load is a separate
 * instruction with GCC. */
#if defined(__SANITIZE_THREAD__)
#define STELE_SPAN_SEEN __atomic_load_n(&stele_hot.span, __ATOMIC_RELAXED)
#else
#define STELE_SPAN_SEEN stele_hot.span
#endif

#endif
