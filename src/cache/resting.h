/* SPDX-License-Identifier: MIT */
/*
 * cache/resting.h - page runs that a slot keeps (resting.c)
 *
 * Context   any, but for what is said otherwise.
 */
#ifndef STELE_CACHE_RESTING_H
#define STELE_CACHE_RESTING_H

#include "page/run.h"
#include "percpu/percpu.h"
#include "percpu/step.h"
#include "slab/object.h"
#include "trace/trace.h"
#include <stele/gfp.h>

#define REST_FRAMES_LEAST 9u  /* above KMALLOC_MAX_CACHE_SIZE */
#define REST_FRAMES_MOST 256u /* 1 MiB */

/* A run of just as many frames that rests here, or NULL. It holds what its last owner wrote. */
void *stele_resting_take(size_t bytes, size_t align);
/* Frees @p, if it is a block that can rest here. False: nothing is done. */
bool stele_resting_free(void *p);
/* The slow half of stele_resting_take(). The fast half popped @p and could not use it, or popped
 * nothing (NULL). */
void *stele_resting_take_late(void *p, size_t bytes, size_t align);
/* stele_large_take(), from what rests here first. */
void *stele_block_take(size_t bytes, size_t align, gfp_t gfp, int node);

/* ---- the fast halves, which call nothing ---- */

/* By frames: the words of the list where such runs rest now; 0: none does. */
extern __attribute__((
	visibility("hidden"))) _Atomic uint16_t stele_resting_words[REST_FRAMES_MOST + 1];

static inline size_t frames_for(size_t bytes)
{
	return (bytes + FRAME_SIZE - 1) / FRAME_SIZE;
}

static inline bool may_rest(size_t frames)
{
	return frames - REST_FRAMES_LEAST <= REST_FRAMES_MOST - REST_FRAMES_LEAST;
}

/* The list of runs of so many frames; 0: they may not rest, or do not. */
static inline unsigned resting_words(size_t frames)
{
	return may_rest(frames) ? load_relaxed(&stele_resting_words[frames]) : 0;
}

/* Whether events or services are asked for that a run which rests goes past. */
static inline bool resting_is_watched(void)
{
	return trace_asked(STELE_TRACE_KMALLOC | STELE_TRACE_KFREE | STELE_TRACE_MM_PAGE_ALLOC |
			   STELE_TRACE_MM_PAGE_FREE | WATCH_ALL);
}

/* A run from the list of its size; it may have other frames than are wanted. */
static inline __attribute__((always_inline)) void *resting_pop(size_t frames)
{
	unsigned words = resting_words(frames);

	return stele_likely(words) && !resting_is_watched() ? pcpu_pop(words) : NULL;
}

static inline bool resting_fits(const void *p, size_t frames)
{
	return stele_run_within(p)->frames == frames;
}

/* A run that was popped: a block in use again. */
static inline void *resting_out(void *p)
{
	store_relaxed(&stele_run_within(p)->rests, 0);
	run_changed();
	return p;
}

/* Frees @p if the fast step does; else nothing is done, and stele_resting_free() may do more. */
static inline __attribute__((always_inline)) bool resting_free_fast(void *p)
{
	struct run *run;
	unsigned words;

	if (!in_heap(p))
		return false;
	run = stele_run_within(p);
	if (run->kind != RUN_LARGE || run->base != (uintptr_t)p || run_rests(run) ||
	    run_is_given(run))
		return false;
	words = resting_words(run->frames);
	if (stele_unlikely(!words) || resting_is_watched() || nodes_several())
		return false;
	store_relaxed(&run->rests, 1);
	if (stele_likely(pcpu_push(words, p)))
		return true;
	store_relaxed(&run->rests, 0);
	return false;
}

#endif
