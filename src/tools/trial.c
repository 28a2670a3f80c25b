/* SPDX-License-Identifier: MIT */
/*
 * tools/trial.c - one run of a program in which one allocation fails
 *
 * Idea      The library counts (the option fail_nth). At the allocation that fails it writes a line to a
 *           pipe and stops the process. The tool then looks at the process, and lets it go on. The
 *           program has a process group of its own, so the tool can end it and all that it started.
 * States    running -> stopped at the allocation -> running -> ended, or killed when the time is over.
 * Failure   the tool hears nothing of a program that closes all descriptors: its allocation counts
 *           as not reached.
 * Tests     tests/tools/test_sweep.sh
 */
#include "tools/trial.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define REPORT_FD 190 /* or above: out of the way of a program's own */

static double time_now(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* ---- the child ---- */

static void to_nowhere(int fd, int flags)
{
	int null = open("/dev/null", flags);

	if (null >= 0 && null != fd) {
		dup2(null, fd);
		close(null);
	}
}

static bool ask_for_failure(struct stele_launch *l, unsigned nth, int fd)
{
	char item[32];

	snprintf(item, sizeof(item), "fail_nth=%u", nth);
	if (!stele_launch_option(l, item))
		return false;
	snprintf(item, sizeof(item), "fail_of=%d", getpid());
	if (!stele_launch_option(l, item))
		return false;
	snprintf(item, sizeof(item), "fail_fd=%d", fd);
	return stele_launch_option(l, item);
}

static __attribute__((noreturn)) void become_program(const struct stele_trial *trial, int pipe)
{
	struct stele_launch l = *trial->launch;
	int fd = fcntl(pipe, F_DUPFD, REPORT_FD);

	setpgid(0, 0);
	l.options = l.options ? strdup(l.options) : NULL;
	if (fd < 0 || (trial->nth && !ask_for_failure(&l, trial->nth, fd)))
		_exit(STELE_OWN_FAILURE);
	to_nowhere(STDIN_FILENO, O_RDONLY);
	if (!trial->output) {
		to_nowhere(STDOUT_FILENO, O_WRONLY);
		to_nowhere(STDERR_FILENO, O_WRONLY);
	}
	_exit(stele_launch(&l, trial->argv));
}

/* ---- the parent ---- */

static void look_at_allocation(struct stele_trial *trial, pid_t pid, int pipe)
{
	char line[256];
	unsigned long address;
	unsigned thread;
	ssize_t n = read(pipe, line, sizeof(line) - 1);

	if (n <= 0)
		return;
	line[n] = 0;
	if (sscanf(line, "%u %lx %zu %63[^\n]", &thread, &address, &trial->bytes, trial->cache) !=
	    4)
		return;
	trial->reached = true;
	if (!stele_place_find(&trial->place, pid, address))
		trial->place = (struct stele_place){ .offset = address };
	if (trial->stack)
		trial->stack = stele_stack_print(stdout, (pid_t)thread, address) > 0;
}

static void nap(void)
{
	nanosleep(&(const struct timespec){ .tv_nsec = 1000000 }, NULL);
}

static void end_group(pid_t pid)
{
	kill(-pid, SIGKILL);
	kill(pid, SIGKILL);
}

static void watch_program(struct stele_trial *trial, pid_t pid, int pipe)
{
	double start = time_now();

	for (;;) {
		pid_t got = waitpid(pid, &trial->status, WUNTRACED | WNOHANG);

		if (got == pid && WIFSTOPPED(trial->status)) {
			look_at_allocation(trial, pid, pipe);
			kill(pid, SIGCONT);
			start = time_now(); /* the look may take long */
		} else if (got != 0) {
			break;
		} else if (!trial->hung && time_now() - start > trial->seconds) {
			trial->hung = true;
			end_group(pid);
		} else {
			nap();
		}
	}
	end_group(pid); /* its children, if it left any */
}

bool stele_trial_run(struct stele_trial *trial)
{
	int pipes[2];
	pid_t pid;

	trial->reached = trial->hung = false;
	trial->place.file[0] = 0;
	fflush(NULL);
	if (pipe2(pipes, O_CLOEXEC | O_NONBLOCK) != 0 || (pid = fork()) < 0) {
		fprintf(stderr, "stele %s: %s\n", trial->launch->command, strerror(errno));
		return false;
	}
	if (!pid)
		become_program(trial, pipes[1]);
	setpgid(pid, pid);
	watch_program(trial, pid, pipes[0]);
	close(pipes[0]);
	close(pipes[1]);
	return true;
}
