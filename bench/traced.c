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
