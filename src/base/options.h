/* SPDX-License-Identifier: MIT */
/*
 * base/options.h - what the user may choose, and how
 *
 * Idea      STELE_OPTIONS="name=value,name=value" and STELE_<NAME>=value in the environment fill one
 *           structure, once, at start; from then on it is only read.
 * Order     none: written before the second thread exists, or by a test that is alone.
 * Context   parsing calls no malloc, no stdio, takes no lock and keeps errno, so that the
 *           allocator can do it in its first call. Before parsing, the defaults hold.
 * Failure   each bad item is reported in one line on standard error and left at the value it had;
 *           the others still count. An allocator with a typo in its options must still run.
 * Trust     a program with more rights than its caller (AT_SECURE) ignores all of them.
 * Tests     tests/unit/base/test_options.c
 */
#ifndef STELE_BASE_OPTIONS_H
#define STELE_BASE_OPTIONS_H

#include "base/option_table.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct stele_out;

#define STELE_FIELD_BOOL bool
#define STELE_FIELD_TRISTATE int
#define STELE_FIELD_PROFILE int
#define STELE_FIELD_INT int
#define STELE_FIELD_SIZE size_t
#define STELE_FIELD_POW2 size_t
#define STELE_FIELD_ACTION int
#define STELE_FIELD_TEXT const char *

#define STELE_OPTION_FIELD(name, kind, init, min, max, meaning) STELE_FIELD_##kind name;
struct stele_options {
	STELE_OPTION_TABLE(STELE_OPTION_FIELD)
};
#undef STELE_OPTION_FIELD

/* The defaults until stele_options_parse() was called. Read by any thread. */
extern struct stele_options stele_opt;

/**
 * stele_options_parse - read the environment, the first time it is called
 * @envp: as environ; NULL is an empty one
 *
 * It reads the STELE_<NAME> variables first, then STELE_OPTIONS from left to right. So the options
 * that `stele run --option` appends there have the last word.
 */
void stele_options_parse(char **envp);

/* The same; the caller says whether the program has more rights than the user who started it. */
void stele_options_read(char **envp, bool secure);

/* The table at run time, for code that prints or tests it. */
enum stele_option_kind {
	STELE_OPTION_BOOL,
	STELE_OPTION_TRISTATE,
	STELE_OPTION_PROFILE,
	STELE_OPTION_INT,
	STELE_OPTION_SIZE,
	STELE_OPTION_POW2,
	STELE_OPTION_ACTION,
	STELE_OPTION_TEXT,
	STELE_NR_OPTION_KINDS
};

struct stele_option_row {
	const char *name;
	enum stele_option_kind kind;
	size_t offset; /* in struct stele_options */
	int64_t init;
	int64_t min;
	int64_t max;
	const char *meaning;
};

extern const struct stele_option_row stele_option_rows[];
extern const size_t stele_nr_option_rows;

/**
 * stele_option_set - take one "name=value"
 * @where: the source of the text, for the message: "STELE_OPTIONS"
 * @item:  the text, @n characters of it
 *
 * Return: 0; -ENOENT no such option; -EINVAL not a value of its kind; -ERANGE out of range.
 *         An error has been reported, and changed nothing.
 */
int stele_option_set(const char *where, const char *item, size_t n);

/* The value an option has now; words are stored as numbers, see option_table.h. For a TEXT, its
 * address in memory that stays. */
int64_t stele_option_get(const struct stele_option_row *row);

/* A value and the values allowed, as the user would write them: "1m", "0..4096", "auto|0|1". */
void stele_option_show_value(struct stele_out *o, const struct stele_option_row *row,
			     int64_t value);
void stele_option_show_range(struct stele_out *o, const struct stele_option_row *row);

/* Back to the defaults, and the next stele_options_parse() reads again. For tests. */
void stele_options_reset(void);

#endif
