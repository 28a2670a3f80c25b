/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/broken_allocator.c - what the test must find: a free list that is not
 * re-entrant
 *
 * Idea      One list of blocks of 64 bytes, its head in a plain variable: a thread that is
 *           interrupted between reading the head and writing it back hands out a block twice.
 */
#include "broken_allocator.h"

#include <stddef.h>

#define BLOCKS 512
#define BLOCK_BYTES 64

struct block {
	struct block *next;
	char rest[BLOCK_BYTES - sizeof(struct block *)];
};

static struct block pool[BLOCKS];
static struct block *volatile head;
static unsigned fresh;

void *broken_alloc(void)
{
	struct block *block = head;

	if (!block)
		return fresh < BLOCKS ? &pool[fresh++] : NULL;
	head = block->next;
	return block;
}

void broken_free(void *p)
{
	struct block *block = p;

	block->next = head;
	head = block;
}
