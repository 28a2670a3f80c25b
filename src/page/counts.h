/* SPDX-License-Identifier: MIT */
/*
 * page/counts.h - how many frames are in use, or free and dirty, and who is told
 *
 * Idea      The thread that takes, returns or purges frames says so once they are its own, or no
 *           more. From these numbers page/keep.c knows how many free frames may stay resident, and
 *           page/purge.c how many have to go.
 * Objects   frames: {used:32, dirty and free:32}, kept by differences. A thread that stops for ever
 *           between a step and its count makes it wrong until the next recount (page/purge.c). All
 *           other numbers are advice: an update that is lost in a race is not repeated.
 * Context   any. With EFFORT_BOUNDED the calls count only; the next slow call finds the excess.
 */
#ifndef STELE_PAGE_COUNTS_H
#define STELE_PAGE_COUNTS_H

#include "base/basics.h"
#include "sync/atomic.h"

struct stele_counts {
	/* The lower half is signed, for a frame may be taken before it is counted. */
	_Atomic uint64_t frames;
	_Atomic uint64_t huge;	       /* frames of huge blocks, in use */
	_Atomic uint64_t peak, wanted; /* page/keep.c */
	_Atomic uint64_t gone;	       /* purged lately, and not wanted again so far */
	_Atomic uint64_t back;	       /* purged lately, and faulted in again */
	_Atomic uint64_t lowest;       /* dirty and free at least, in this tick */
};
extern struct stele_counts stele_counts __attribute__((visibility("hidden")));

static inline int64_t dirty_in_word(uint64_t word)
{
	return (int32_t)(uint32_t)word;
}

static inline uint64_t used_in_word(uint64_t word)
{
	return (word - (uint64_t)dirty_in_word(word)) >> 32;
}

static inline uint64_t frames_dirty(void)
{
	int64_t n = dirty_in_word(load_relaxed(&stele_counts.frames));

	return n > 0 ? (uint64_t)n : 0;
}

static inline uint64_t frames_in_use(void)
{
	return used_in_word(load_relaxed(&stele_counts.frames)) + load_relaxed(&stele_counts.huge);
}

/* It uses less than half of what it used lately. */
static inline bool program_shrinks(void)
{
	return frames_in_use() < load_relaxed(&stele_counts.peak) / 2;
}

/* ---- counts.c ---- */

/* Runs of so many frames are in use, @dirty of which were dirty before; or not any more: all are. */
void stele_frames_taken(uint64_t frames, uint64_t dirty);
void stele_counts_returned(uint64_t frames);
/* Frames of huge blocks, touched or not. */
void stele_huge_taken(uint64_t frames, uint64_t dirty);
void stele_huge_returned(uint64_t frames);
void stele_dirty_purged(uint64_t frames);
/* The count as it is, and as it should be if it has not changed since. */
uint64_t stele_counts_look(void);
void stele_counts_mend(uint64_t seen, uint64_t dirty);

/* ---- keep.c: the thread may find that it is time to purge ---- */

void stele_frames_returned(uint64_t frames, enum effort effort);
/* Dirty frames in areas that come and go whole. */
void stele_dirty_returned(uint64_t frames, enum effort effort);

/* ---- purge.c ---- */

/* Areas [first, last] have free frames. Before they are counted. */
void stele_purge_noted(uint32_t first, uint32_t last);
/* Purges until @keep frames are left, or a bound is reached; the caller has just returned so many, and
 * unmapped @closed. */
void stele_purge_some(uint64_t keep, uint64_t returned, uint64_t closed);
void stele_purge_tick(void);
/* Gives back empty areas that the program never touched, until @keep frames are left. True: no others
 * were left to look at. */
bool stele_purge_untouched(uint64_t keep);
/* The same without a bound; and counts what is dirty and free anew. */
void stele_purge_all(uint64_t keep);
void stele_purge_recount(void);

#endif
