/* SPDX-License-Identifier: MIT */
/*
 * percpu/take.h - how a taker gets the sheaves of slots, by sequence
 *
 * Idea      From slots in use: a mark in place of each sheaf, one barrier for TAKE_SLOTS slots, then
 *           a second look (percpu/steal.h). From a slot that is closed or paused (percpu/show.h)
 *           by plain exchanges: no step reaches it.
 * Context   one taker at a time (percpu/take.c).
 * Tests     tests/model/take.c  tests/model/pairs.c
 */
#ifndef STELE_PERCPU_TAKE_H
#define STELE_PERCPU_TAKE_H

#include "os/os.h"
#include "percpu/slots.h"
#include "percpu/steal.h"
#include <errno.h>

#define TAKE_SLOTS 16 /* slots per membarrier; bounds the frame */

/* The words that are taken in one go. No word may occur twice: its mark would be taken for a
 * sheaf. */
struct stele_words {
	int n;
	enum stele_word at[3];
};
static const struct stele_words take_words = { 2, { WORD_MAIN, WORD_SPARE } };
static const struct stele_words take_rcu = { 1, { WORD_RCU } };
static const struct stele_words take_line = { 3, { WORD_MAIN, WORD_SPARE, WORD_RCU } };

/* Puts REMOTE in place of a sheaf; its top, or 0. */
static inline uint64_t mark_remote(word_t *word)
{
	uint64_t top = load_relaxed(word);

	while (stele_is_sheaf(top) && !steal_mark(word, &top, SHEAF_REMOTE))
		;
	return stele_is_sheaf(top) ? top : 0;
}

/*
 * The barrier was refused (a program may put on a filter at any time): nothing can be taken.
 * A sequence that read the old value before the mark may commit over either, as if nothing
 * had been: the sheaf is what it was.
 */
static inline void put_back(uint64_t words, const struct stele_words *which, unsigned first,
			    unsigned last, uint64_t found[TAKE_SLOTS][2])
{
	for (unsigned slot = first; slot < last; slot++) {
		uint64_t line = slot_memory(slot) + words;

		for (int i = 0; i < which->n; i++) {
			uint64_t remote = SHEAF_REMOTE;

			/* ORDER(SLOT) release: the sheaf as it was. */
			if (found[slot - first][i])
				cas_release(word_at(line, which->at[i]), &remote,
					    found[slot - first][i]);
			found[slot - first][i] = 0;
		}
	}
}

/* Slots [first, last) of one line by sequence. -EAGAIN: some slot has to be tried again. */
static inline int take_marked(uint64_t words, const struct stele_words *which, unsigned first,
			      unsigned last, uint64_t found[TAKE_SLOTS][2])
{
	bool any = false;
	int error = 0;

	for (unsigned slot = first; slot < last; slot++) {
		uint64_t base = slot_memory_begun(slot), line = base + words;

		for (int i = 0; base && i < which->n; i++) {
			found[slot - first][i] = mark_remote(word_at(line, which->at[i]));
			any |= found[slot - first][i] != 0;
		}
	}
	STELE_POINT("take:marked");
	if (any)
		error = stele_os_membarrier();
	if (error)
		put_back(words, which, first, last, found);
	if (error || !any)
		return error;
	for (unsigned slot = first; slot < last; slot++) {
		uint64_t line = slot_memory(slot) + words;

		for (int i = 0; i < which->n; i++) {
			uint64_t *top = &found[slot - first][i];

			if (*top && !steal_finish(word_at(line, which->at[i]), SHEAF_REMOTE,
						  nothing_in(which->at[i]))) {
				*top = 0;
				error = -EAGAIN;
			}
		}
	}
	return error;
}

/* Clears the marks of a taker that is gone. The sheaves that they stood for are lost. */
static inline void take_clear_marks(uint64_t line)
{
	for (enum stele_word which = WORD_MAIN; which < WORD_LOCK; which += WORD_SPARE) {
		uint64_t remote = SHEAF_REMOTE;

		cas_relaxed(word_at(line, which), &remote, nothing_in(which));
	}
}

/* The three words of a line in a slot that is closed or paused. */
static inline void take_unreached(uint64_t line, uint64_t found[3])
{
	for (int i = 0; i < 3; i++) {
		enum stele_word which = (enum stele_word)(i * WORD_SPARE);

		/* ORDER(SLOT) the barrier has made the owner's stores visible. */
		found[i] = atomic_exchange(word_at(line, which), nothing_in(which));
	}
}

#endif
