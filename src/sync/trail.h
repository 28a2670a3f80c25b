/* SPDX-License-Identifier: MIT */
/*
 * sync/trail.h - debug builds: the chain of callers, by frame pointers
 *
 * Idea      A frame begins with the address of its caller's frame and the return address. Where
 *           code without frame pointers has left something else there, the trail must not lead
 *           into unmapped memory: each page is asked for before it is read, and a
 *           frame lies above the one before.
 * Context   any: no lock, no memory, no call but one to the system for each page of stack.
 * Limits    TRAIL_LONGEST frames.
 * Tests     tests/unit/sync/test_ranks.c
 */
#ifndef STELE_SYNC_TRAIL_H
#define STELE_SYNC_TRAIL_H

#include "base/fmt.h"
#include <stdbool.h>
#include <stdint.h>

#define TRAIL_LONGEST 200

struct trail {
	const uintptr_t *frame; /* the next one */
	uintptr_t readable;	/* the last page that was asked for; 1: none */
	unsigned length;
};

static inline struct trail trail_from(const void *frame)
{
	return (struct trail){ .frame = frame, .readable = 1 };
}

/* The return address of the next frame, or 0 at the end. */
uintptr_t stele_trail_next(struct trail *trail);

/* At most @n of them; 0 behind the last where there are fewer. */
void stele_trail_take(struct trail *trail, uintptr_t *at, unsigned n);

/* " +0x12ab 0x7f0012345678 ...": an offset into the file that has this code, or an address. */
void stele_trail_show(struct stele_out *out, const uintptr_t *at, unsigned n);

#endif
