/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/trap.h - a signal at every instruction of a library, one after the
 * other
 *
 * Idea      A breakpoint is planted on an instruction, a piece of work runs, the instruction is
 *           hit and restored, and the handler does work of its own, at just that point. An
 *           instruction of a restartable sequence is planted alone, since a trap aborts the
 *           sequence. So is one that a quick phase hits. In a phase that takes long, some that lie
 *           far apart are planted together. One that no ordinary run hits (an aborted sequence, a
 *           lost race) is planted beside all of these until it is hit, too.
 * Nested    Then once more, with a second breakpoint in the handler's own work and a third one
 *           in that of the second.
 * Places    tests/signals/any_context/instructions makes the table: which instructions there are.
 * Failure   FAIL() says what and where the last breakpoint was, and ends the process.
 */
#ifndef TESTS_ANY_CONTEXT_TRAP_H
#define TESTS_ANY_CONTEXT_TRAP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Exit codes: the negative control asks for the first. */
enum { EXIT_CONTENTS = 3, EXIT_HANGS = 4, EXIT_OTHER = 5 };

#define MUST(what) ((what) ? (void)0 : fail_at(EXIT_OTHER, __FILE__, __LINE__, #what))
#define MUST_HOLD(what) ((what) ? (void)0 : fail_at(EXIT_CONTENTS, __FILE__, __LINE__, #what))

__attribute__((noreturn)) void fail_at(int code, const char *file, int line, const char *what);

/* What is tested, and the work around it. */
struct trap_plan {
	const char *name;
	const char *table;    /* file, made by tests/signals/any_context/instructions */
	const void *function; /* one of the library, and its name: where the library lies */
	const char *function_name;
	unsigned phases;
	unsigned cheap;			/* so many of them are quick, from the first one on */
	void (*phase)(unsigned number); /* reaches its instructions each time it runs */
	void (*between)(void);		/* after each phase: checks what handlers left behind */
	void (*handler)(void);		/* what the handler does; runs at any instruction */
	void (*settle)(void);		/* now and then: nothing is lost */
	unsigned share;			/* percent of the instructions that must be hit */
};

/* Reads the table; from here on the library's names are known. */
void trap_prepare(const struct trap_plan *plan);

/* Runs all of it and prints what was done. */
void trap_run(void);

/* The address of anything in the library that has a name, or a failure. */
void *trap_symbol(const char *name);
/* The same, NULL where the library does not have it. */
void *trap_symbol_if(const char *name);

/* How deep in handlers we are. */
unsigned trap_depth(void);

#endif
