/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/stepped.c - a program that a debugger steps through allocates at a
 * bearable cost
 *
 * Idea      A debugger with a software watchpoint stops after every instruction, which interrupts
 *           every restartable sequence. This program does so to itself and counts the instructions
 *           of a pair of malloc() and free(), after some pairs by which the library may notice. The
 *           contents are checked. Then it lets the program run, which must go on as well.
 * Bound     MOST instructions a pair, MOST_BY_CPU where slots are CPU numbers: there each call
 *           tries one step more before it takes the lock. Each step that failed and was done in the
 *           longest way took 4,700; a pair that is not stepped takes 64; glibc's, stepped or not,
 *           139.
 * Runs      with the drop-in preloaded, in both modes.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef STELE_TEST_DEBUG
#define STELE_TEST_DEBUG 0
#endif
#define WARM 8
#define PAIRS 24
#define MOST (STELE_TEST_DEBUG ? 3000 : 700)
#define MOST_BY_CPU (MOST + MOST / 2)

static void must(bool so, const char *what)
{
	if (so)
		return;
	fprintf(stderr, "not so: %s (errno %d)\n", what, errno);
	_exit(1);
}

/* ---- what is stepped ---- */

static void pairs(int n)
{
	for (int i = 0; i < n; i++) {
		uint64_t *p = malloc(40), *q = malloc(40);

		if (!p || !q || p == q)
			_exit(1);
		p[0] = 1;
		q[0] = 2;
		if (p[0] != 1)
			_exit(1);
		free(p);
		free(q);
	}
}

static void work(void)
{
	pairs(1000);
	raise(SIGSTOP);
	pairs(WARM);
	kill(getpid(), SIGUSR2);
	pairs(PAIRS);
	kill(getpid(), SIGUSR2);
	pairs(1000);
	_exit(0);
}

/* ---- the stepping parent ---- */

/* Steps until a SIGUSR2 is on its way; how many steps. */
static unsigned long step_to_mark(pid_t pid)
{
	unsigned long n = 0;
	int status;

	for (;; n++) {
		must(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0, "it can be stepped");
		must(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status), "it goes on");
		if (WSTOPSIG(status) == SIGUSR2)
			return n;
	}
}

int main(void)
{
	unsigned long steps;
	int status;
	pid_t pid;

	alarm(100);
	pid = fork();
	if (pid == 0) {
		must(ptrace(PTRACE_TRACEME, 0, NULL, NULL) == 0, "it is traced");
		work();
	}
	must(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status), "it stops");
	step_to_mark(pid);
	steps = step_to_mark(pid) / (2 * PAIRS);
	printf("%lu instructions a pair\n", steps);
	must(steps < (getenv("STELE_MM_CID") ? MOST_BY_CPU : MOST),
	     "a pair of malloc() and free() is short when it is stepped");
	must(ptrace(PTRACE_CONT, pid, NULL, NULL) == 0, "it may run");
	must(waitpid(pid, &status, 0) == pid && WIFEXITED(status) && WEXITSTATUS(status) == 0,
	     "it runs to its end");
	return 0;
}
