/* SPDX-License-Identifier: MIT */
/*
 * slab/kept_notes.h - notes of slabs that became idle last, of which there are few
 *
 * Idea      A slab that becomes idle is noted in place of another, unless it is noted already. The
 *           caller parks the one whose note it replaced (slab/kept.c).
 * Order     KEPT: one thread makes a slab idle, and then looks for the slab's note. Another thread
 *           takes that note away, and then looks at the slab's state. Each has a fence of sequential
 *           consistency between its two steps, so one of the two sees the other. No idle slab is
 *           left without a note.
 * Context   any.
 * Tests     tests/model/kept.c
 */
#ifndef STELE_SLAB_KEPT_NOTES_H
#define STELE_SLAB_KEPT_NOTES_H

#include "sync/atomic.h"
#include <stddef.h>

#ifndef KEPT_NOTES
#define KEPT_NOTES 4u /* slabs, of 32 KiB at most where pages have 4 */
#endif
#ifndef FENCE_KEPT_IDLE
#define FENCE_KEPT_IDLE() fence_seq()
#endif
#ifndef FENCE_KEPT_GONE
#define FENCE_KEPT_GONE() fence_seq()
#endif

struct kept_notes {
	_Atomic(void *) slab[KEPT_NOTES];
	_Atomic uint32_t next; /* place to be used */
};

static inline bool kept_is_noted(struct kept_notes *notes, const void *slab)
{
	for (unsigned i = 0; i < KEPT_NOTES; i++)
		if (load_relaxed(&notes->slab[i]) == slab)
			return true;
	return false;
}

/* Takes the slab that is noted there, or NULL; the caller then looks at its state. @instead: or
 * NULL. */
static inline void *kept_replace(struct kept_notes *notes, unsigned place, void *instead)
{
	/* ORDER(KEPT) sequentially consistent: off the notes, then looks whether it is idle. */
	void *slab = exchange_acq_rel(&notes->slab[place], instead);

	STELE_POINT("kept:replaced");
	FENCE_KEPT_GONE();
	return slab;
}

/* After @slab was made idle: notes it. Returns a slab that the caller is to park if it is idle, or
 * NULL. */
static inline void *kept_note(struct kept_notes *notes, void *slab)
{
	/* ORDER(KEPT) sequentially consistent: idle, then looks whether it is noted. */
	FENCE_KEPT_IDLE();
	STELE_POINT("kept:idle");
	if (kept_is_noted(notes, slab))
		return NULL;
	return kept_replace(notes, add_relaxed(&notes->next, 1) % KEPT_NOTES, slab);
}

#endif
