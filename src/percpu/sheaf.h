/* SPDX-License-Identifier: MIT */
/*
 * percpu/sheaf.h - what a sheaf is like: a stack of free objects that moves as a whole
 *
 * Idea      A sheaf is a block of 256, 512 or 1024 bytes, aligned to its size. All code
 *           passes its top (a pointer to the next free entry): this one word names the sheaf
 *           and says how full it is.
 *             link | saved top | depth | 0 | entry 0 ... entry capacity-1 | END
 *           The 0 stops a pop, the END (STELE_SHEAF_END of arch/contract.h) stops a push.
 * Sentinels look like a sheaf that is empty and full at once, where a word has none.
 * Readers   Sheaves are read without ownership (the link and depth in cache/barn.h, entries in
 *           percpu/steps.c), so their slabs stay for good (slab/kept.c).
 * States    in a slot's MAIN or SPARE; in the barn; in one thread's hands. Never in two.
 * Order     in a slot: SLOT; in the barn: STACK. The entries travel with it.
 */
#ifndef STELE_PERCPU_SHEAF_H
#define STELE_PERCPU_SHEAF_H

#include "base/bits.h"
#include "base/layout.h"
#include "sync/links.h"

struct sheaf {
	struct stele_link link; /* barn */
	uint64_t top;		/* while in the barn */
	_Atomic uint64_t depth; /* sheaves below and this one, as of its push; read racily */
	uint64_t bottom;	/* always 0 */
	uint64_t entry[];
};

#define SHEAF_OVERHEAD 5 /* words that are not entries */

static inline struct sheaf *sheaf_of(uint64_t top, unsigned bytes)
{
	return (struct sheaf *)(uintptr_t)(top & ~(uint64_t)(bytes - 1));
}

static inline uint64_t sheaf_bottom(struct sheaf *sheaf)
{
	return (uint64_t)(uintptr_t)sheaf->entry;
}

static inline unsigned sheaf_count(uint64_t top, unsigned bytes)
{
	return (unsigned)((top - sheaf_bottom(sheaf_of(top, bytes))) / 8);
}

/* From the top alone, so a sheaf that is in use elsewhere may be asked about. */
static inline bool sheaf_is_empty(uint64_t top, unsigned bytes)
{
	return sheaf_count(top, bytes) == 0;
}

static inline bool sheaf_is_full(uint64_t top, unsigned bytes, unsigned capacity)
{
	return sheaf_count(top, bytes) == capacity;
}

/* ---- where a word has no sheaf ---- */

static inline uint64_t stele_sentinel(unsigned number)
{
	return (uint64_t)(uintptr_t)stele_hot.base + STELE_SENTINELS_OFFSET + number * 16 + 8;
}
#define SHEAF_EMPTY stele_sentinel(0)
#define SHEAF_REMOTE stele_sentinel(1)
#define SHEAF_UNINIT stele_sentinel(2)

/* True for a word that is a sheaf, not 0 and not a sentinel. */
static inline bool stele_is_sheaf(uint64_t top)
{
	return top && top - SHEAF_EMPTY > 2 * 16;
}

/* Whether a slot's word may be replaced by a sheaf: it has one, or could have. Not when a taker has
 * marked it, nor before the slot's first use. */
static inline bool word_attachable(uint64_t word)
{
	return stele_is_sheaf(word) || word == SHEAF_EMPTY;
}

/* For a thread that finds REMOTE: its taker may be gone (a child that ran no fork handlers). Never
 * waits. */
void stele_pcpu_mend(void);

/* The same for a caller that has time to mend the mark of a taker that is gone. The answer is still
 * no; the caller's next look finds the word mended. */
static inline bool word_attachable_mend(uint64_t word)
{
	if (stele_unlikely(word == SHEAF_REMOTE))
		stele_pcpu_mend();
	return word_attachable(word);
}

#endif
