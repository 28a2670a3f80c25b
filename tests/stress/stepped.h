/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/stepped.h - how many instructions a child runs, counted by its parent
 *
 * Idea      The child asks to be traced and stops itself before a call. The parent steps through it
 *           from the moment when a word that both see says "inside" until it says so no more.
 * The trap  A stepped restartable sequence is aborted at each step and would never end; so before
 *           each step rseq_cs is cleared, as in bench/count_insns.c.
 */
#ifndef TESTS_STRESS_STEPPED_H
#define TESTS_STRESS_STEPPED_H

#include "stress.h"

#include <sys/ptrace.h>
#include <sys/wait.h>

#define RSEQ_CS_OFFSET 8
#define GET_RSEQ_CONFIGURATION 0x420f /* not in every libc's <sys/ptrace.h>; Linux 5.13 */

static uintptr_t rseq_cs_of(pid_t pid)
{
	struct {
		uint64_t area;
		uint32_t size, signature, flags, pad;
	} found = { 0 };
	long got = ptrace(GET_RSEQ_CONFIGURATION, pid, (void *)sizeof(found), &found);

	return got >= 8 && found.area ? found.area + RSEQ_CS_OFFSET : 0;
}

static void step_once(pid_t pid, uintptr_t rseq_cs)
{
	int status;

	if (rseq_cs && ptrace(PTRACE_PEEKDATA, pid, (void *)rseq_cs, NULL))
		ptrace(PTRACE_POKEDATA, pid, (void *)rseq_cs, NULL);
	MUST(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL) == 0);
	MUST(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status) && WSTOPSIG(status) == SIGTRAP);
}

static unsigned long stepped_insns(pid_t pid, const _Atomic int *inside)
{
	uintptr_t rseq_cs = rseq_cs_of(pid);
	unsigned long n = 0;

	while (!atomic_load(inside))
		step_once(pid, rseq_cs);
	for (; atomic_load(inside); n++)
		step_once(pid, rseq_cs);
	return n;
}

/* Until the child ends: @count at each place where it stops itself. Its exit status, or -1. */
static int stepped_run(pid_t pid, void (*count)(pid_t pid))
{
	int status;

	while (waitpid(pid, &status, 0) == pid && WIFSTOPPED(status)) {
		int number = WSTOPSIG(status);

		if (number == SIGSTOP)
			count(pid);
		/* Any other signal is the child's own: it may end by it. */
		MUST(ptrace(PTRACE_CONT, pid, NULL,
			    (void *)(intptr_t)(number == SIGSTOP ? 0 : number)) == 0);
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

#endif
