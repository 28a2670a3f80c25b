/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/lock_start_fork.c - a child is made while another thread starts the
 * heap
 *
 * Idea      A hook holds one thread in the middle of the start. The main thread then makes two
 *           children, by fork() and by a bare clone(): neither has that thread, and both must be
 *           able to start the heap themselves. Then the first thread goes on.
 * Failure   a child that hangs (its alarm) or has no heap.
 * Builds    debug only; linked with the page floor, above which the heap starts before main().
 */
#include "page/heap.h"
#include "page/run.h"
#include "page/where.h"
#include "sync/atomic.h"
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static _Atomic int started, may_go_on;

static void hold(const char *point)
{
	if (strcmp(point, "heap:starting") != 0)
		return;
	started = 1;
	while (!may_go_on)
		usleep(1000);
}

static void *start_heap(void *arg)
{
	*(int *)arg = stele_heap_start();
	return NULL;
}

static int use_heap(void)
{
	struct run *run;
	bool clean;

	stele_inject = NULL;
	if (stele_heap_start() != 0)
		return 2;
	run = stele_run_take(1, 1, &clean);
	if (!run)
		return 3;
	memset((void *)run->base, 1, run->bytes);
	return 0;
}

static int in_child(pid_t pid, const char *how)
{
	int status = -1;

	if (pid == 0) {
		alarm(20);
		_exit(use_heap());
	}
	if (pid < 0 || waitpid(pid, &status, 0) != pid)
		status = -1;
	printf("%s while another thread starts the heap: status %x\n", how, (unsigned)status);
	fflush(stdout);
	return status != 0;
}

int main(void)
{
	pthread_t thread;
	int error = -1, bad;

	alarm(60);
	stele_inject = hold;
	if (pthread_create(&thread, NULL, start_heap, &error) != 0)
		return 1;
	while (!started)
		usleep(1000);
	bad = in_child(fork(), "fork");
	bad += in_child((pid_t)syscall(SYS_clone, SIGCHLD, NULL, NULL, NULL, NULL), "clone");
	may_go_on = 1;
	pthread_join(thread, NULL);
	return bad || error || use_heap();
}
