/* SPDX-License-Identifier: MIT */
/*
 * cache/attach.h - the sheaves of a slot: detached, worked on, attached
 *
 * Idea      No slot is ever locked. A thread replaces a sheaf in one step if the word still holds
 *           what the thread saw there; then the sheaf belongs to that thread. A handler that lands
 *           in between finds EMPTY or another sheaf and does the same. A sheaf that cannot be
 *           attached any more goes where it is of use next: the slot's spare, else the barn.
 * States    a sheaf is in MAIN, in SPARE, in the barn, or in one thread's hands.
 * Order     SLOT (the steps), STACK (the barn).
 * Context   any. Each lost race leaves a sheaf in hand, which is put away.
 * Included  by cache/attach.c and by a model, which say how a sheaf is filled, and where one with room
 *           comes from.
 * Tests     tests/model/sheaf.c
 */
#ifndef STELE_CACHE_ATTACH_H
#define STELE_CACHE_ATTACH_H

#include "cache/sheaves.h"
#include "percpu/percpu.h"

/* Fills an empty sheaf from the slabs: with how many. */
static unsigned sheaf_fill(struct kmem_cache *s, uint64_t top);
/* A sheaf in place of @main, which has no room, or 0. */
static uint64_t sheaf_with_room(struct kmem_cache *s, uint64_t main, enum effort effort);

static inline bool slot_may_attach(uint64_t word, enum effort effort)
{
	return effort == EFFORT_BOUNDED ? word_attachable(word) : word_attachable_mend(word);
}

/* ---- attaching ---- */

/* Puts @top where it helps this slot next, else into the barn. */
static inline void sheaf_stow(struct kmem_cache *s, uint64_t top, enum effort effort)
{
	if (!stele_pcpu_cas(s->words, WORD_SPARE, 0, top))
		stele_sheaf_put(s, top, effort);
}

/* Replaces MAIN, seen as @old, by @new; stows whichever is left over. */
static inline void sheaf_attach(struct kmem_cache *s, uint64_t old, uint64_t new,
				enum effort effort)
{
	if (!stele_pcpu_cas(s->words, WORD_MAIN, old, new))
		sheaf_stow(s, new, effort);
	else if (stele_is_sheaf(old))
		sheaf_stow(s, old, effort);
}

/* Takes the spare into hand if it is a sheaf, and filled to @least at least, @most at most. */
static inline uint64_t sheaf_take_spare(struct kmem_cache *s, unsigned least, unsigned most)
{
	uint64_t top = stele_pcpu_read(s->words, WORD_SPARE);
	unsigned count;

	if (!stele_is_sheaf(top))
		return 0;
	count = sheaf_count(top, s->sheaf_size);
	if (count < least || count > most)
		return 0;
	return stele_pcpu_cas(s->words, WORD_SPARE, top, 0) ? top : 0;
}

/* ---- alloc ---- */

/* An empty sheaf in hand: this slot's own if it is still there, else another. */
static inline uint64_t sheaf_empty_in_hand(struct kmem_cache *s, uint64_t *main)
{
	if (stele_is_sheaf(*main) && stele_pcpu_cas(s->words, WORD_MAIN, *main, SHEAF_EMPTY)) {
		uint64_t top = *main;

		*main = SHEAF_EMPTY;
		return top;
	}
	return stele_sheaf_get_empty(s);
}

/* Fills a sheaf from the slabs and attaches it. */
static inline bool sheaf_refill(struct kmem_cache *s, uint64_t main)
{
	uint64_t top = sheaf_empty_in_hand(s, &main);
	unsigned n;

	if (!top)
		return false;
	STELE_POINT("sheaf:detached");
	n = sheaf_fill(s, top);
	STELE_POINT("sheaf:refilled");
	sheaf_attach(s, main, top + n * 8ul, EFFORT_USUAL);
	return n > 0;
}

/*
 * If this attached the full sheaf and put the empty one aside, a program that frees and allocates in
 * turn could come here at every other call. So half of @full moves to @empty: the half that was freed
 * last is attached in place of EMPTY, and the other half is put aside.
 */
static inline void sheaf_attach_halves(struct kmem_cache *s, uint64_t full, uint64_t empty,
				       enum effort effort)
{
	unsigned n = s->capacity / 2u;
	uint64_t *from = (uint64_t *)(uintptr_t)full - n, *to = (uint64_t *)(uintptr_t)empty;

	for (unsigned i = 0; i < n; i++)
		to[i] = from[i];
	sheaf_attach(s, SHEAF_EMPTY, empty + n * 8ul, effort);
	sheaf_stow(s, full - n * 8ul, effort);
}

/* MAIN, seen as @main, is empty or missing; @top was the spare and is in hand. */
static inline void sheaf_attach_spare(struct kmem_cache *s, uint64_t main, uint64_t top,
				      enum effort effort)
{
	if (stele_is_sheaf(main) && sheaf_is_full(top, s->sheaf_size, s->capacity) &&
	    stele_pcpu_cas(s->words, WORD_MAIN, main, SHEAF_EMPTY))
		sheaf_attach_halves(s, top, main, effort);
	else
		sheaf_attach(s, main, top, effort);
}

/* Gives this slot a sheaf with objects. False: there is none to be had. */
static inline bool slot_provide_filled(struct kmem_cache *s, enum effort effort)
{
	uint64_t main = stele_pcpu_read(s->words, WORD_MAIN), top;

	if (!slot_may_attach(main, effort))
		return false;
	if (stele_is_sheaf(main) && !sheaf_is_empty(main, s->sheaf_size))
		return true; /* filled meanwhile, or another slot's */
	top = sheaf_take_spare(s, 1, s->capacity);
	if (top) {
		sheaf_attach_spare(s, main, top, effort);
		return true;
	}
	top = stele_sheaf_get_filled(s);
	if (top) {
		STELE_POINT("sheaf:filled");
		sheaf_attach(s, main, top, effort);
		return true;
	}
	return effort != EFFORT_BOUNDED && sheaf_refill(s, main);
}

/* Gives this slot a sheaf with room. False: it cannot have one now. */
static inline bool slot_provide_room(struct kmem_cache *s, enum effort effort)
{
	uint64_t main = stele_pcpu_read(s->words, WORD_MAIN), top;

	if (!slot_may_attach(main, effort))
		return false;
	if (stele_is_sheaf(main) && !sheaf_is_full(main, s->sheaf_size, s->capacity))
		return true;
	top = sheaf_take_spare(s, 0, s->capacity - 1u);
	if (!top)
		top = sheaf_with_room(s, main, effort);
	if (!top)
		return false;
	STELE_POINT("sheaf:room");
	sheaf_attach(s, main, top, effort);
	return true;
}

#endif
