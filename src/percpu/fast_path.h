/* SPDX-License-Identifier: MIT */
/*
 * percpu/fast_path.h - the word by which the fast paths are open or closed
 *
 * Idea      The start of the heap chooses the area that the fast steps use. Other code gives reasons to
 *           close the fast paths, each of which has a bit. A thread stores its area, or its reason,
 *           first. Then it looks at both, writes the word that the fast paths read, and looks at both
 *           again. If one has changed meanwhile, it writes the word anew: it may have overwritten what
 *           another thread wrote.
 * States    the word: the area, while there is no reason; else the dead area, where each fast step fails.
 *           The word stays as it is until the start has chosen an area.
 * Order     FAST_PATH: all of it is sequentially consistent. A thread writes the word before it looks
 *           again. Another thread stores its area or reason before it reads the word. So either the
 *           first thread sees that store, or the second one sees the word and puts it right.
 * Context   any. A thread tries again only when another one has said something meanwhile.
 * Tests     tests/model/fast_path.c, tests/contract/test_trace.c
 */
#ifndef STELE_PERCPU_FAST_PATH_H
#define STELE_PERCPU_FAST_PATH_H

#include "sync/atomic.h"

/* A model shows what happens without. */
#ifndef ORDER_FAST_SET
#define ORDER_FAST_SET memory_order_seq_cst
#endif

struct fast_path {
	_Atomic long area;	 /* for the fast steps while they are open; 0 before the choice */
	_Atomic uint32_t closed; /* the reasons */
};

/* Other threads read @word meanwhile. Where nothing changes, nothing is written. */
static inline void fast_path_set(long *word, long area)
{
	/* ORDER(FAST_PATH) sequentially consistent: the area and the reasons, then the word. */
	if (atomic_load_explicit((_Atomic long *)word, ORDER_FAST_SET) != area)
		/* ORDER(FAST_PATH) sequentially consistent: the word, then the area and the reasons. */
		atomic_store_explicit((_Atomic long *)word, area, ORDER_FAST_SET);
}

/* Writes the word by the area and the reasons. @dead: the area in which each fast step fails. */
static inline void fast_path_apply(struct fast_path *path, long *word, long dead)
{
	uint32_t closed;
	long area;

	/* ORDER(FAST_PATH) sequentially consistent: any thread's store, then this look. */
	do {
		closed = load_seq(&path->closed);
		area = load_seq(&path->area);
		if (area)
			fast_path_set(word, closed ? dead : area);
		/* ORDER(FAST_PATH) sequentially consistent: the word, then the area and the reasons. */
	} while (closed != load_seq(&path->closed) || area != load_seq(&path->area));
}

static inline void fast_path_close(struct fast_path *path, uint32_t reason)
{
	/* ORDER(FAST_PATH) sequentially consistent: stored, then applied. */
	or_seq(&path->closed, reason);
}

static inline void fast_path_open(struct fast_path *path, uint32_t reason)
{
	/* ORDER(FAST_PATH) sequentially consistent: stored, then applied. */
	and_seq(&path->closed, ~reason);
}

static inline void fast_path_choose(struct fast_path *path, long area)
{
	/* ORDER(FAST_PATH) sequentially consistent: stored, then applied. */
	store_seq(&path->area, area);
}

#endif
