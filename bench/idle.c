/* SPDX-License-Identifier: MIT */
/*
 * bench/idle.c - bench-idle THREADS OBJECTS [together]: what threads keep with nothing live
 *
 * Idea      Each thread allocates OBJECTS objects of 16 bytes to 2 KiB, writes all of each,
 *           frees them all and waits. When every thread waits, RSS is read. The driver
 *           subtracts the same with OBJECTS = 0; that thread touches its stack just the same.
 * Together  By default a thread frees as soon as it has all, so that few peaks meet. With
 *           "together" no thread frees before every thread has all: none can live on what
 *           another gave back, and the whole peak has to go back to the system.
 */
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <string.h>

#define MAX_OBJECTS 400u
#define SMALLEST 16u
#define LARGEST 2048u
#define STACK_BYTES (128u * 1024u)

static unsigned long nr_objects;
static sem_t idle;
static sem_t leave;
static pthread_barrier_t peak;
static int peaks_meet;

static void wait_for(sem_t *semaphore)
{
	while (sem_wait(semaphore))
		;
}

static void *thread_body(void *argument)
{
	void *volatile objects[MAX_OBJECTS];
	uint64_t seed = (uintptr_t)argument;

	for (unsigned int i = 0; i < MAX_OBJECTS; i++)
		objects[i] = NULL;
	for (unsigned long i = 0; i < nr_objects; i++) {
		size_t size = bench_between(&seed, SMALLEST, LARGEST);

		objects[i] = memset(bench_alloc(size), 1, size);
	}
	if (peaks_meet)
		pthread_barrier_wait(&peak);
	for (unsigned long i = 0; i < nr_objects; i++)
		free(objects[i]);
	sem_post(&idle);
	wait_for(&leave);
	return NULL;
}

static void start_threads(pthread_t *threads, unsigned long count)
{
	pthread_attr_t attr;

	pthread_attr_init(&attr);
	pthread_attr_setstacksize(&attr, STACK_BYTES);
	for (unsigned long i = 0; i < count; i++) {
		errno = pthread_create(&threads[i], &attr, thread_body, (void *)(i + 1));
		if (errno)
			bench_die("pthread_create");
	}
	pthread_attr_destroy(&attr);
}

static void end_threads(const pthread_t *threads, unsigned long count)
{
	for (unsigned long i = 0; i < count; i++)
		sem_post(&leave);
	for (unsigned long i = 0; i < count; i++)
		pthread_join(threads[i], NULL);
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? bench_number(argv[1]) : 1000;
	pthread_t *threads = calloc(count, sizeof(*threads));

	nr_objects = argc > 2 ? bench_number(argv[2]) : 40;
	if (!threads || !count || nr_objects > MAX_OBJECTS) {
		errno = ERANGE;
		bench_die("THREADS or OBJECTS");
	}
	peaks_meet = argc > 3 && !strcmp(argv[3], "together");
	pthread_barrier_init(&peak, NULL, (unsigned int)count);
	sem_init(&idle, 0, 0);
	sem_init(&leave, 0, 0);
	start_threads(threads, count);
	for (unsigned long i = 0; i < count; i++)
		wait_for(&idle);
	bench_print("{\"measure\":\"idle\",\"objects\":%lu,\"rss_kib\":%zu}\n", nr_objects,
		    bench_rss_kib());
	end_threads(threads, count);
	return 0;
}
