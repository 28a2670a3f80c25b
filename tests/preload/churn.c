/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/churn.c - threads that come and go leave nothing behind
 *
 * Idea      Batches of 40 short threads; each allocates, frees half of it, hands the rest to
 *           threads after it and frees what those before it left. After a warm-up the
 *           resident size must stay where it is.
 * Argument  number of threads, 100,000 when absent.
 */
#include "drop_in.h"
#include <pthread.h>
#include <stdatomic.h>

#define BATCH 40
#define OBJECTS 40
#define TABLE 1024
#define SLACK (4ul << 20)

static _Atomic(unsigned char *) table[TABLE];
static pthread_key_t key;

static void check_and_free_block(unsigned char *p)
{
	if (!p)
		return;
	for (int i = 1; i < 8; i++)
		CHECK_FOR(p[i] == pattern((size_t)i, p[0]), i);
	free(p);
}

static unsigned char *make_block(uint64_t r)
{
	size_t size = 8 + (r >> 8) % (r % 16 ? 500 : 5000);
	unsigned char *p = malloc(size);

	CHECK_FOR(p, size);
	p[0] = (unsigned char)(r >> 32);
	for (int i = 1; i < 8; i++)
		p[i] = pattern((size_t)i, p[0]);
	return p;
}

static void *live(void *number)
{
	uint64_t random = ((uint64_t)(uintptr_t)number + 1) * 0x9e3779b97f4a7c15ull;
	unsigned char *mine[OBJECTS];

	pthread_setspecific(key, make_block(next_random(&random))); /* freed at the very end */
	for (int i = 0; i < OBJECTS; i++)
		mine[i] = make_block(next_random(&random));
	for (int i = 0; i < OBJECTS; i++) {
		uint64_t r = next_random(&random);

		if (i % 2)
			check_and_free_block(mine[i]);
		else
			check_and_free_block(atomic_exchange(&table[r % TABLE], mine[i]));
	}
	return make_block(next_random(&random)); /* freed by the thread that joins */
}

static void run_threads(unsigned long first, unsigned long n)
{
	pthread_t thread[BATCH];
	pthread_attr_t small;
	void *last;

	CHECK(pthread_attr_init(&small) == 0 && pthread_attr_setstacksize(&small, 65536) == 0);
	for (unsigned long i = 0; i < n; i += BATCH) {
		for (unsigned long k = 0; k < BATCH; k++)
			CHECK(pthread_create(&thread[k], &small, live, (void *)(first + i + k)) ==
			      0);
		for (unsigned long k = 0; k < BATCH; k++) {
			CHECK(pthread_join(thread[k], &last) == 0);
			check_and_free_block(last);
		}
	}
	pthread_attr_destroy(&small);
}

int main(int argc, char **argv)
{
	unsigned long threads = argc > 1 ? strtoul(argv[1], NULL, 10) : 100000;
	size_t warm, after;

	need_drop_in();
	CHECK(pthread_key_create(&key, (void (*)(void *))check_and_free_block) == 0);
	run_threads(0, threads / 5);
	warm = resident();
	run_threads(threads / 5, threads - threads / 5);
	after = resident();
	for (int i = 0; i < TABLE; i++)
		check_and_free_block(table[i]);
	printf("resident: %zu KiB warm, %zu KiB after\n", warm >> 10, after >> 10);
	CHECK_FOR(after <= warm + SLACK, after - warm);
	return 0;
}
