/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/storms/nolock.c - kmalloc_nolock() in handlers does not fail while memory is left
 *
 * Idea      Two threads storm on with handlers at 20 kHz; every handler makes a row of calls of
 *           kmalloc_nolock() in all sizes it takes, keeps them all, and frees them. NULL would
 *           mean that something was busy, which is what the call promises never to mean.
 *           Meanwhile caches are shrunk and memory is given back.
 * Argument  seconds: a slow machine makes fewer calls, and takes no longer. "full" as the second:
 *           the test first fills the heap, which should be a small one; then the count of NULLs
 *           must rise, or it could not.
 */
#include "storm.h"

#define THREADS 2
#define ROW 64
#define PERIOD_NS 50000
#define STALL_SECONDS 1200
#define CALLS_LEAST (100 * ROW)

static struct actor actors[THREADS];
static __thread uint64_t handler_random;
static atomic_ulong calls, nulls;
static bool full;

static size_t nolock_size(uint64_t r)
{
	static const size_t bound[8] = {
		64, 64, 256, 256, 1024, 1024, 8192, KMALLOC_MAX_CACHE_SIZE
	};

	return 1 + (r >> 8) % bound[r % 8];
}

static void make_a_row(int signal)
{
	void *p[ROW];

	(void)signal;
	for (int i = 0; i < ROW; i++) {
		p[i] = kmalloc_nolock(nolock_size(next_random(&handler_random)), 0, NUMA_NO_NODE);
		if (!p[i])
			atomic_fetch_add(&nulls, 1);
	}
	for (int i = 0; i < ROW; i++)
		kfree_nolock(p[i]);
	atomic_fetch_add(&calls, ROW);
}

static void *storm_on(void *arg)
{
	struct actor *actor = &actors[(uintptr_t)arg];
	timer_t timer = timer_here(SIGRTMIN);

	handler_random = random_seed((uintptr_t)arg + 50);
	timer_set(timer, PERIOD_NS, PERIOD_NS);
	while (!stopped())
		if (!full)
			act(actor);
	timer_delete(timer);
	return NULL;
}

/* Takes all there is, down to the smallest pieces; a chain, to be given back. */
static void **fill_heap(void)
{
	void **chain = NULL, **p;

	for (size_t size = 1ul << 20; size >= 8; size /= 2)
		while ((p = kmalloc(size, GFP_ATOMIC))) {
			*p = chain;
			chain = p;
		}
	return chain;
}

static void free_chain(void **chain)
{
	while (chain) {
		void **next = *chain;

		kfree(chain);
		chain = next;
	}
}

int main(int argc, char **argv)
{
	struct sigaction action = { .sa_handler = make_a_row, .sa_flags = SA_RESTART };
	unsigned long made = 0;
	void **chain = NULL;
	pthread_t thread[THREADS];
	double end;

	alarm(STALL_SECONDS);
	kinds_start(NULL);
	MUST(sigaction(SIGRTMIN, &action, NULL) == 0);
	full = argc > 2 && strcmp(argv[2], "full") == 0;
	if (full)
		chain = fill_heap();
	for (uintptr_t i = 0; i < THREADS; i++) {
		actor_start(&actors[i], i);
		MUST(pthread_create(&thread[i], NULL, storm_on, (void *)i) == 0);
	}
	end = seconds_now() + seconds_asked(argc, argv);
	while (seconds_now() < end || calls < CALLS_LEAST) {
		nap_ms(20);
		if (!full)
			kinds_trim();
	}
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	drop_all(&actors[0]);
	for (int i = 0; i < THREADS; i++)
		made += actors[i].made;
	printf("%lu calls in handlers, %lu gave NULL\n", calls, nulls);
	MUST_FOR(full ? nulls > 0 : nulls == 0, nulls);
	free_chain(chain);
	return kinds_finish(full ? calls : made);
}
