/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/attack_fork.c - a handler forks between any two steps of any protocol
 *
 * Idea      The debug build calls a hook at every named point. Now and then the hook forks, as a
 *           signal handler at that very point may; the child allocates, frees, creates and
 *           destroys a cache, goes back to what was interrupted, and ends a while later. Other
 *           threads meanwhile create, shrink, trim and free as ever.
 * Failure   a hang of parent or child (the alarm of each), a child that does not end well, or a
 *           bad free.
 * Argument  seconds to run.
 * Builds    debug only; release has no points.
 */
#include "stress.h"
#include "sync/atomic.h"
#include <sys/wait.h>

#define THREADS 3
#define TABLE 2048
#define CHILD_SECONDS 20
#define CHILD_ROUNDS 200 /* after the interrupted step */

static _Atomic(uint64_t *) table[TABLE];
static atomic_uint forks;
static unsigned child_rounds; /* in a child: what is left to do */
static __thread bool busy;
static __thread uint64_t dice = 0x9e3779b97f4a7c15;

static uint64_t throw_dice(void)
{
	return next_random(&dice);
}

/* A block carries its address, so that one handed out twice shows. */
static void swap_block(void)
{
	size_t words = throw_dice() % 64 == 0 ? 6000 : 2 + throw_dice() % 400;
	uint64_t *p = throw_dice() % 2 ? kmalloc(words * 8, GFP_NOWAIT) : NULL;

	if (p)
		p[0] = (uint64_t)(uintptr_t)p * 31;
	p = atomic_exchange(&table[throw_dice() % TABLE], p);
	if (p && p[0] != (uint64_t)(uintptr_t)p * 31)
		abort();
	if (p)
		p[0] = 0;
	kfree(p);
}

static void make_and_destroy_cache(void)
{
	static atomic_uint number;
	struct kmem_cache *s;
	char name[24];
	void *p;

	snprintf(name, sizeof(name), "attack-%u", atomic_fetch_add(&number, 1));
	s = kmem_cache_create(name, 200, NULL, SLAB_NO_MERGE);
	p = kmem_cache_alloc(s, 0);
	kmem_cache_free(s, p);
	kmem_cache_destroy(s);
}

static void free_all(void)
{
	for (size_t i = 0; i < TABLE; i++)
		kfree(atomic_exchange(&table[i], NULL));
}

static void go_on_in_child(void)
{
	stele_inject = NULL;
	alarm(CHILD_SECONDS);
	child_rounds = CHILD_ROUNDS;
	for (int i = 0; i < 50; i++)
		swap_block();
}

static void bad_child(const char *point, int status)
{
	fprintf(stderr, "forked at %s: status %x\n", point, (unsigned)status);
	abort();
}

static void fork_at_point(const char *point)
{
	pid_t pid;
	int status = 0;

	if (busy || throw_dice() % 4096)
		return;
	busy = true;
	pid = fork();
	if (pid == 0)
		go_on_in_child();
	else if (pid > 0 && waitpid(pid, &status, 0) == pid && status == 0)
		atomic_fetch_add(&forks, 1);
	else
		bad_child(point, pid < 0 ? -1 : status);
	busy = false;
}

/* A child comes here from the step that was interrupted. */
static void end_child(void)
{
	if (!child_rounds || --child_rounds)
		return;
	make_and_destroy_cache();
	stele_trim(0);
	free_all();
	_exit(0);
}

static void *work_beside_forks(void *arg)
{
	dice += (uintptr_t)arg * 7919;
	for (uint64_t round = 1; !stopped(); round++) {
		swap_block();
		if (round % 4096 == 0)
			free_all();
		if (round % 1024 == 0 && arg == (void *)1)
			make_and_destroy_cache();
		if (round % 1024 == 0 && arg == (void *)2)
			stele_trim(0);
		end_child();
	}
	return NULL;
}

int main(int argc, char **argv)
{
	double seconds = seconds_asked(argc, argv);
	struct stele_stats stats;

	alarm((unsigned)seconds + 2 * CHILD_SECONDS);
	stele_inject = fork_at_point;
	run_for(seconds, THREADS, work_beside_forks, NULL);
	stele_inject = NULL;
	free_all();
	must_be_valid();
	stele_stats_read(&stats);
	printf("%u forks, %lu bad frees\n", atomic_load(&forks), stats.reports);
	return !atomic_load(&forks) || stats.reports;
}
