/* SPDX-License-Identifier: MIT */
/*
 * bench/large.c - blocks of many pages that come and go
 *
 * Idea      64 places; each step frees the block of a random place and allocates another size
 *           there. Buffers of images, columns and frames live so: the memory is wanted again
 *           at once, and an allocator that gives it back to the system in between pays for its pages anew.
 * churn     33 to 303 KB, one word of each written. two: the same in two threads at once.
 * mixed     1 to 300 KB, one word of each page written, so that its peak RSS is that of
 *           a program that fills what it asked for.
 * Unit      wall ns per step of any thread, one free and one malloc; filling and draining are
 *           not timed for one thread.
 */
#include "bench.h"

#include <errno.h>
#include <pthread.h>

#define PLACES 64u
#define KB 1000u
#define PAGE 4096u
#define STEPS_OF_CHURN 200000u
#define STEPS_OF_MIXED 50000u
#define THREADS 2u

struct load {
	_Alignas(BENCH_LINE) uint64_t seed;
	size_t smallest, largest;
	size_t stride; /* between the words written; SIZE_MAX: the first one only */
	void *places[PLACES];
};

static struct load loads[THREADS];

static void *written(struct load *load)
{
	size_t size = bench_between(&load->seed, load->smallest, load->largest);
	char *p = bench_alloc(size);

	if (load->stride < size)
		for (size_t at = load->stride; at + sizeof(long) <= size; at += load->stride)
			*(volatile long *)(p + at) = 1;
	return p;
}

static void fill(struct load *load)
{
	for (size_t i = 0; i < PLACES; i++)
		load->places[i] = written(load);
}

static void drain(struct load *load)
{
	for (size_t i = 0; i < PLACES; i++)
		free(load->places[i]);
}

static void steps(struct load *load, unsigned long count)
{
	for (unsigned long i = 0; i < count; i++) {
		size_t place = bench_between(&load->seed, 0, PLACES - 1);

		free(load->places[place]);
		load->places[place] = written(load);
	}
}

static double one_thread(struct load *load, unsigned long count)
{
	uint64_t start, end;

	fill(load);
	start = bench_now_ns();
	steps(load, count);
	end = bench_now_ns();
	drain(load);
	return (double)(end - start) / (double)count;
}

static double churn(void)
{
	loads[0] = (struct load){ 1, 33 * KB, 303 * KB, SIZE_MAX, { NULL } };
	return one_thread(&loads[0], STEPS_OF_CHURN);
}

static double mixed(void)
{
	loads[0] = (struct load){ 1, 1 * KB, 300 * KB, PAGE, { NULL } };
	return one_thread(&loads[0], STEPS_OF_MIXED);
}

static void *one_of_two(void *argument)
{
	struct load *load = argument;

	fill(load);
	steps(load, STEPS_OF_CHURN);
	drain(load);
	return NULL;
}

static double two(void)
{
	uint64_t start = bench_now_ns();
	pthread_t threads[THREADS];

	for (unsigned int i = 0; i < THREADS; i++) {
		loads[i] = (struct load){ i + 1, 33 * KB, 303 * KB, SIZE_MAX, { NULL } };
		errno = pthread_create(&threads[i], NULL, one_of_two, &loads[i]);
		if (errno)
			bench_die("pthread_create");
	}
	for (unsigned int i = 0; i < THREADS; i++)
		pthread_join(threads[i], NULL);
	return (double)(bench_now_ns() - start) / (THREADS * STEPS_OF_CHURN);
}

const struct bench_measure bench_large[] = {
	{ "large-churn", churn },
	{ "large-two", two },
	{ "large-mixed", mixed },
	{ NULL, NULL },
};
