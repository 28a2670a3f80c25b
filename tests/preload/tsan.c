/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/tsan.c [race] - a program built with ThreadSanitizer, under the drop-in
 *
 * Idea      Threads take objects that others have just freed, of every kind, and write all of them.
 *           The sanitizer must be silent. With "race" two threads write one object at once, and it
 *           must not be.
 */
#include "drop_in.h"
#include <pthread.h>
#include <sched.h>

#define THREADS 4
#define ROUNDS 1500

static const size_t sizes[] = { 16, 100, 1000, 5000, 40000, 300000, 3 << 20 };
static volatile long *shared;

static void *take_and_give(void *arg)
{
	char *p;

	for (int i = 0; i < ROUNDS; i++) {
		size_t size = sizes[i % (sizeof(sizes) / sizeof(sizes[0]))];

		p = i % 3 ? malloc(size) : i % 2 ? calloc(1, size) : aligned_alloc(4096, size);
		CHECK(p);
		for (size_t at = 0; at < size; at += size < 100 ? 1 : size / 100)
			p[at] = (char)i;
		if (i % 5 == 0) {
			p = realloc(p, size * 2);
			CHECK(p);
			p[size * 2 - 1] = 1;
		}
		sched_yield();
		free(p);
		sched_yield();
	}
	return arg;
}

static void *write_shared(void *arg)
{
	for (int i = 0; i < 1000000; i++)
		shared[0]++;
	return arg;
}

int main(int argc, char **argv)
{
	void *(*work)(void *) = argc > 1 && strcmp(argv[1], "race") == 0 ? write_shared
									 : take_and_give;
	pthread_t thread[THREADS];

	need_drop_in();
	shared = malloc(100);
	shared[0] = 0;
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, work, NULL) == 0);
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_join(thread[i], NULL) == 0);
	return 0;
}
