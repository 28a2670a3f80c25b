/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/trap_table.h - the instructions, sequences and symbols of the library
 * under test, as read from the table that tests/signals/any_context/instructions makes
 *
 * Idea      read_table() fills places[], one for each instruction, sequences[] and symbols[]. The
 *           table names the symbols first; one of them tells where the library lies.
 * Included  by trap_plant.h and trap_count.h.
 */
#ifndef TESTS_ANY_CONTEXT_TRAP_TABLE_H
#define TESTS_ANY_CONTEXT_TRAP_TABLE_H

#include "trap.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX (1u << 18)
#define PLACES_MAX 49152
#define SEQUENCES_MAX 64
#define SYMBOLS_MAX 4096
#define TABLE_MAX (1u << 20)

enum {
	BY_SEQUENCE = 1,
	BY_LOCK = 2,
	BY_CPU = 4,
	BY_CID = 8,
	INLINED_OUT = 16,
	NEVER = 32,
	WAITS = 64,
};

struct place {
	unsigned char *at;
	const char *function;
	uint64_t phases;     /* those that hit it when nothing disturbs them */
	uint64_t in_handler; /* those in which the handler's work hits it */
	unsigned char byte;
	unsigned char flags;
	bool planted, hit, done, skipped; /* done: hit in this run */
};

struct sequence {
	uintptr_t start, end, abort;
};

/* As the compiler lays them out: the kernel's struct rseq_cs. */
struct rseq_cs_words {
	uint32_t version, flags;
	uint64_t start, bytes, abort;
};

static char table_text[TABLE_MAX];
static struct place places[PLACES_MAX];
static unsigned places_count;
static unsigned every = 1, first;   /* of so many places one is looked at, from this one on */
static uint16_t place_at[TEXT_MAX]; /* by offset: number of the place, plus one */
static struct sequence sequences[SEQUENCES_MAX];
static unsigned sequences_count;
static unsigned char *library;

static inline void add_place(unsigned long offset, unsigned flags, const char *function)
{
	MUST(offset < TEXT_MAX && places_count < PLACES_MAX);
	places[places_count] = (struct place){
		.at = library + offset,
		.function = function,
		.flags = (unsigned char)flags,
		.skipped = !(flags & BY_SEQUENCE) && places_count % every != first,
	};
	place_at[offset] = (uint16_t)++places_count;
}

static inline unsigned flags_of(const char *letters)
{
	unsigned flags = 0;

	for (; *letters; letters++)
		flags |= *letters == 'r'   ? BY_SEQUENCE
			 : *letters == 'f' ? BY_LOCK
			 : *letters == 'c' ? BY_CPU
			 : *letters == 'm' ? BY_CID
			 : *letters == 'o' ? INLINED_OUT
					   : 0;
	return flags;
}

static inline void add_sequences(unsigned long offset, unsigned long bytes)
{
	const struct rseq_cs_words *cs = (const void *)(library + offset);

	for (unsigned long i = 0; i < bytes / sizeof(*cs); i++) {
		MUST(sequences_count < SEQUENCES_MAX);
		sequences[sequences_count++] = (struct sequence){
			.start = cs[i].start,
			.end = cs[i].start + cs[i].bytes,
			.abort = cs[i].abort,
		};
	}
}

/* The words of one line, in place. */
static inline unsigned split(char *line, char *words[3])
{
	unsigned n = 0;
	char *rest = NULL, *word;

	for (word = strtok_r(line, " ", &rest); word && n < 3; word = strtok_r(NULL, " ", &rest))
		words[n++] = word;
	return n;
}

struct symbol {
	const char *name;
	unsigned long offset;
};
static struct symbol symbols[SYMBOLS_MAX];
static unsigned symbols_count;

static inline const struct symbol *find_symbol(const char *name)
{
	for (unsigned i = 0; i < symbols_count; i++)
		if (!strcmp(symbols[i].name, name))
			return &symbols[i];
	return NULL;
}

/* The symbols come first: from then on it is known where the library lies. */
static inline void find_library(const struct trap_plan *plan)
{
	const struct symbol *found = find_symbol(plan->function_name);

	MUST(found);
	library = (unsigned char *)plan->function - found->offset;
}

static inline void read_line(const struct trap_plan *plan, char *line)
{
	static const char *function = "?";
	char *words[3] = { "", "", "" };
	unsigned long offset;

	MUST(split(line, words) >= 2);
	if (!strcmp(words[0], "fn")) {
		function = words[1];
		return;
	}
	offset = strtoul(words[1], NULL, 16);
	if (!strcmp(words[0], "symbol")) {
		MUST(symbols_count < SYMBOLS_MAX);
		symbols[symbols_count++] = (struct symbol){ words[2], offset };
		return;
	}
	if (!library)
		find_library(plan);
	if (!strcmp(words[0], "cs"))
		add_sequences(offset, strtoul(words[2], NULL, 10));
	else if (!strcmp(words[0], "never"))
		add_place(offset, NEVER, words[2]);
	else if (!strcmp(words[0], "waits"))
		add_place(offset, WAITS, words[2]);
	else
		add_place(offset, flags_of(words[2]), function);
}

static inline void read_table(const struct trap_plan *plan)
{
	int file = open(plan->table, O_RDONLY | O_CLOEXEC);
	ssize_t bytes = 0, more;
	char *line = table_text, *end;

	MUST(file >= 0);
	while ((more = read(file, table_text + bytes, TABLE_MAX - (size_t)bytes)) > 0)
		bytes += more;
	MUST(more == 0 && bytes > 0 && bytes < TABLE_MAX);
	close(file);
	for (; line < table_text + bytes; line = end + 1) {
		end = memchr(line, '\n', (size_t)(table_text + bytes - line));
		MUST(end);
		*end = '\0';
		read_line(plan, line);
	}
	MUST(places_count > 0);
}

/* ---- one place ---- */

static inline void say_place(const struct place *place, const char *what)
{
	if (place)
		dprintf(STDERR_FILENO, "  %s: %s, offset %#lx\n", what, place->function,
			(unsigned long)(place->at - library));
}

static inline struct place *place_of(uintptr_t address)
{
	uintptr_t offset = address - (uintptr_t)library;
	unsigned number = offset < TEXT_MAX ? place_at[offset] : 0;

	return number && places[number - 1].planted ? &places[number - 1] : NULL;
}

static inline bool never(const struct place *place)
{
	return place->flags & NEVER;
}

static inline bool waits(const struct place *place)
{
	return place->flags & WAITS;
}

/* Apart from the others: planted together, these abort each other's sequences. */
static inline bool in_sequence(const struct place *place)
{
	return place->flags & BY_SEQUENCE;
}

static inline bool plain(const struct place *place)
{
	return !(place->flags & (NEVER | WAITS)) && !place->skipped;
}

static inline bool outside(const struct place *place)
{
	return plain(place) && !in_sequence(place);
}

#endif
