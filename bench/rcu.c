/* SPDX-License-Identifier: MIT */
/*
 * bench/rcu.c - bench-rcu MEASURE [BATCHES]: freeing after grace periods, and type-stable objects
 *
 * Measures  kfree_rcu-1, kfree_rcu-2   allocate 64 bytes, kfree_rcu(); threads; until all is freed
 *           call_rcu-1, call_rcu-2     the same with malloc, liburcu's call_rcu, free
 *           kfree_rcu-flood, call_rcu-flood  the same with two threads, while a reader sleeps 100 ms
 *                                      at a time; for the peak of memory
 *           typesafe, plain            kmem_cache_alloc and kmem_cache_free of a type-stable and of
 *                                      an ordinary cache
 * Idea      malloc is that of the preloaded library; liburcu is memb, with its one default thread.
 */
#include "bench.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <string.h>
#include <unistd.h>
#include <urcu.h>

#include <stele/rcu.h>

#define OBJECTS 1000000u
#define FLOOD 4000000u
#define PAIRS 3000000u

struct object {
	unsigned long words[6];
	struct rcu_head rcu;
};

static struct kmem_cache *cache;
static void (*give_one)(void);
static unsigned per_thread;
static atomic_bool stop;

static void by_kfree_rcu(void)
{
	struct object *p = kmem_cache_alloc(cache, GFP_KERNEL);

	if (!p)
		bench_die("kmem_cache_alloc");
	p->words[0] = 1;
	kfree_rcu(p, rcu);
}

static void free_object(struct rcu_head *head)
{
	free(caa_container_of(head, struct object, rcu));
}

static void by_call_rcu(void)
{
	struct object *p = malloc(sizeof(*p));

	if (!p)
		bench_die("malloc");
	p->words[0] = 1;
	call_rcu(&p->rcu, free_object);
}

static void *give_many(void *arg)
{
	rcu_register_thread();
	for (unsigned i = 0; i < per_thread; i++)
		give_one();
	rcu_unregister_thread();
	return arg;
}

static void *read_and_sleep(void *arg)
{
	rcu_register_thread();
	while (!stop) {
		rcu_read_lock();
		usleep(100000);
		rcu_read_unlock();
	}
	rcu_unregister_thread();
	return arg;
}

static void wait_for_all(void)
{
	if (give_one == by_call_rcu)
		rcu_barrier();
	else
		kvfree_rcu_barrier();
}

/* Nanoseconds per object, all threads together. */
static double give(void (*how)(void), unsigned threads, unsigned each)
{
	uint64_t start = bench_now_ns();
	pthread_t thread[2];

	give_one = how;
	per_thread = each;
	for (unsigned i = 0; i < threads; i++)
		pthread_create(&thread[i], NULL, give_many, NULL);
	for (unsigned i = 0; i < threads; i++)
		pthread_join(thread[i], NULL);
	wait_for_all();
	return (double)(bench_now_ns() - start) / ((double)threads * each);
}

static double flood(void (*how)(void))
{
	pthread_t reader;
	double value;

	stop = false;
	pthread_create(&reader, NULL, read_and_sleep, NULL);
	value = give(how, 2, FLOOD / 2);
	stop = true;
	pthread_join(reader, NULL);
	return value;
}

static double kfree_rcu_1(void)
{
	return give(by_kfree_rcu, 1, OBJECTS);
}

static double kfree_rcu_2(void)
{
	return give(by_kfree_rcu, 2, OBJECTS);
}

static double call_rcu_1(void)
{
	return give(by_call_rcu, 1, OBJECTS);
}

static double call_rcu_2(void)
{
	return give(by_call_rcu, 2, OBJECTS);
}

static double kfree_rcu_flood(void)
{
	return flood(by_kfree_rcu);
}

static double call_rcu_flood(void)
{
	return flood(by_call_rcu);
}

static double pairs(slab_flags_t flags)
{
	struct kmem_cache *s = kmem_cache_create("pairs", 64, 0, flags | SLAB_NO_MERGE, NULL);
	uint64_t start, end;

	if (!s)
		bench_die("kmem_cache_create");
	start = bench_now_ns();
	for (unsigned i = 0; i < PAIRS; i++) {
		void *p = kmem_cache_alloc(s, GFP_KERNEL);

		*(volatile unsigned long *)p = 1;
		kmem_cache_free(s, p);
	}
	end = bench_now_ns();
	kmem_cache_destroy(s);
	return (double)(end - start) / PAIRS;
}

static double typesafe(void)
{
	return pairs(SLAB_TYPESAFE_BY_RCU);
}

static double plain(void)
{
	return pairs(0);
}

static const struct bench_measure measures[] = {
	{ "kfree_rcu-1", kfree_rcu_1 },
	{ "kfree_rcu-2", kfree_rcu_2 },
	{ "call_rcu-1", call_rcu_1 },
	{ "call_rcu-2", call_rcu_2 },
	{ "kfree_rcu-flood", kfree_rcu_flood },
	{ "call_rcu-flood", call_rcu_flood },
	{ "typesafe", typesafe },
	{ "plain", plain },
};

int main(int argc, char **argv)
{
	cache = kmem_cache_create("objects", sizeof(struct object), 0, 0, NULL);
	for (size_t i = 0; argc > 1 && i < sizeof(measures) / sizeof(measures[0]); i++) {
		if (strcmp(argv[1], measures[i].name) != 0)
			continue;
		bench_run(&measures[i], argc > 2 ? bench_number(argv[2]) : 3);
		return 0;
	}
	errno = EINVAL;
	bench_die("measure");
}
