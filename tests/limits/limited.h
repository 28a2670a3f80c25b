/* SPDX-License-Identifier: MIT */
/*
 * tests/limits/limited.h - runs this program again, in a process to which the system refuses things
 *
 * Idea      The limits are set between fork() and exec(), so the library finds them when it starts.
 *           Or the child sets them itself, after the library has started.
 * Judged    a child: exit 0, and on standard error nothing but what was expected.
 */
#ifndef STELE_TESTS_LIMITS_LIMITED_H
#define STELE_TESTS_LIMITS_LIMITED_H

#include "../unit/base/stderr_of.h"
#include "workload.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "percpu/system.h"

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* ---- in the child ---- */

static inline void *workload_thread(void *arg)
{
	workload_run(arg);
	return NULL;
}

#define WORKLOAD_THREADS 3

/*
 * Three workloads at once (fewer where the limits leave no room for stacks). Returns how many
 * things were wrong; *given and *refused are what was asked for.
 */
static inline unsigned workloads_run(unsigned steps, unsigned *given, unsigned *refused)
{
	static struct workload all[WORKLOAD_THREADS];
	pthread_t thread[WORKLOAD_THREADS];
	bool started[WORKLOAD_THREADS];
	unsigned wrong = 0;
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, 128 << 10);
	*given = *refused = 0;
	for (unsigned i = 0; i < WORKLOAD_THREADS; i++) {
		all[i] = (struct workload){ .seed = i + 1, .steps = steps };
		started[i] = i && !pthread_create(&thread[i], &attr, workload_thread, &all[i]);
	}
	workload_run(&all[0]);
	for (unsigned i = 0; i < WORKLOAD_THREADS; i++) {
		if (started[i])
			pthread_join(thread[i], NULL);
		wrong += all[i].wrong;
		*given += all[i].given;
		*refused += all[i].refused;
	}
	pthread_attr_destroy(&attr);
	return wrong;
}

/* The usual child: workloads, then everything must have gone back. Exit status. */
static inline int usual_child(unsigned steps)
{
	uint64_t at_start = held_after_trim(), held;
	unsigned given, refused, wrong = workloads_run(steps, &given, &refused);

	held = held_after_trim() - at_start;
	printf("  %u given, %u refused, %u wrong, %lu bytes held at the end; mode %d\n", given,
	       refused, wrong, (unsigned long)held, stele_system()->mode);
	fflush(stdout);
	return wrong ? 10 : held ? 11 : !given ? 12 : 0;
}

/* From now on these system calls answer @error. 0, or -1 when filters cannot be had. */
static inline int refuse_calls(const int *calls, unsigned n, int error)
{
	struct sock_filter filter[32] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
	};
	struct sock_fprog program = { .filter = filter };
	unsigned at = 1;

	for (unsigned i = 0; i < n; i++) {
		filter[at++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K,
							    (uint32_t)calls[i], 0, 1);
		filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K,
							    SECCOMP_RET_ERRNO | (uint32_t)error);
	}
	filter[at++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	program.len = (unsigned short)at;
	if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0)
		return -1;
	return prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* ---- in the parent ---- */

/* The process started, and there is no memory for its first area. */
#define NO_AREA "stele: no address space or memory for a first area; allocations fail\n"

/* What the last child said on standard error, in a file: it may be any amount. */
static struct {
	char text[16384];
	int fd;
} child_said;

/* fork(); in the child standard error goes to the file. */
static inline pid_t fork_listened_to(void)
{
	pid_t child;

	fflush(stdout);
	child_said.fd = memfd_create("stderr", MFD_CLOEXEC);
	child = child_said.fd < 0 ? -1 : fork();
	if (child == 0)
		dup2(child_said.fd, STDERR_FILENO);
	return child;
}

/* The exit status, or 1000 + signal. Places of calls differ from build to build, and are taken out. */
static inline int wait_and_listen(pid_t child)
{
	char place[64];
	int status = -1;
	ssize_t n;

	if (child < 0 || waitpid(child, &status, 0) != child)
		return -1;
	n = pread(child_said.fd, child_said.text, sizeof(child_said.text) - 1, 0);
	child_said.text[n < 0 ? 0 : n] = 0;
	stderr_take_callers(child_said.text, place, sizeof(place));
	close(child_said.fd);
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status);
}

/* Runs this program with @argument after @make(arg). */
static inline int run_limited(const char *argument, int (*make)(const void *), const void *arg)
{
	char *argv[] = { (char *)"limited", (char *)argument, NULL };
	pid_t child = fork_listened_to();

	if (child == 0) {
		if (make && make(arg) != 0)
			_exit(126);
		execv("/proc/self/exe", argv);
		_exit(127);
	}
	return wait_and_listen(child);
}

static unsigned cases_failed;

/* Tells one case; @expected is all it may have said on standard error. */
static inline void judge(const char *name, int status, const char *expected)
{
	bool good = status == 0 && strcmp(child_said.text, expected) == 0;

	printf("%s %s: status %d%s%s\n", good ? "ok" : "FAILED", name, status,
	       child_said.text[0] ? ", said:\n" : "", child_said.text);
	fflush(stdout);
	cases_failed += !good;
}

#endif
