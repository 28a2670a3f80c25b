/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/protected.c - a program takes all access from its pages while others allocate
 *
 * Idea      Threads allocate and free blocks of which few fit in a sheaf, so that sheaves come and
 *           go all the time. This thread gives free memory back, takes many pages, takes the access
 *           from them, and lets the others run. Nobody uses those pages, so nobody dies.
 */
#include "drop_in.h"
#include "../protect.h"
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <time.h>

#define SIZE 24000
#define OBJECTS 12
#define THREADS 3
#define PAGES 1200
#define PAGE 4096
#define SECONDS 3
#define ROUND 0.004 /* seconds without access */

static atomic_bool stop;
static char *pages[PAGES];

static void *allocate_and_free(void *arg)
{
	void *p[OBJECTS];

	while (!atomic_load(&stop)) {
		for (int i = 0; i < OBJECTS; i++)
			CHECK((p[i] = malloc(SIZE)) != NULL);
		for (int i = 0; i < OBJECTS; i++)
			free(p[i]);
	}
	return arg;
}

static double seconds_now(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void protect_pages(void)
{
	double end;

	malloc_trim(0);
	for (int i = 0; i < PAGES; i++)
		CHECK((pages[i] = aligned_alloc(PAGE, PAGE)) != NULL);
	CHECK(pages_protect(pages, PAGES, PROT_NONE));
	for (end = seconds_now() + ROUND; seconds_now() < end;)
		sched_yield();
	CHECK(pages_protect(pages, PAGES, PROT_READ | PROT_WRITE));
	for (int i = 0; i < PAGES; i++)
		free(pages[i]);
}

int main(void)
{
	double end = seconds_now() + SECONDS;
	pthread_t thread[THREADS];
	unsigned rounds = 0;

	need_drop_in();
	for (int i = 0; i < THREADS; i++)
		CHECK(pthread_create(&thread[i], NULL, allocate_and_free, NULL) == 0);
	for (; seconds_now() < end; rounds++)
		protect_pages();
	atomic_store(&stop, true);
	for (int i = 0; i < THREADS; i++)
		pthread_join(thread[i], NULL);
	printf("%u rounds\n", rounds);
	return 0;
}
