/* SPDX-License-Identifier: MIT */
/*
 * page/marks.h - a set of areas, from which the highest is taken
 *
 * Idea      One bit for each area, and one bit above for each word of those that may have a bit set.
 *           A thread that returns frames marks their area. A purger takes the highest mark, and with
 *           it the look at that area: purgers never meet in an area and never wait for each other,
 *           so there is no lock, and no message that could be lost. A purger that leaves dirty
 *           frames behind marks the area again.
 * States    an upper bit may be set while its word is empty: a taker finds out. It must not be clear
 *           for long while the word has a mark: only a thread that is between two steps leaves
 *           it so, and the next mark in the word mends that.
 * Order     MARKS: a thread that marks frees its frames, then reads the bit, then reads the upper
 *           bit. A taker clears the bit, then reads what is free; it clears the upper bit, then
 *           reads the word again. A full fence between each two makes sure that of two threads one
 *           sees the other.
 * Context   any. A lost race is tried again; each loss means that another thread made a step.
 * Failure   a taker that never comes back: its area is marked again when frames return to it, or by
 *           marks_all().
 * Bound     adding: two words. Taking: at most one upper word for each 8 GiB of the arena.
 * Tests     tests/model/marks.c
 */
#ifndef STELE_PAGE_MARKS_H
#define STELE_PAGE_MARKS_H

#include "sync/atomic.h"

#ifndef ORDER_MARKS
#define ORDER_MARKS memory_order_seq_cst
#endif

#ifndef MARKS_MAX
#define MARKS_MAX (1u << 21) /* areas in 4 TiB */
#endif
#define MARKS_WORDS ((MARKS_MAX + 63) / 64)
#define MARKS_UPPER ((MARKS_WORDS + 63) / 64)
#define MARKS_NONE UINT32_MAX

struct marks {
	_Atomic uint64_t upper[MARKS_UPPER];
	_Atomic uint64_t words[MARKS_WORDS];
};

static inline void marks_set(_Atomic uint64_t *words, uint32_t number)
{
	uint64_t bit = 1ull << number % 64;

	/* ORDER(MARKS): a taker sees all that was freed or set before, or this thread reads the bit
	 * that the taker cleared. */
	atomic_thread_fence(ORDER_MARKS);
	if (!(load_relaxed(&words[number / 64]) & bit))
		or_relaxed(&words[number / 64], bit);
}

static inline void marks_add(struct marks *marks, uint32_t number)
{
	marks_set(marks->words, number);
	STELE_POINT("marks:set");
	marks_set(marks->upper, number / 64);
}

/* Clears @number's bit. False: it was clear. */
static inline bool marks_clear(_Atomic uint64_t *words, uint32_t number)
{
	uint64_t bit = 1ull << number % 64;
	bool set = and_relaxed(&words[number / 64], ~bit) & bit;

	STELE_POINT("marks:cleared");
	/* ORDER(MARKS): this thread sees all that was freed or set before the bit was read. */
	atomic_thread_fence(ORDER_MARKS);
	return set;
}

/* The highest mark of word @w, taken; MARKS_NONE: it has none, and its upper bit is clear. */
static inline uint32_t marks_take_in(struct marks *marks, uint32_t w)
{
	for (;;) {
		uint64_t word = load_relaxed(&marks->words[w]);
		uint32_t number = w * 64 + 63 - (uint32_t)__builtin_clzll(word | 1);

		if (word && marks_clear(marks->words, number))
			return number;
		if (word)
			continue;
		marks_clear(marks->upper, w);
		if (!load_relaxed(&marks->words[w]))
			return MARKS_NONE;
		marks_set(marks->upper, w);
	}
}

/* Takes the highest mark of areas up to @highest. */
static inline uint32_t marks_take(struct marks *marks, uint32_t highest)
{
	for (uint32_t u = highest / 4096 + 1; u-- > 0;) {
		uint64_t upper;

		while ((upper = load_relaxed(&marks->upper[u]))) {
			uint32_t w = u * 64 + 63 - (uint32_t)__builtin_clzll(upper);
			uint32_t number = marks_take_in(marks, w);

			if (number != MARKS_NONE)
				return number;
		}
	}
	return MARKS_NONE;
}

static inline bool marks_any(const struct marks *marks, uint32_t highest)
{
	for (uint32_t u = 0; u <= highest / 4096; u++)
		if (load_relaxed(&((struct marks *)marks)->upper[u]))
			return true;
	return false;
}

/* Marks areas [first, end). */
static inline void marks_all(struct marks *marks, uint32_t first, uint32_t end)
{
	for (uint32_t number = first; number < end; number = (number / 64 + 1) * 64) {
		uint32_t n = 64 - number % 64 < end - number ? 64 - number % 64 : end - number;

		or_relaxed(&marks->words[number / 64], (~0ull >> (64 - n)) << number % 64);
		marks_set(marks->upper, number / 64);
	}
}

#endif
