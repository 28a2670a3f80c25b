/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/forks.c - fork() while other threads are in the middle of every call
 *
 * Idea      Threads allocate, free, create, shrink and destroy caches; the first thread forks
 *           without pause. The child has the others' half-done work in its memory: it checks
 *           and frees all that was in the table, uses the caches, makes its own, trims, forks
 *           again.
 * Failure   wrong contents, a child that does not end well, or its alarm when it hangs.
 * Argument  seconds to run.
 */
#include "stress.h"
#include <sys/wait.h>

#define THREADS 4
#define TABLE 256

static _Atomic(uint64_t *) table[TABLE];
static struct kmem_cache *cache;

static uint64_t *make_signed_words(uint64_t r)
{
	size_t words = r % 128 ? 2 + r / 128 % 60 : 5000 + r / 128 % 9000;
	uint64_t *p = r % 4 ? kmalloc(words * 8, GFP_KERNEL) : kmem_cache_alloc(cache, GFP_KERNEL);

	MUST(p);
	words = r % 4 ? words : 12;
	p[0] = words;
	for (size_t i = 1; i < words; i++)
		p[i] = (uintptr_t)p + words;
	return p;
}

static void drop_words(uint64_t *p)
{
	if (!p)
		return;
	for (size_t i = 1; i < p[0]; i += i < 8 ? 1 : 61)
		MUST_FOR(p[i] == (uintptr_t)p + p[0], i);
	p[0] = 0;
	kfree(p);
}

static void churn(uint64_t *random, unsigned rounds)
{
	while (rounds-- > 0) {
		uint64_t r = next_random(random);

		drop_words(atomic_exchange(&table[(r >> 40) % TABLE],
					   r % 3 ? make_signed_words(r >> 2) : NULL));
	}
}

/* Each under a name of its own, in this process. */
static void own_cache(void)
{
	static atomic_uint number;
	struct kmem_cache *mine;
	char name[24];
	void *p[10];

	snprintf(name, sizeof(name), "own-%u", atomic_fetch_add(&number, 1));
	mine = kmem_cache_create(name, 72, NULL, SLAB_NO_MERGE);
	MUST(mine && kmem_cache_alloc_bulk(mine, GFP_KERNEL, 10, p));
	memset(p[9], 1, 72);
	kmem_cache_free_bulk(mine, 10, p);
	kmem_cache_destroy(mine);
}

static void *churn_beside_forks(void *number)
{
	uint64_t random = random_seed((uintptr_t)number);

	while (!stopped()) {
		churn(&random, 200);
		if (random % 16 == 0)
			own_cache();
		if (random % 64 == 1)
			kmem_cache_shrink(cache);
	}
	return NULL;
}

static void reap(pid_t child)
{
	int status;

	MUST(child > 0 && waitpid(child, &status, 0) == child);
	MUST_FOR(WIFEXITED(status) && WEXITSTATUS(status) == 0, status);
}

static void work_in_child(unsigned long kind, uint64_t random)
{
	pid_t again;

	churn(&random, 300);
	if (kind % 4 == 1)
		own_cache();
	if (kind % 4 == 2)
		stele_trim(0);
	if (kind % 8 == 3) {
		again = fork();
		if (again == 0) {
			churn(&random, 100);
			own_cache();
			_exit(0);
		}
		reap(again);
	}
	for (int i = 0; i < TABLE; i++)
		drop_words(atomic_exchange(&table[i], NULL));
}

/* Called between naps; the forks of one call take longer than the nap. */
static void fork_some(void)
{
	static uint64_t random = 1181783497276652981ull;

	for (int i = 0; i < 10; i++) {
		pid_t pid = fork();

		if (pid == 0) {
			alarm(60);
			work_in_child(steps, random);
			_exit(0);
		}
		churn(&random, 50);
		reap(pid);
		step_done();
	}
}

int main(int argc, char **argv)
{
	cache = kmem_cache_create("forks", 12 * 8, NULL, SLAB_NO_MERGE);
	MUST(cache);
	run_for(seconds_asked(argc, argv), THREADS, churn_beside_forks, fork_some);
	for (int i = 0; i < TABLE; i++)
		drop_words(table[i]);
	MUST(kmem_cache_shrink(cache) == 0);
	kmem_cache_destroy(cache);
	return finish(1 << 20);
}
