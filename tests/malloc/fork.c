/* SPDX-License-Identifier: MIT */
/*
 * tests/malloc/fork.c - fork() from a program whose threads are inside malloc
 *
 * Idea      Eight threads allocate, pass blocks on and free, without pause; some blocks are
 *           large, so that the page floor is at work as well. Meanwhile the first of them
 *           forks. A child has one thread and the memory of nine: it checks what the others
 *           held, frees it, allocates of every kind, starts a thread, forks again, runs
 *           malloc_trim(), or becomes another program.
 * Failure   wrong contents, a child that does not end well, or, for a hang, the alarm; a
 *           child has an alarm of its own.
 * Argument  number of forks, 500 when absent.
 */
#include "drop_in.h"
#include <pthread.h>
#include <spawn.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <sys/wait.h>

#define THREADS 8
#define TABLE 256
#define CHILD_SECONDS 20

static _Atomic(unsigned char *) table[TABLE];
static atomic_bool stop;
static char **arguments;

static size_t random_size(uint64_t r)
{
	if (r % 512 == 0)
		return 3ul << 20;
	if (r % 64 == 0)
		return 40000 + r / 64 % 100000;
	return 8 + r / 64 % (r % 4 ? 300 : 8000);
}

/* The first four bytes hold the size, so that whoever frees it can check it. */
static unsigned char *make(uint64_t r)
{
	uint32_t size = (uint32_t)random_size(r);
	unsigned char *p = malloc(size);

	CHECK_FOR(p, size);
	memcpy(p, &size, sizeof(size));
	for (uint32_t i = 4; i < size; i += i < 64 ? 1 : 509)
		p[i] = pattern(i, size);
	return p;
}

static void check_and_free(unsigned char *p)
{
	uint32_t size;

	if (!p)
		return;
	memcpy(&size, p, sizeof(size));
	for (uint32_t i = 4; i < size; i += i < 64 ? 1 : 509)
		CHECK_FOR(p[i] == pattern(i, size), i);
	free(p);
}

static void churn(uint64_t *random, unsigned rounds)
{
	while (rounds-- > 0) {
		uint64_t r = next_random(random);

		check_and_free(atomic_exchange(&table[(r >> 40) % TABLE], r % 3 ? make(r) : NULL));
	}
}

static void *work(void *number)
{
	uint64_t random = 88172645463325252ull + (uintptr_t)number * 977;

	while (!atomic_load_explicit(&stop, memory_order_relaxed))
		churn(&random, 100);
	return NULL;
}

static void *work_once(void *number)
{
	uint64_t random = 88172645463325252ull + (uintptr_t)number;

	churn(&random, 200);
	return NULL;
}

static void reap(pid_t child)
{
	int status;

	CHECK(child > 0 && waitpid(child, &status, 0) == child);
	CHECK_FOR(WIFEXITED(status) && WEXITSTATUS(status) == 0, status);
}

static void start_threads(void)
{
	pthread_t thread[2];

	for (uintptr_t i = 0; i < 2; i++)
		CHECK(pthread_create(&thread[i], NULL, work_once, (void *)i) == 0);
	for (int i = 0; i < 2; i++)
		pthread_join(thread[i], NULL);
}

static void become_another(void)
{
	char *again[] = { arguments[0], "child", NULL };

	execv("/proc/self/exe", again);
	CHECK(!"exec");
}

static void free_all(void)
{
	for (int i = 0; i < TABLE; i++)
		check_and_free(atomic_exchange(&table[i], NULL));
}

static _Noreturn void child(unsigned kind, uint64_t random)
{
	pid_t grandchild;

	alarm(CHILD_SECONDS);
	churn(&random, 300);
	switch (kind % 8) {
	case 0:
		free_all();
		break;
	case 1:
		grandchild = fork();
		if (grandchild == 0) {
			churn(&random, 300);
			free_all();
			_exit(0);
		}
		churn(&random, 300);
		reap(grandchild);
		break;
	case 2:
		start_threads();
		break;
	case 3:
		malloc_trim(0);
		churn(&random, 100);
		break;
	case 4:
		become_another();
	}
	if (kind % 16 == 7)
		exit(0); /* with its handlers */
	_exit(0);
}

static void spawn(void)
{
	char *again[] = { arguments[0], "child", NULL };
	extern char **environ;
	pid_t pid;

	CHECK(posix_spawn(&pid, "/proc/self/exe", NULL, NULL, again, environ) == 0);
	reap(pid);
}

int main(int argc, char **argv)
{
	unsigned forks = argc > 1 ? (unsigned)atoi(argv[1]) : 500;
	uint64_t random = 1181783497276652981ull;
	pthread_t thread[THREADS];

	need_drop_in();
	arguments = argv;
	if (argc > 1 && strcmp(argv[1], "child") == 0)
		return work_once(NULL) != NULL;
	alarm(50 + forks / 12);
	for (uintptr_t i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, work, (void *)i) == 0);
	for (unsigned i = 0; i < forks; i++) {
		pid_t pid = fork();

		if (pid == 0)
			child(i, random);
		churn(&random, 50);
		reap(pid);
		if (i % 64 == 0)
			spawn();
	}
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	free_all();
	return 0;
}
