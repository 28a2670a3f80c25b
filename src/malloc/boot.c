/* SPDX-License-Identifier: MIT */
/*
 * malloc/boot.c - memory for a call that comes from inside the start
 *
 * Idea      A function that the start calls may be a preloaded library's, which allocates. The heap
 *           cannot serve it yet, and it must not start the heap again. So it gets a piece of a fixed
 *           buffer.
 * Objects   buffer: pieces, each behind the number of its bytes. used: how many pieces are out, and up
 *           to where the buffer is given out; the last piece that comes back empties it.
 * Context   any. A piece may be freed at any later time, by any thread.
 * Failure   the buffer is used up: NULL.
 * Tests     tests/preload/interposed.c
 */
#include "malloc/malloc.h"
#include "base/basics.h"
#include "sync/atomic.h"
#include <stdint.h>
#include <string.h>

#define BUFFER_BYTES (64u << 10)
#define HEAD ((size_t)16) /* before each piece; keeps it aligned */

static char buffer[BUFFER_BYTES] __attribute__((aligned(4096)));
static _Atomic uint64_t used; /* {pieces:32, bytes:32} */

static uint64_t used_word(uint64_t pieces, uint64_t bytes)
{
	return pieces << 32 | bytes;
}

void *stele_boot_alloc(size_t align, size_t size)
{
	uint64_t seen = load_relaxed(&used);
	uintptr_t p;

	if (size > BUFFER_BYTES || align > BUFFER_BYTES)
		return NULL;
	do {
		p = (uintptr_t)buffer + (uint32_t)seen + HEAD;
		p = STELE_ALIGN_UP(p, STELE_MAX(align, HEAD));
		if (p + size > (uintptr_t)buffer + BUFFER_BYTES)
			return NULL;
		/* ORDER(BOOT) acquire: the former owner's last touch of the buffer is over. */
	} while (!cas_acquire(&used, &seen,
			      used_word((seen >> 32) + 1, p + size - (uintptr_t)buffer)));
	*(size_t *)(p - HEAD) = size;
	return memset((void *)p, 0, size);
}

void stele_boot_free(void)
{
	uint64_t seen = load_relaxed(&used), pieces;

	do {
		pieces = seen >> 32;
		if (!pieces)
			return; /* freed twice */
				/* ORDER(BOOT) release: with the owner's last touch of the piece. */
	} while (!cas_release(&used, &seen,
			      pieces == 1 ? 0 : used_word(pieces - 1, (uint32_t)seen)));
}

bool stele_boot_has(const void *p)
{
	return (uintptr_t)p - (uintptr_t)buffer < BUFFER_BYTES;
}

size_t stele_boot_size(const void *p)
{
	return ((const size_t *)p)[-2];
}
