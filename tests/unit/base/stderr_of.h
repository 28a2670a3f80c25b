/* SPDX-License-Identifier: MIT */
/*
 * What a function writes to standard error, for tests of messages.
 *
 * A pipe rather than a file: its packets (O_DIRECT) keep single writes apart, so that a test can
 * also see whether a message was one write(2). Each packet takes a page of the pipe: 256 at most.
 *
 * Where a bad call came from differs from build to build: it is taken out of the text, and kept.
 */
#ifndef STELE_TESTS_UNIT_BASE_STDERR_OF_H
#define STELE_TESTS_UNIT_BASE_STDERR_OF_H

/* Its includer defines _GNU_SOURCE before anything else: pipe2(), O_DIRECT. */
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <unistd.h>

struct stderr_text {
	char text[8192];
	size_t len;
	int writes; /* -1 where the system has no packet pipes */
	int pipe[2];
	int old;
	unsigned callers; /* how often "(called from FILE+0xOFFSET)" was said */
	char caller[64];  /* the last one */
};

#define STDERR_CALLER " (called from "

/* Takes all places of calls out of @text: how many. @caller gets the last one, if @size is enough. */
static inline unsigned stderr_take_callers(char *text, char *caller, size_t size)
{
	char *at = text, *name, *end;
	unsigned callers = 0;

	caller[0] = 0;
	while ((at = strstr(at, STDERR_CALLER)) && (end = strchr(at, ')'))) {
		name = at + strlen(STDERR_CALLER);
		*end = 0;
		if (strstr(name, "+0x") && strlen(name) < size) {
			memcpy(caller, name, strlen(name) + 1);
			callers++;
		}
		memmove(at, end + 1, strlen(end + 1) + 1);
	}
	return callers;
}

static inline bool stderr_begin(struct stderr_text *t)
{
	t->writes = 0;
	if (pipe2(t->pipe, O_DIRECT | O_CLOEXEC) != 0) {
		t->writes = -1;
		if (pipe2(t->pipe, O_CLOEXEC) != 0)
			return false;
	}
	t->old = dup(STDERR_FILENO);
	fcntl(t->pipe[1], F_SETPIPE_SZ, 256 * 4096);
	return t->old >= 0 && dup2(t->pipe[1], STDERR_FILENO) >= 0;
}

static inline void stderr_end(struct stderr_text *t)
{
	ssize_t n;

	dup2(t->old, STDERR_FILENO);
	close(t->old);
	close(t->pipe[1]);
	t->len = 0;
	while ((n = read(t->pipe[0], t->text + t->len, sizeof(t->text) - 1 - t->len)) > 0) {
		t->len += (size_t)n;
		t->writes += t->writes >= 0;
	}
	t->text[t->len] = 0;
	close(t->pipe[0]);
	t->callers = stderr_take_callers(t->text, t->caller, sizeof(t->caller));
	t->len = strlen(t->text);
}

#endif
