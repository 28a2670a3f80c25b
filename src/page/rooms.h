/* SPDX-License-Identifier: MIT */
/*
 * page/rooms.h - which areas may have a row of free frames that is long enough
 *
 * Idea      Lengths of rows are cut into 32 classes, four for each doubling. A word of an area has a
 *           bit for each class: it is clear if the area has no free row of that class or longer. A
 *           word for 64 areas has a bit where one of them may have it set, and a word for 4096 has
 *           one where one of those has. So a search for a row skips what cannot serve, and finds the
 *           lowest area that can.
 * States    a bit may be set while no row is there: a searcher that looks in vain clears it. It must
 *           not be clear for long while there is one: only a thread that is between two steps leaves
 *           it so.
 * Order     ROOM: a thread that returns frames clears their bits, then reads the words from the
 *           lowest on, and sets what is missing. A searcher clears a bit, then looks again at what
 *           the bit stands for, and sets it anew if it was wrong. A full fence between each two
 *           makes sure that of two threads one sees the other.
 * Context   any. A lost race is tried again by atomic operations that cannot fail.
 * Failure   a thread that never comes back between returning frames and setting the bits: that row
 *           is found again when a frame beside it is returned, and by a call that would answer NULL.
 * Bound     finding: a word for each 8 GiB, and at most 64 and 64 more on the way down; a word that
 *           led to nothing is cleared. Setting: three words.
 * Tests     tests/model/rooms.c, tests/unit/page/test_rooms.c
 */
#ifndef STELE_PAGE_ROOMS_H
#define STELE_PAGE_ROOMS_H

#include "sync/atomic.h"

#ifndef ORDER_ROOM
#define ORDER_ROOM memory_order_seq_cst
#endif

#ifndef ROOM_FAN
#define ROOM_FAN 64u   /* words for one word above */
#define ROOM_TOP 4096u /* areas below a word at the top: FAN times FAN */
#endif
#define ROOM_NONE UINT32_MAX
#define ROOM_CLASSES 32u
#define ROOM_WHOLE (ROOM_CLASSES - 1) /* the class of an area that is wholly free */

/* The class of rows of @frames, 1..512: the longest whose least length is not above it. */
static inline unsigned room_class(unsigned frames)
{
	unsigned log = 31 - (unsigned)__builtin_clz(frames);

	return frames < 8 ? frames - 1 : 4 * log + (frames >> (log - 2) & 3) - 5;
}

/* The least length of a row of this class. */
static inline unsigned room_least(unsigned class)
{
	return class < 7 ? class + 1 : (4 + ((class + 5) & 3)) << ((class + 5) / 4 - 2);
}

/* Each row of this class is as long as @frames; ROOM_WHOLE if there is no such class. */
static inline unsigned room_class_above(unsigned frames)
{
	unsigned class = frames < 512 ? room_class(frames) : ROOM_WHOLE;

	return class < ROOM_WHOLE && room_least(class) < frames ? class + 1 : class;
}

/* The bits of an area whose longest row has @frames, 0..512. */
static inline uint32_t room_mask(unsigned frames)
{
	return frames ? ~0u >> (ROOM_WHOLE - room_class(frames)) : 0;
}

/* Where the words lie: those of areas are every second word of the table of counts. */
struct rooms {
	_Atomic uint32_t *areas, *groups, *tops;
};
#define ROOM_STRIDE 2u

static inline _Atomic uint32_t *room_of_area(struct rooms r, uint32_t number)
{
	return r.areas + (uint64_t)number * ROOM_STRIDE;
}

static inline void room_set(_Atomic uint32_t *word, uint32_t mask)
{
	/* ORDER(ROOM): a searcher sees what was returned or set before, or this thread reads the bit
	 * that the searcher cleared. */
	atomic_thread_fence(ORDER_ROOM);
	if (mask & ~load_relaxed(word))
		or_relaxed(word, mask);
}

/* Before it looks again at what they stand for. */
static inline void room_clear(_Atomic uint32_t *word, uint32_t mask)
{
	STELE_POINT("room:clear");
	and_relaxed(word, ~mask);
	STELE_POINT("room:cleared");
	/* ORDER(ROOM): this thread sees all that was returned or set before the bits were cleared. */
	atomic_thread_fence(ORDER_ROOM);
}

static inline void room_add_above(struct rooms r, uint32_t number, uint32_t mask)
{
	STELE_POINT("room:area-set");
	room_set(&r.groups[number / ROOM_FAN], mask);
	STELE_POINT("room:group-set");
	room_set(&r.tops[number / ROOM_TOP], mask);
}

/* Area @number has rows of these classes. */
static inline void room_add(struct rooms r, uint32_t number, uint32_t mask)
{
	room_set(room_of_area(r, number), mask);
	room_add_above(r, number, mask);
}

/* ---- searching ---- */

/* No area of group @group was seen to have @bit set. */
static inline void room_clear_group(struct rooms r, uint32_t group, uint32_t bit)
{
	uint32_t seen = 0;

	room_clear(&r.groups[group], bit);
	for (uint32_t i = 0; i < ROOM_FAN; i++)
		seen |= load_relaxed(room_of_area(r, group * ROOM_FAN + i));
	if (seen & bit)
		room_add_above(r, group * ROOM_FAN, bit);
}

static inline void room_clear_top(struct rooms r, uint32_t top, uint32_t bit)
{
	uint32_t seen = 0;

	room_clear(&r.tops[top], bit);
	for (uint32_t i = 0; i < ROOM_FAN; i++)
		seen |= load_relaxed(&r.groups[top * ROOM_FAN + i]);
	if (seen & bit)
		room_set(&r.tops[top], bit);
}

/* In the group of @from. */
static inline uint32_t room_next_in_group(struct rooms r, uint32_t from, uint32_t bit)
{
	uint32_t group = from / ROOM_FAN, end = (group + 1) * ROOM_FAN;

	for (uint32_t i = from; i < end; i++) {
		STELE_POINT("room:step");
		if (load_relaxed(room_of_area(r, i)) & bit)
			return i;
	}
	if (from % ROOM_FAN == 0)
		room_clear_group(r, group, bit);
	return ROOM_NONE;
}

/* Below one word at the top. */
static inline uint32_t room_next_in_top(struct rooms r, uint32_t from, uint32_t bit)
{
	uint32_t top = from / ROOM_TOP, end = (top + 1) * ROOM_TOP, found = ROOM_NONE, at = from;

	for (; found == ROOM_NONE && at < end; at = (at / ROOM_FAN + 1) * ROOM_FAN) {
		STELE_POINT("room:step");
		if (load_relaxed(&r.groups[at / ROOM_FAN]) & bit)
			found = room_next_in_group(r, at, bit);
	}
	if (found == ROOM_NONE && from % ROOM_TOP == 0)
		room_clear_top(r, top, bit);
	return found;
}

/* The lowest area of [from, end) that may have a row of this class, or ROOM_NONE. */
static inline uint32_t room_next(struct rooms r, uint32_t from, uint32_t end, unsigned class)
{
	uint32_t bit = 1u << class, found = ROOM_NONE;

	for (; found == ROOM_NONE && from < end; from = (from / ROOM_TOP + 1) * ROOM_TOP) {
		STELE_POINT("room:step");
		if (load_relaxed(&r.tops[from / ROOM_TOP]) & bit)
			found = room_next_in_top(r, from, bit);
	}
	return found < end ? found : ROOM_NONE;
}

/* The highest area of [first, end) that may be wholly free, or ROOM_NONE. */
static inline uint32_t room_last_whole(struct rooms r, uint32_t first, uint32_t end)
{
	uint32_t bit = 1u << ROOM_WHOLE, at = end;

	while (at > first) {
		uint32_t i = at - 1;

		STELE_POINT("room:step");
		if (!(load_relaxed(&r.tops[i / ROOM_TOP]) & bit))
			at = i / ROOM_TOP * ROOM_TOP;
		else if (!(load_relaxed(&r.groups[i / ROOM_FAN]) & bit))
			at = i / ROOM_FAN * ROOM_FAN;
		else if (load_relaxed(room_of_area(r, i)) & bit)
			return i;
		else
			at = i;
	}
	return ROOM_NONE;
}

#endif
