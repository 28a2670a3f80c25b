/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/inject.c - something happens between any two steps of any protocol
 *
 * Idea      The debug build calls a hook at every named point. Here the hook now and then
 *           gives the CPU away, sleeps, or allocates and frees itself, as a signal handler or
 *           a trace probe would at that very point. Around it the same checks as tokens.c in
 *           small: a block carries a token, nothing is owned twice, at the end nothing is left.
 * Argument  seconds to run.
 * Builds    debug only; release has no points.
 */
#include "stress.h"
#include "sync/atomic.h"
#include <sched.h>

#define THREADS 4
#define TABLE 512
#define POINTS 64

static _Atomic(uint64_t *) table[TABLE];
static struct kmem_cache *cache;
static __thread unsigned depth;
static __thread uint64_t dice = 0x9e3779b97f4a7c15;

static struct {
	_Atomic(const char *) name;
	_Atomic uint64_t hits;
} seen[POINTS];

static uint64_t roll(void)
{
	return next_random(&dice);
}

static void count(const char *point)
{
	for (unsigned i = 0; i < POINTS; i++) {
		const char *none = NULL;

		if (atomic_load(&seen[i].name) == NULL)
			atomic_compare_exchange_strong(&seen[i].name, &none, point);
		if (!strcmp(atomic_load(&seen[i].name), point)) {
			atomic_fetch_add(&seen[i].hits, 1);
			return;
		}
	}
}

static uint64_t *make_words(size_t words)
{
	bool nolock = roll() % 4 == 0;
	uint64_t *p;

	if (words == 9)
		p = nolock ? kmem_cache_alloc_nolock(cache, 0, NUMA_NO_NODE)
			   : kmem_cache_alloc(cache, 0);
	else if (nolock && words <= 4096)
		p = kmalloc_nolock(words * 8, 0, NUMA_NO_NODE);
	else
		p = kmalloc(words * 8, GFP_NOWAIT);
	if (!p)
		return NULL;
	p[0] = words;
	p[1] = (uint64_t)(uintptr_t)p * 31;
	p[words - 1] = p[1];
	return p;
}

static void check_and_free_block(uint64_t *p)
{
	bool nolock;

	if (p[1] != (uint64_t)(uintptr_t)p * 31 || (p[0] > 2 && p[p[0] - 1] != p[1])) {
		fprintf(stderr, "block %p: %lx %lx\n", (void *)p, p[0], p[1]);
		abort();
	}
	nolock = roll() % 4 == 0 && p[0] <= 4096;
	p[1] = 0;
	if (nolock)
		kfree_nolock(p);
	else
		kfree(p);
}

static size_t some_words(void)
{
	uint64_t r = roll();

	return r % 4 == 0 ? 9 : r % 32 == 1 ? 1024 + r / 64 % 8000 : 2 + r / 64 % 60;
}

/* At a named point: nothing, a pause, or work of our own, once nested. */
static void act_at_point(const char *point)
{
	uint64_t r = roll();

	if (depth > 1)
		return;
	depth++;
	count(point);
	if (r % 16 == 0)
		sched_yield();
	else if (r % 256 == 1)
		nanosleep(&(struct timespec){ 0, 20000 }, NULL);
	else if (r % 8 == 2) {
		uint64_t *p = make_words(some_words()), *q = make_words(9);

		if (p)
			check_and_free_block(p);
		if (q)
			check_and_free_block(q);
	}
	depth--;
}

static void *work_at_points(void *arg)
{
	uint64_t rounds = 0;

	dice += (uintptr_t)arg * 7919;
	while (!stopped()) {
		uint64_t *p = roll() % 2 ? make_words(some_words()) : NULL;

		p = atomic_exchange(&table[roll() % TABLE], p);
		if (p)
			check_and_free_block(p);
		if (++rounds % 4096 == 0 && !arg)
			kmem_cache_shrink(cache);
		if (rounds % 65536 == 0 && arg == (void *)1)
			stele_trim(0);
		if (rounds % 16384 == 0 && arg == (void *)2)
			stele_deferred_barrier();
	}
	return NULL;
}

int main(int argc, char **argv)
{
	double seconds = seconds_asked(argc, argv);
	struct stele_stats stats;
	unsigned points = 0;

	cache = kmem_cache_create("inject", 72, NULL, SLAB_NO_MERGE);
	stele_inject = act_at_point;
	run_for(seconds, THREADS, work_at_points, NULL);
	stele_inject = NULL;
	for (size_t i = 0; i < TABLE; i++)
		if (table[i])
			check_and_free_block(table[i]);
	for (; points < POINTS && seen[points].name; points++)
		printf("%-20s %lu\n", seen[points].name, seen[points].hits);
	stele_trim(0);
	stele_stats_read(&stats);
	printf("%u points, %lu bad frees\n", points, stats.reports);
	if (points < 12 || stats.reports || kmem_cache_shrink(cache))
		return 1;
	kmem_cache_destroy(cache);
	must_be_valid();
	return 0;
}
