/* SPDX-License-Identifier: MIT */
/*
 * scripts/programs/measure.c - run one program and write down what it cost
 *
 * Usage     measure REPORT PRELOAD PROGRAM [ARGS...]
 * Idea      ru_maxrss of a child is never below what its parent had resident at the time of
 *           exec(2): a Python driver would hide every program smaller than itself. This
 *           parent has about 1 MiB.
 * Report    one line "STATUS WALL_US CPU_US RSS_KIB"; STATUS is the exit code, or 128 + signal.
 *           CPU is user + system of the program and of the children it waited for; RSS is the
 *           peak of the largest one.
 * Preload   set for the program only, so that this process is not measured under it.
 * Signals   SIGTERM is passed on, so that a stop from outside does not leave the program behind.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile pid_t child;

static void pass_on(int sig)
{
	if (child > 0)
		kill(child, sig);
}

static long long now_us(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static long long cpu_us(const struct rusage *u)
{
	return (u->ru_utime.tv_sec + u->ru_stime.tv_sec) * 1000000LL + u->ru_utime.tv_usec +
	       u->ru_stime.tv_usec;
}

static int wait_for(pid_t pid, struct rusage *u)
{
	int status;

	while (wait4(pid, &status, 0, u) < 0)
		if (errno != EINTR)
			return 127;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static _Noreturn void become(const char *preload, char **argv)
{
	setenv("LD_PRELOAD", preload, 1);
	execvp(argv[0], argv);
	perror(argv[0]);
	_exit(127);
}

int main(int argc, char **argv)
{
	struct rusage u = { 0 };
	long long start;
	int status;
	FILE *report;

	if (argc < 4) {
		fprintf(stderr, "usage: measure REPORT PRELOAD PROGRAM [ARGS...]\n");
		return 2;
	}
	signal(SIGTERM, pass_on);
	start = now_us();
	child = fork();
	if (child == 0)
		become(argv[2], argv + 3);
	if (child < 0) {
		perror("fork");
		return 2;
	}
	status = wait_for(child, &u);
	start = now_us() - start;
	report = fopen(argv[1], "w");
	if (!report) {
		perror(argv[1]);
		return 2;
	}
	fprintf(report, "%d %lld %lld %ld\n", status, start, cpu_us(&u), u.ru_maxrss);
	return fclose(report) ? 2 : 0;
}
