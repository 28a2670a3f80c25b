/* SPDX-License-Identifier: MIT */
/*
 * tools/place.h - where in a stopped process code lies, and how its source calls that (place.c)
 */
#ifndef STELE_TOOLS_PLACE_H
#define STELE_TOOLS_PLACE_H

#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <sys/types.h>

/* In a file: the offset is the one that addr2line(1) takes. */
struct stele_place {
	char file[PATH_MAX];
	unsigned long offset;
};

/* Of the call that returns to @address. False: it is in no file. */
bool stele_place_find(struct stele_place *place, pid_t pid, unsigned long address);
bool stele_place_same(const struct stele_place *a, const struct stele_place *b);
/* "function at file:line [FILE+OFFSET]", as far as that is known. */
void stele_place_print(FILE *out, const struct stele_place *place);
/* The stack of a stopped thread by gdb(1), from the frame on whose call returns to @address: a line for
 * each. How many; 0: there is no gdb, or it may not look. */
unsigned stele_stack_print(FILE *out, pid_t thread, unsigned long address);

#endif
