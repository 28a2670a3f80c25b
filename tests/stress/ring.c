/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/ring.c - what one thread allocates and another frees comes back to the first
 *
 * Idea      Two pairs of a producer and a consumer, each with a ring between them. Without a
 *           way back, memory would grow with each block that passes; here the library may
 *           never hold more than a bound that depends on the rings alone.
 * Argument  seconds to run.
 */
#include "stress.h"

#define PAIRS 2
#define RING 1024
#define SIZE_MAX_HERE 2000
/* Full rings, as much again for what is split over slabs, sheaves of all classes, dirty pages. */
#define BOUND (2ul * PAIRS * RING * SIZE_MAX_HERE + (16ul << 20))

static struct ring {
	_Atomic(unsigned char *) slot[RING];
} rings[PAIRS];

static uint64_t peak;

static void produce(struct ring *ring, uint64_t *random)
{
	for (unsigned i = 0; i < RING && !stopped(); i++) {
		size_t size = 16 + next_random(random) % (SIZE_MAX_HERE - 16);
		unsigned char *p;

		while (atomic_load(&ring->slot[i]) && !stopped())
			sched_yield();
		if (atomic_load(&ring->slot[i]))
			return;
		p = kmalloc(size, GFP_KERNEL);
		MUST(p);
		memcpy(p, &size, sizeof(size));
		memset(p + sizeof(size), (int)(size & 255), size - sizeof(size));
		atomic_store(&ring->slot[i], p);
		step_done();
	}
}

static void consume_one(unsigned char *p)
{
	size_t size;

	memcpy(&size, p, sizeof(size));
	for (size_t i = sizeof(size); i < size; i++)
		MUST_FOR(p[i] == (size & 255), i);
	kfree(p);
}

static void consume(struct ring *ring)
{
	for (unsigned i = 0; i < RING && !stopped(); i++) {
		unsigned char *p;

		while (!(p = atomic_exchange(&ring->slot[i], NULL)) && !stopped())
			sched_yield();
		if (p)
			consume_one(p);
	}
}

static void *work_on_ring(void *number)
{
	uintptr_t n = (uintptr_t)number;
	uint64_t random = random_seed(n);

	while (!stopped()) {
		if (n % 2)
			produce(&rings[n / 2], &random);
		else
			consume(&rings[n / 2]);
	}
	return NULL;
}

static void watch_peak(void)
{
	uint64_t held = bytes_held();

	peak = held > peak ? held : peak;
	MUST_FOR(held <= BOUND, held);
}

int main(int argc, char **argv)
{
	run_for(seconds_asked(argc, argv), 2 * PAIRS, work_on_ring, watch_peak);
	for (unsigned r = 0; r < PAIRS; r++)
		for (unsigned i = 0; i < RING; i++)
			if (rings[r].slot[i])
				consume_one(rings[r].slot[i]);
	printf("at most %lu KiB held\n", (unsigned long)peak >> 10);
	return finish(1 << 20);
}
