/* SPDX-License-Identifier: MIT */
/*
 * bench/traced.c - start a program under ptrace
 *
 * Idea      Only the traced program gets the preloaded library: the tracer's own environment is
 *           changed for a child and never used by itself.
 */
#include "traced.h"
#include "bench.h"

#include <errno.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

/* Offset of rseq_cs in struct rseq: part of the kernel's ABI. */
#define RSEQ_CS_OFFSET 8u

struct rseq_configuration {
	uint64_t area;
	uint32_t size;
	uint32_t signature;
	uint32_t flags;
	uint32_t pad;
};

/* Not in every libc's <sys/ptrace.h>; Linux 5.13. */
#define GET_RSEQ_CONFIGURATION 0x420f

void preload(const char *library)
{
	if (!strcmp(library, "-") ? unsetenv("LD_PRELOAD") : setenv("LD_PRELOAD", library, 1))
		bench_die("LD_PRELOAD");
}

int traced_wait(pid_t child)
{
	int status;

	while (waitpid(child, &status, __WALL) != child) {
		if (errno != EINTR)
			bench_die("waitpid");
	}
	return status;
}

int traced_at_exit(int status)
{
	return status >> 8 == (SIGTRAP | (PTRACE_EVENT_EXIT << 8));
}

pid_t traced_start(char **argv)
{
	pid_t child = fork();

	if (child < 0)
		bench_die("fork");
	if (!child) {
		if (ptrace(PTRACE_TRACEME, 0, NULL, NULL))
			bench_die("PTRACE_TRACEME");
		execvp(argv[0], argv);
		bench_die(argv[0]);
	}
	if (!WIFSTOPPED(traced_wait(child)))
		bench_die("the traced program did not start");
	if (ptrace(PTRACE_SETOPTIONS, child, NULL, PTRACE_O_TRACEEXIT | PTRACE_O_EXITKILL))
		bench_die("PTRACE_SETOPTIONS");
	return child;
}

uintptr_t traced_rseq_cs(pid_t child)
{
	struct rseq_configuration found = { 0 };
	long got = ptrace(GET_RSEQ_CONFIGURATION, child, (void *)sizeof(found), &found);

	return got >= (long)sizeof(found.area) && found.area ? found.area + RSEQ_CS_OFFSET : 0;
}

void traced_forget_sequence(pid_t child, uintptr_t rseq_cs)
{
	long current;

	if (!rseq_cs)
		return;
	errno = 0;
	current = ptrace(PTRACE_PEEKDATA, child, (void *)rseq_cs, NULL);
	if (errno)
		bench_die("PTRACE_PEEKDATA of rseq_cs");
	if (current && ptrace(PTRACE_POKEDATA, child, (void *)rseq_cs, NULL))
		bench_die("PTRACE_POKEDATA of rseq_cs");
}
