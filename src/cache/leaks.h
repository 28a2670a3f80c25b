/* SPDX-License-Identifier: MIT */
/*
 * cache/leaks.h - the blocks that a program has, for a look at which of them it has lost
 *
 * Context   an ordinary thread.
 */
#ifndef STELE_CACHE_LEAKS_H
#define STELE_CACHE_LEAKS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An object or a large block that is in use. */
struct block {
	uintptr_t start;
	size_t size;	/* as the program asked for, if it is tracked */
	uint32_t stack; /* of its allocation (sync/depot.h); 0: not known */
	bool tracked;	/* its cache keeps who allocated it */
	bool root;	/* there is always a way to it: pages, which a struct page leads to */
	bool reached;	/* there is a way to it */
};

#define LEAKS_BUFFER 65536u

struct blocks {
	struct block *at; /* n of them, by address; room for more */
	size_t n, room;
	uint32_t *to_scan; /* numbers of blocks */
	size_t waiting;
	char *buffer;
	int touched;	  /* the system's list of pages that were touched */
	bool refused;	  /* the system does not let the process look at its memory */
	uintptr_t memory; /* all of this, in one mapping */
	size_t bytes;
};

/* ---- leaks.c ---- */

/* The program ends: reports what is lost. If something is and the option leak_status says so, ends the
 * process with that status. */
void stele_leaks_at_exit(void);

/* ---- leak_table.c ---- */

/* Lists the blocks in use. False: there is no memory for that. */
bool stele_blocks_list(struct blocks *b);
void stele_blocks_end(struct blocks *b);
/* Sorts the first @n blocks, in place and without other memory. */
void stele_blocks_sort(struct block *at, size_t n,
		       bool (*before)(const struct block *, const struct block *));

/* ---- leak_scan.c ---- */

/* Marks the blocks that the program can still reach. @stack: the caller's frames are from here on. */
void stele_blocks_mark(struct blocks *b, uintptr_t stack);

#endif
