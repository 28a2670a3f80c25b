/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/tokens.c - no byte is ever owned twice, and contents stay what they were
 *
 * Idea      Threads allocate, fill each block with a token derived from its address and a
 *           serial number, pass blocks to each other through a shared table, and check the
 *           token before they free. A block handed out twice shows as a wrong token. At the
 *           end everything is freed; the library must have seen no bad free.
 * Argument  seconds to run.
 */
#include "stress.h"

#define THREADS 4
#define TABLE 4096

static _Atomic(uint64_t *) table[TABLE];
static struct kmem_cache *cache;

static size_t random_words(uint64_t *random)
{
	uint64_t r = next_random(random);
	unsigned kind = r % 64;

	if (kind == 0)
		return 4096 + r / 64 % 40000;
	if (kind < 8)
		return 2 + r / 64 % 1000;
	return 2 + r / 64 % 30;
}

static uint64_t token_of(uint64_t *p, size_t words)
{
	return (uint64_t)(uintptr_t)p * 0x9e3779b97f4a7c15ull + words;
}

static void check_tokens(uint64_t *p)
{
	size_t words = p[0];

	for (size_t i = 1; i < words; i += i < 8 ? 1 : 61) {
		if (p[i] != token_of(p, words)) {
			fprintf(stderr, "block %p of %zu words: word %zu is %lx\n", (void *)p,
				words, i, p[i]);
			abort();
		}
	}
}

static uint64_t *make_tokens(uint64_t *random)
{
	bool typed = next_random(random) % 8 == 0;
	size_t words = typed ? 9 : random_words(random);
	uint64_t *p = typed ? kmem_cache_alloc(cache, 0) : kmalloc(words * 8, GFP_KERNEL);

	if (!p)
		return NULL;
	p[0] = words;
	for (size_t i = 1; i < words; i++)
		p[i] = token_of(p, words);
	return p;
}

static void *work_on_tokens(void *arg)
{
	uint64_t random = 88172645463325252ull + (uint64_t)(uintptr_t)arg * 7919, rounds = 0;

	while (!stopped()) {
		size_t slot = next_random(&random) % TABLE;
		uint64_t *p = rounds % 3 ? make_tokens(&random) : NULL;

		p = atomic_exchange(&table[slot], p);
		if (p) {
			check_tokens(p);
			kfree(p);
		}
		if (++rounds % 50000 == 0 && arg == NULL)
			kmem_cache_shrink(cache);
		if (rounds % 200000 == 0 && arg == NULL)
			stele_trim(0);
		step_done();
	}
	return NULL;
}

int main(int argc, char **argv)
{
	cache = kmem_cache_create("tokens", 72, NULL, SLAB_NO_MERGE);
	run_for(seconds_asked(argc, argv), THREADS, work_on_tokens, NULL);
	for (size_t i = 0; i < TABLE; i++) {
		if (table[i]) {
			check_tokens(table[i]);
			kfree(table[i]);
		}
	}
	MUST(kmem_cache_shrink(cache) == 0);
	kmem_cache_destroy(cache);
	return finish(1 << 20);
}
