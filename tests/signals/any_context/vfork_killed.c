/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/vfork_killed.c - a child of vfork() is killed inside of a control call
 *
 * Idea      The child churns and trims; a callback kills it at its n-th event, for many n, so that
 *           it dies with this lock or that one in its hands. It has its parent's thread-local
 *           variables and pthread_self(): its parent must not take the lock for its own, and
 *           nobody may wait for it. A child of a child does the same. Afterwards the parent's
 *           thread, then another thread, must find that malloc_trim() gives memory back.
 * Runs      with the drop-in preloaded.
 */
#define _GNU_SOURCE
#include <malloc.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <stele/trace.h>

#define EVENTS (STELE_TRACE_SHEAF_FLUSH | STELE_TRACE_SLAB_FREE | STELE_TRACE_MM_PAGE_FREE)
#define KILLS 24
#define BLOCKS 6000
#define SIZE 512
#define SPARE_KIB 1024 /* may stay after a trim */

static volatile int until_kill; /* events; 0: nobody is killed */
static unsigned killed;

static void kill_at_event(const struct stele_trace_event *event, void *arg)
{
	(void)event, (void)arg;
	if (until_kill && --until_kill == 0)
		kill((pid_t)syscall(SYS_getpid), SIGKILL);
}

static void must(bool so, const char *what)
{
	if (so)
		return;
	fprintf(stderr, "not so: %s (%u killed)\n", what, killed);
	_exit(1);
}

static void churn(void **block)
{
	for (int i = 0; i < BLOCKS; i++)
		block[i] = malloc(SIZE);
	for (int i = 0; i < BLOCKS; i++)
		free(block[i]);
}

static __attribute__((noinline)) pid_t child_to_be_killed(void **block, int events, bool nested)
{
	pid_t pid = vfork();

	if (pid == 0) {
		if (nested)
			waitpid(child_to_be_killed(block, events, false), NULL, 0);
		until_kill = events;
		for (int i = 0; i < 3; i++) {
			churn(block);
			malloc_trim(0);
		}
		until_kill = 0;
		_exit(7);
	}
	return pid;
}

static long resident(void)
{
	struct mallinfo2 info = mallinfo2();

	return (long)(info.arena / 1024);
}

/* Memory that was in use and is free again goes back to the system. */
static void *trims(void *arg)
{
	static void *block[2][BLOCKS];
	void **mine = block[arg != NULL];
	long before;

	malloc_trim(0);
	before = resident();
	for (int i = 0; i < BLOCKS; i++)
		mine[i] = malloc(SIZE);
	must(resident() > before + SPARE_KIB, "blocks take memory");
	for (int i = 0; i < BLOCKS; i++)
		free(mine[i]);
	malloc_trim(0);
	must(resident() < before + SPARE_KIB,
	     arg ? "another thread trims" : "the parent's thread trims");
	return NULL;
}

static char block_of_other[1];

static void trimming_works(void)
{
	pthread_t thread;

	trims(NULL);
	must(pthread_create(&thread, NULL, trims, block_of_other) == 0, "a thread");
	pthread_join(thread, NULL);
}

int main(void)
{
	static void *block[BLOCKS];

	alarm(100);
	must(stele_malloc_trace_register &&
		     stele_malloc_trace_register(EVENTS, kill_at_event, NULL) == 0,
	     "the drop-in calls back");
	trimming_works();
	for (int n = 1; n <= KILLS; n++) {
		int status = 0, events = n < 8 ? n : n * n / 2;
		pid_t pid = child_to_be_killed(block, events, n % 2 == 0);

		must(pid > 0 && waitpid(pid, &status, 0) == pid, "a child is made and ends");
		until_kill = 0;
		killed += WIFSIGNALED(status);
		trimming_works();
	}
	must(killed > KILLS / 2, "children are killed");
	printf("%u children killed\n", killed);
	fflush(stdout);
	_exit(0); /* callbacks that never came back are counted as running */
}
