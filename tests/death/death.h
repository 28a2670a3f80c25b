/* SPDX-License-Identifier: MIT */
/*
 * tests/death/death.h - one fault, one small program, one exact message
 *
 * Idea      A program does one thing wrong between said_begin() and said(). Exit 0: exactly the
 *           expected text was written, and the live objects are still alive; else 1 and both texts.
 */
#ifndef STELE_TESTS_DEATH_DEATH_H
#define STELE_TESTS_DEATH_DEATH_H

#include "../unit/base/stderr_of.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>

#include <stele/page.h>
#include <stele/slab.h>
#include <stele/stats.h>

static struct stderr_text death_text;

static inline void said_begin(void)
{
	if (!stderr_begin(&death_text))
		exit(3);
}

/* Ends what said_begin() began; true when exactly this was said. */
static inline __attribute__((format(printf, 1, 2))) bool said(const char *format, ...)
{
	char expected[2048];
	va_list ap;

	va_start(ap, format);
	vsnprintf(expected, sizeof(expected), format, ap);
	va_end(ap);
	stderr_end(&death_text);
	if (strcmp(death_text.text, expected) == 0)
		return true;
	fprintf(stderr, "expected: %s\nsaid:     %s\n", expected, death_text.text);
	return false;
}

/*
 * The same for a second free, which is told by the call that did it or, when only the emptied
 * sheaf shows it, by "free": one line, with this end.
 */
static inline bool said_already_free(const void *p, const char *cache)
{
	char expected[256];
	const char *at;

	snprintf(expected, sizeof(expected),
		 "free(%p): object was already free in cache '%s'; not freed\n", p, cache);
	stderr_end(&death_text);
	at = strstr(death_text.text, expected);
	if (at && !at[strlen(expected)] && at < strchr(death_text.text, '\n') &&
	    strncmp(death_text.text, "stele: ", 7) == 0)
		return true;
	fprintf(stderr, "expected one line with: %s\nsaid: %s\n", expected, death_text.text);
	return false;
}

static inline void must(bool what, const char *text)
{
	if (what)
		return;
	fprintf(stderr, "must: %s\n", text);
	exit(1);
}
#define MUST(what) must((what), #what)

static inline uint64_t reports_now(void)
{
	struct stele_stats stats;

	stele_stats_read(&stats);
	return stats.reports;
}

/* A pointer whose origin the compiler does not know, or it would refuse to compile the fault. */
static inline void *of_unknown_origin(const void *p)
{
	uintptr_t address = (uintptr_t)p;

	__asm__ volatile("" : "+r"(address));
	return (void *)address;
}

/*
 * Runs this program again with one argument, so that what is in the environment is there from
 * the first instruction. Its status as waitpid() tells it, -1 when it could not be run.
 */
static inline int run_self(char *argument)
{
	char *argv[] = { (char *)"self", argument, NULL };
	int status;
	pid_t child = fork();

	if (child == 0) {
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	return waitpid(child, &status, 0) == child ? status : -1;
}

#endif
