/* SPDX-License-Identifier: MIT */
/*
 * bench/bench.h - what every measuring program shares
 *
 * Idea      A program measures one thing in one process and prints one line of JSON; bench/run
 *           starts it under each allocator in turn and does the statistics. So a number never
 *           depends on what another allocator, or another measure, left behind.
 * Units     Times are nanoseconds per operation, memory is KiB.
 * Calls     malloc and free are reached through their ordinary dynamic symbols: these files are
 *           compiled with -fno-builtin, and no allocator is linked in.
 * Failure   Anything that goes wrong ends the process with a message and status 2. A figure that
 *           could not be taken is never printed.
 */
#ifndef STELE_BENCH_H
#define STELE_BENCH_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define BENCH_MAX_BATCHES 64
#define BENCH_LINE 64

/* One batch: does its work once and returns nanoseconds per operation. */
typedef double (*bench_batch_fn)(void);

struct bench_measure {
	const char *name;
	bench_batch_fn batch;
};

uint64_t bench_now_ns(void);
size_t bench_rss_kib(void);
size_t bench_peak_kib(void);
double bench_median(double *values, size_t count);
unsigned long bench_number(const char *text);
_Noreturn void bench_die(const char *what);

/* bench_print writes a whole line at once and without stdio's own buffer. */
void bench_print(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Minor faults per operation of the last batch, where a measure counts them; else below 0. */
extern double bench_faults;

/* Runs one batch to warm up, then @batches more, and prints median, peak RSS and malloc's home. */
void bench_run(const struct bench_measure *measure, unsigned long batches);

/* Each of these lists its measures and ends with an empty one. */
extern const struct bench_measure bench_pairs[];
extern const struct bench_measure bench_mixed[];
extern const struct bench_measure bench_threads[];
extern const struct bench_measure bench_grow[];
extern const struct bench_measure bench_large[];
extern const struct bench_measure bench_churn[];
extern const struct bench_measure bench_calls[];

/* A linear congruential generator: one multiplication, so that it hides behind the allocator. */
static inline uint32_t bench_random(uint64_t *state)
{
	*state = *state * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	return (uint32_t)(*state >> 32);
}

/* Uniform in [low, high], by multiplication instead of a division. */
static inline size_t bench_between(uint64_t *state, size_t low, size_t high)
{
	return low + (size_t)(((uint64_t)bench_random(state) * (high - low + 1)) >> 32);
}

/* What a program does with memory it asked for: see whether it came, and write to it. */
static inline void *bench_alloc(size_t size)
{
	void *p = malloc(size);

	if (!p)
		bench_die("malloc");
	*(volatile unsigned long *)p = 1;
	return p;
}

#endif
