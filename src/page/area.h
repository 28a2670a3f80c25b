/* SPDX-License-Identifier: MIT */
/*
 * page/area.h - taking and returning runs of frames in one area, without a lock
 *
 * Idea      An area is 512 frames of 4 KiB. A taker first claims a number of frames from the count,
 *           then finds them in the bitmap. A thread that returns frames clears the bits first and
 *           lowers the count after. So the bits set never exceed the count, and a count of no
 *           frames means that every bit is clear.
 *           A claim may still find no run that is long enough; it is then returned.
 * Objects   count: AREA_OPEN and the frames claimed, or AREA_HUGE for an area that is part of a
 *           huge block, or a state of areas that are not open (page/open.h).
 *           used:  the frame of a set bit has an owner.
 *           dirty: may be set for a frame that reads as zero; must not be clear for one
 *                  that does not.
 * Order     AREA: bits are cleared with release and taken with acquire, so a frame's last
 *           owner is done with it before the next one starts.
 * Context   any. A lost race is tried again or the next area is used.
 * Tests     tests/model/area.c
 */
#ifndef STELE_PAGE_AREA_H
#define STELE_PAGE_AREA_H

#include "base/basics.h"
#include "base/layout.h"
#include "sync/atomic.h"

#ifndef ORDER_AREA_TAKE
#define ORDER_AREA_TAKE memory_order_acquire
#endif
#ifndef ORDER_AREA_RETURN
#define ORDER_AREA_RETURN memory_order_release
#endif

#define AREA_WORDS (AREA_FRAMES / 64)
#define AREA_OPEN 65536u /* the count of an area that is empty; other states are below */
#define AREA_HUGE 4096u
#define AREA_KEPT 8192u /* as HUGE: its runs are never returned (page/permanent.c) */

struct area {
	_Atomic uint64_t used[AREA_WORDS];
	_Atomic uint64_t dirty[AREA_WORDS];
};

/* @n bits from @bit on, n in 1..64. */
static inline uint64_t bits_mask(unsigned bit, unsigned n)
{
	return (~0ull >> (64 - n)) << bit;
}

/* How many bits of an area's @words are set; a look. */
static inline unsigned area_bits(_Atomic uint64_t *words)
{
	unsigned n = 0;

	for (unsigned w = 0; w < AREA_WORDS; w++)
		n += stele_popcount(load_relaxed(&words[w]));
	return n;
}

/* Frames claimed, where @count is of an open area; else more than there are. */
static inline uint32_t area_claimed(uint32_t count)
{
	return count - AREA_OPEN;
}

/* Claims @n frames from the count: the count before, or 0. */
static inline uint32_t area_claim(_Atomic uint32_t *count, unsigned n)
{
	uint32_t seen = load_relaxed(count);

	while (area_claimed(seen) <= AREA_FRAMES - n)
		/* ORDER(AREA) acquire: the bits that back this claim are clear. */
		if (atomic_compare_exchange_weak_explicit(count, &seen, seen + n, ORDER_AREA_TAKE,
							  memory_order_relaxed))
			return seen;
	return 0;
}

/* True: the area is empty now. */
static inline bool area_unclaim(_Atomic uint32_t *count, unsigned n)
{
	/* ORDER(AREA) release: after the bits. */
	return atomic_fetch_sub_explicit(count, n, ORDER_AREA_RETURN) == AREA_OPEN + n;
}

/* The lowest bit where @n set bits of @free start at a multiple of @align; 64 if none. */
static inline unsigned find_run(uint64_t free, unsigned n, unsigned align)
{
	static const uint64_t every[] = { ~0ull,
					  0x5555555555555555,
					  0x1111111111111111,
					  0x0101010101010101,
					  0x0001000100010001,
					  0x0000000100000001,
					  1 };
	unsigned left = n, step;

	for (; left > 1 && free; left -= step) {
		step = left / 2;
		free &= free >> step;
	}
	free &= every[__builtin_ctz(align)];
	return free ? (unsigned)__builtin_ctzll(free) : 64;
}

static inline void return_bits(struct area *area, unsigned first, unsigned n)
{
	while (n) {
		unsigned bit = first % 64, here = n < 64 - bit ? n : 64 - bit;

		/* ORDER(AREA) release: the owner is done with the frames. */
		atomic_fetch_and_explicit(&area->used[first / 64], ~bits_mask(bit, here),
					  ORDER_AREA_RETURN);
		first += here;
		n -= here;
	}
}

/* Tries to set the bits of [first, first+n), word by word; undoes it on a collision. */
static inline bool take_at(struct area *area, unsigned first, unsigned n)
{
	unsigned done = 0;

	while (done < n) {
		unsigned at = first + done, bit = at % 64;
		unsigned here = n - done < 64 - bit ? n - done : 64 - bit;
		uint64_t mask = bits_mask(bit, here), used = load_relaxed(&area->used[at / 64]);

		do {
			if (used & mask) {
				return_bits(area, first, done);
				return false;
			}
			STELE_POINT("area:take_at");
			/* ORDER(AREA) acquire: the last owner is done with the frames. */
		} while (!atomic_compare_exchange_weak_explicit(&area->used[at / 64], &used,
								used | mask, ORDER_AREA_TAKE,
								memory_order_relaxed));
		done += here;
	}
	return true;
}

/*
 * The lowest place, a multiple of @align, of @n frames that were seen free; AREA_FRAMES if
 * none. A row that is open to a word's upper end goes on in the next word.
 */
static inline unsigned find_row(struct area *area, unsigned n, unsigned align)
{
	unsigned start = 0; /* of the free frames that reach up to this word */

	for (unsigned end = 0; end < AREA_FRAMES; end += 64) {
		uint64_t used = load_relaxed(&area->used[end / 64]);
		unsigned head, at;

		if (used == ~0ull) {
			start = end + 64;
			continue;
		}
		head = used ? (unsigned)__builtin_ctzll(used) : 64;
		at = (start + align - 1) & ~(align - 1);
		if (at + n <= end + head)
			return at;
		if (!used)
			continue;
		if (n < 64 && align < 64) {
			unsigned bit = find_run(~used, n, align);

			if (bit < 64)
				return end + bit;
		}
		start = end + 64 - (unsigned)__builtin_clzll(used);
	}
	return AREA_FRAMES;
}

/* Takes @n frames that were claimed. The first, or -1. */
static inline int area_take(struct area *area, unsigned n, unsigned align)
{
	/* Each collision was another thread's success, or two long rows in each other's way. */
	for (unsigned tries = 0; tries < AREA_FRAMES; tries++) {
		unsigned first = find_row(area, n, align);

		if (first == AREA_FRAMES)
			return -1;
		STELE_POINT("area:take");
		if (take_at(area, first, n))
			return (int)first;
	}
	return -1;
}

/* Returns [first, first+n): bits, then count. True: the area is empty now. */
static inline bool area_return(struct area *area, _Atomic uint32_t *count, unsigned first,
			       unsigned n)
{
	return_bits(area, first, n);
	STELE_POINT("area:return");
	return area_unclaim(count, n);
}

/* Takes a whole empty area for @state. It is shown again by area_show() (page/open.h). */
static inline bool area_take_whole(_Atomic uint32_t *count, uint32_t state)
{
	uint32_t empty = AREA_OPEN;

	/* ORDER(AREA) acquire: every bit is clear and every owner done. */
	return atomic_compare_exchange_strong_explicit(count, &empty, state, ORDER_AREA_TAKE,
						       memory_order_relaxed);
}

#endif
