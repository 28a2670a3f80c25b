/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/said.h - whether the library said anything on standard error
 *
 * Idea      Standard error is a file in memory from the call of said_begin() on. said_anything()
 *           shows it at the end; when the process aborts, its handler does.
 */
#ifndef TESTS_STRESS_SAID_H
#define TESTS_STRESS_SAID_H

#include <signal.h>
#include <stdbool.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

static int said_file, said_stderr;

static inline bool said_anything(void)
{
	off_t at = 0;
	char text[512];
	ssize_t n;

	while ((n = pread(said_file, text, sizeof(text), at)) > 0) {
		at += n;
		if (write(said_stderr, text, (size_t)n) != n)
			break;
	}
	return at > 0;
}

static inline void said_at_abort(int signal)
{
	(void)signal;
	said_anything();
}

static inline void said_begin(void)
{
	said_stderr = dup(STDERR_FILENO);
	said_file = memfd_create("said", MFD_CLOEXEC);
	if (said_stderr < 0 || said_file < 0 || dup2(said_file, STDERR_FILENO) < 0)
		exit(2);
	signal(SIGABRT, said_at_abort);
}

#endif
