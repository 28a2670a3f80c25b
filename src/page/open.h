/* SPDX-License-Identifier: MIT */
/*
 * page/open.h - areas that are mapped when they are wanted, and unmapped when they are not
 *
 * Idea      An area's count tells its state. A thread that opens or closes an area makes it BUSY
 *           first; others pass over such an area and take the next one, so no thread waits. A count
 *           of 0 means that the area is closed, so an area that no thread has used yet is closed.
 * States    CLOSED  not mapped; may be opened
 *           OPEN    and up to 512 more: open, and as many frames are claimed (page/area.h)
 *           HUGE    open: part of a block; KEPT, taken for good
 *           BUSY    in the hands of one thread
 *           SOON    empty; in the hands of one thread, which purges or closes it
 *           MET     as BUSY: the thread met something there that is not ours
 *           NEW     as BUSY: the thread has mapped it
 *           FOREIGN something that is not ours was mapped there; looked at again by page/close.c
 *           CLOSED -> BUSY;  BUSY -> OPEN, HUGE, CLOSED, MET, NEW;  MET -> FOREIGN;
 *           NEW -> OPEN, HUGE, BUSY;
 *           HUGE -> OPEN, CLOSED, FOREIGN;  OPEN -> SOON;  SOON -> OPEN, CLOSED;  FOREIGN -> BUSY
 * Let go    A thread that has shown an area as OPEN, CLOSED or FOREIGN has it no more: it may be BUSY
 *           in another thread's hands at once. So nobody reads the count of an area that it let go to
 *           find out whether it still has it. MET is there for this reason.
 * Order     AREA: a count of OPEN or HUGE is stored with release after the mapping was made, a
 *           count of CLOSED after it was taken away. The next thread that takes the area does so
 *           with acquire.
 * Hints     a set bit means: the area may be OPEN and empty, CLOSED, or SOON one of these. A thread
 *           sets the bit after the count, and another clears it before it looks at the count, both by
 *           operations that acquire and release. So a bit that should be set is set, once both
 *           threads are done. A word of 64 such bits has a bit of
 *           its own in a second row, by the same rule.
 * Context   any. Signals are held back while a thread has areas BUSY.
 * Tests     tests/model/open.c
 */
#ifndef STELE_PAGE_OPEN_H
#define STELE_PAGE_OPEN_H

#include "page/area.h"

#ifndef ORDER_OPEN_SHOW
#define ORDER_OPEN_SHOW memory_order_release
#endif
#ifndef ORDER_OPEN_BEGIN
#define ORDER_OPEN_BEGIN memory_order_acquire
#endif

#define AREA_CLOSED 0u
#define AREA_BUSY 16384u
#define AREA_FOREIGN 16385u
#define AREA_NEW 16386u
#define AREA_SOON 16387u
#define AREA_MET 16388u

/* CLOSED -> BUSY, for the caller. */
static inline bool area_begin(_Atomic uint32_t *count)
{
	uint32_t closed = AREA_CLOSED;

	/* ORDER(AREA) acquire: a mapping that was here is gone. */
	return load_relaxed(count) == AREA_CLOSED &&
	       atomic_compare_exchange_strong_explicit(count, &closed, AREA_BUSY, ORDER_OPEN_BEGIN,
						       memory_order_relaxed);
}

/* Areas below @end are looked at. */
static inline void raise_high(_Atomic uint32_t *high, uint32_t end)
{
	uint32_t seen = load_relaxed(high);

	/* ORDER(SPAN) release: the tables reach as far. */
	while (seen < end && !atomic_compare_exchange_weak_explicit(
				     high, &seen, end, memory_order_release, memory_order_relaxed))
		;
}

/* BUSY or HUGE -> @state. */
static inline void area_show(_Atomic uint32_t *count, uint32_t state)
{
	STELE_POINT("open:show");
	/* ORDER(AREA) release: the area is mapped, or unmapped, and its owner is done with it. */
	atomic_store_explicit(count, state, ORDER_OPEN_SHOW);
}

/* BUSY -> CLOSED, MET -> FOREIGN, NEW -> OPEN: the state that others see now. */
static inline uint32_t area_let_go(_Atomic uint32_t *count)
{
	uint32_t had = load_relaxed(count), state = AREA_CLOSED;

	if (had == AREA_MET)
		state = AREA_FOREIGN;
	else if (had == AREA_NEW)
		state = AREA_OPEN;
	area_show(count, state);
	return state;
}

/* FOREIGN -> BUSY, for the caller, which looks whether something is still there. */
static inline bool area_begin_foreign(_Atomic uint32_t *count)
{
	uint32_t foreign = AREA_FOREIGN;

	/* ORDER(AREA) acquire: as area_begin(). */
	return atomic_compare_exchange_strong_explicit(count, &foreign, AREA_BUSY, ORDER_OPEN_BEGIN,
						       memory_order_relaxed);
}

/* ---- hints: a row of bits, and a row with a bit for each word of the first ---- */

struct area_hints {
	_Atomic uint64_t *bits, *words;
};

static inline void hint_set(struct area_hints h, uint32_t number)
{
	/* ORDER(AREA) acquire and release: after the count; see hint_clear(). */
	or_acq_rel(&h.bits[number / 64], 1ull << number % 64);
	or_acq_rel(&h.words[number / 4096], 1ull << number / 64 % 64);
}

static inline bool area_is_whole(uint32_t count)
{
	return count == AREA_OPEN || count == AREA_CLOSED;
}

static inline bool may_be_whole(uint32_t count)
{
	return area_is_whole(count) || count == AREA_SOON;
}

/*
 * Where a search goes on when an area of the row [first, first+n), which is at @number and whose count
 * is @count, could not be had. @anywhere: also beside an area that is SOON free.
 */
static inline uint32_t row_go_on(uint32_t count, uint32_t number, uint32_t first, uint32_t n,
				 bool anywhere)
{
	if (area_is_whole(count))
		return first; /* another thread returned it meanwhile */
	return count == AREA_SOON && !anywhere ? first + n : number + 1;
}

static inline void hint_clear(struct area_hints h, uint32_t number, _Atomic uint32_t *count)
{
	/* ORDER(AREA) acquire and release: if the bit was set anew before this, so was the count. */
	atomic_fetch_and_explicit(&h.bits[number / 64], ~(1ull << number % 64),
				  memory_order_acq_rel);
	STELE_POINT("open:hint");
	if (may_be_whole(load_relaxed(count)))
		hint_set(h, number);
}

static inline void hint_clear_word(struct area_hints h, uint32_t word)
{
	/* ORDER(AREA) acquire and release: as in hint_clear(), of the word and its bits. */
	atomic_fetch_and_explicit(&h.words[word / 64], ~(1ull << word % 64), memory_order_acq_rel);
	if (load_relaxed(&h.bits[word]))
		or_acq_rel(&h.words[word / 64], 1ull << word % 64);
}

/* The first word from @word on, below @end, that may have a bit; @end if none. */
static inline uint32_t hint_next_word(struct area_hints h, uint32_t word, uint32_t end)
{
	while (word < end) {
		uint64_t bits = load_relaxed(&h.words[word / 64]) >> word % 64;

		if (bits) {
			word += (uint32_t)__builtin_ctzll(bits);
			return word < end ? word : end;
		}
		word = (word / 64 + 1) * 64;
	}
	return end;
}

/* The first set bit of [from, end), or @end. */
static inline uint32_t hint_next(struct area_hints h, uint32_t from, uint32_t end)
{
	uint32_t last = (end + 63) / 64;

	for (uint32_t word = from / 64; (word = hint_next_word(h, word, last)) < last; word++) {
		uint64_t bits = load_relaxed(&h.bits[word]);

		if (!bits)
			hint_clear_word(h, word);
		if (word == from / 64)
			bits &= ~0ull << from % 64;
		if (bits) {
			from = word * 64 + (uint32_t)__builtin_ctzll(bits);
			return from < end ? from : end;
		}
	}
	return end;
}

/* How many bits are set from @from on, up to @n. */
static inline uint32_t hint_row(struct area_hints h, uint32_t from, uint32_t n)
{
	uint32_t got = 0;

	while (got < n) {
		uint32_t at = from + got, room = 64 - at % 64;
		uint64_t clear = ~load_relaxed(&h.bits[at / 64]) >> at % 64;
		uint32_t here = clear ? (uint32_t)__builtin_ctzll(clear) : 64;

		got += here < room ? here : room;
		if (here < room)
			break;
	}
	return got < n ? got : n;
}

#endif
