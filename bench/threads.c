/* SPDX-License-Identifier: MIT */
/*
 * bench/threads.c - one thread allocates and another frees; two threads; a server of eight
 *
 * spsc      A ring of 1,024 pointers between one producer and one consumer. Each side keeps a
 *           copy of the other's index, reads the real one only when the copy says full or
 *           empty, and shows its own once in 64 objects. With an index shown per object the
 *           two fall in and out of step, and one allocator measured 23 or 329 ns by chance.
 *           The two are bound to different CPUs: sharing one, they share its cache and
 *           would measure something else (14 ns instead of 100).
 * two       Two threads, each with its own mixed load of 1,000 objects.
 * larson    Eight chains of threads on however many CPUs there are. A thread inherits 1,000
 *           objects from its predecessor, replaces them at random, starts its successor and
 *           ends: objects are freed by threads that did not allocate them (after Larson and
 *           Krishnan, Memory Allocation for Long-Running Server Applications, ISMM 1998).
 * Order     RING: the index is stored with release after the pointer (or after the slot was
 *           read), and read with acquire. Everything else is ordered by thread start and join.
 * Unit      wall ns per object passed (spsc), per step of any thread (two, larson).
 */
#include "bench.h"
#include "mixed.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <stdatomic.h>

#define RING 1024u
#define SHOWN_AT_ONCE 64u
#define PASSED (16384u * SHOWN_AT_ONCE)
#define OBJECT 64u
#define SPINS_BEFORE_YIELD 1000u

#define LIVE 1000u
#define STEPS_OF_TWO 500000u
#define CHAINS 8u
#define GENERATIONS 10u
#define STEPS_OF_GENERATION 10000u

struct ring {
	/* Written by the producer only, ORDER(RING). */
	_Alignas(BENCH_LINE) atomic_size_t put;
	/* Written by the consumer only, ORDER(RING). */
	_Alignas(BENCH_LINE) atomic_size_t taken;
	_Alignas(BENCH_LINE) void *slots[RING];
};

struct load {
	_Alignas(BENCH_LINE) uint64_t seed;
	unsigned int generations;
	void *slots[LIVE];
};

static struct ring ring;
static struct load loads[CHAINS];
static sem_t chains_done;
static cpu_set_t allowed_at_start; /* fixed before the first thread of spsc */

static void start_thread(pthread_t *thread, void *(*body)(void *), void *argument)
{
	errno = pthread_create(thread, NULL, body, argument);
	if (errno)
		bench_die("pthread_create");
}

/* Binds this thread to the @nth of the CPUs the process was allowed, if there are so many. */
static void bind_to_nth(unsigned int nth)
{
	cpu_set_t one;

	for (unsigned int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
		if (!CPU_ISSET(cpu, &allowed_at_start) || nth--)
			continue;
		CPU_ZERO(&one);
		CPU_SET(cpu, &one);
		if (pthread_setaffinity_np(pthread_self(), sizeof(one), &one))
			bench_die("pthread_setaffinity_np");
		return;
	}
}

static void wait_a_moment(unsigned int *spins)
{
	if (++*spins % SPINS_BEFORE_YIELD == 0)
		sched_yield();
}

/* Waits until @index has left @value behind, and returns where it is now. */
static size_t wait_past(atomic_size_t *index, size_t value)
{
	unsigned int spins = 0;
	size_t now;

	/* ORDER(RING) acquire: the other thread's writes to the slot come with the index. */
	while ((now = atomic_load_explicit(index, memory_order_acquire)) == value)
		wait_a_moment(&spins);
	return now;
}

static void *consume(void *unused)
{
	size_t put = 0;

	bind_to_nth(1);
	for (size_t i = 0; i < PASSED; i++) {
		if (i == put)
			put = wait_past(&ring.put, i);
		free(ring.slots[i % RING]);
		/* ORDER(RING) release: the slots were read before they may be written again. */
		if ((i + 1) % SHOWN_AT_ONCE == 0)
			atomic_store_explicit(&ring.taken, i + 1, memory_order_release);
	}
	return unused;
}

static void produce(void)
{
	size_t taken = 0;

	for (size_t i = 0; i < PASSED; i++) {
		if (i == taken + RING)
			taken = wait_past(&ring.taken, taken);
		ring.slots[i % RING] = bench_alloc(OBJECT);
		/* ORDER(RING) release: pointers and objects before the index that shows them. */
		if ((i + 1) % SHOWN_AT_ONCE == 0)
			atomic_store_explicit(&ring.put, i + 1, memory_order_release);
	}
}

static double spsc(void)
{
	pthread_t consumer;
	uint64_t start;

	/* The first batch sees what the process was given; later ones are bound already. */
	if (!CPU_COUNT(&allowed_at_start) &&
	    sched_getaffinity(0, sizeof(allowed_at_start), &allowed_at_start))
		bench_die("sched_getaffinity");
	atomic_store(&ring.put, 0);
	atomic_store(&ring.taken, 0);
	bind_to_nth(0);
	start_thread(&consumer, consume, NULL);
	start = bench_now_ns();
	produce();
	pthread_join(consumer, NULL);
	return (double)(bench_now_ns() - start) / PASSED;
}

static void *one_of_two(void *argument)
{
	struct load *load = argument;

	mixed_fill(load->slots, LIVE, &load->seed);
	mixed_steps(load->slots, LIVE, STEPS_OF_TWO, &load->seed);
	mixed_drain(load->slots, LIVE);
	return NULL;
}

static double two_threads(void)
{
	uint64_t start = bench_now_ns();
	pthread_t threads[2];

	for (unsigned int i = 0; i < 2; i++) {
		loads[i].seed = i + 1;
		start_thread(&threads[i], one_of_two, &loads[i]);
	}
	for (unsigned int i = 0; i < 2; i++)
		pthread_join(threads[i], NULL);
	return (double)(bench_now_ns() - start) / (2.0 * STEPS_OF_TWO);
}

static void *larson_thread(void *argument)
{
	struct load *load = argument;
	pthread_t successor;

	mixed_steps(load->slots, LIVE, STEPS_OF_GENERATION, &load->seed);
	if (--load->generations) {
		start_thread(&successor, larson_thread, load);
		pthread_detach(successor);
	} else {
		sem_post(&chains_done);
	}
	return NULL;
}

static void larson_start(unsigned int chain)
{
	pthread_t first;

	loads[chain].generations = GENERATIONS;
	start_thread(&first, larson_thread, &loads[chain]);
	pthread_detach(first);
}

static double larson(void)
{
	uint64_t start, end;

	for (unsigned int i = 0; i < CHAINS; i++) {
		loads[i].seed = i + 1;
		mixed_fill(loads[i].slots, LIVE, &loads[i].seed);
	}
	sem_init(&chains_done, 0, 0);
	start = bench_now_ns();
	for (unsigned int i = 0; i < CHAINS; i++)
		larson_start(i);
	for (unsigned int i = 0; i < CHAINS; i++) {
		while (sem_wait(&chains_done))
			;
	}
	end = bench_now_ns();
	for (unsigned int i = 0; i < CHAINS; i++)
		mixed_drain(loads[i].slots, LIVE);
	return (double)(end - start) / ((double)CHAINS * GENERATIONS * STEPS_OF_GENERATION);
}

const struct bench_measure bench_threads[] = {
	{ "spsc", spsc },
	{ "two-threads", two_threads },
	{ "larson-8", larson },
	{ NULL, NULL },
};
