/* SPDX-License-Identifier: MIT */
/*
 * bench/churn.c - blocks that are replaced at random, every page of them written
 *
 * Idea      Each step frees the block of a random place and allocates another size there. Time goes
 *           where pages come from: a page that went back to the system is faulted in again. So the
 *           faults of a step and the peak RSS stand beside the time; either is easily bought with
 *           the other.
 * Unit      wall ns per step, one free, one malloc and a word of each page; filling and draining are
 *           not timed. Faults are minor faults of a step.
 */
#include "bench.h"

#include <sys/resource.h>

#define KIB 1024u
#define MIB (1024u * KIB)
#define PAGE 4096u
#define MOST_LIVE 500u

struct churn {
	unsigned int live;
	size_t smallest, largest;
	unsigned int steps;
};

static void *places[MOST_LIVE];

static unsigned long faults_so_far(void)
{
	struct rusage usage;

	if (getrusage(RUSAGE_SELF, &usage))
		bench_die("getrusage");
	return (unsigned long)usage.ru_minflt;
}

static void *written(const struct churn *c, uint64_t *seed)
{
	size_t size = bench_between(seed, c->smallest, c->largest);
	char *p = bench_alloc(size);

	for (size_t at = PAGE; at < size; at += PAGE)
		*(volatile char *)(p + at) = 1;
	return p;
}

static double churn(const struct churn *c)
{
	uint64_t seed = 1, start, end;
	unsigned long faults;

	for (unsigned int i = 0; i < c->live; i++)
		places[i] = written(c, &seed);
	faults = faults_so_far();
	start = bench_now_ns();
	for (unsigned int i = 0; i < c->steps; i++) {
		size_t place = bench_between(&seed, 0, c->live - 1);

		free(places[place]);
		places[place] = written(c, &seed);
	}
	end = bench_now_ns();
	bench_faults = (double)(faults_so_far() - faults) / c->steps;
	for (unsigned int i = 0; i < c->live; i++)
		free(places[i]);
	return (double)(end - start) / c->steps;
}

static double churn_128k(void)
{
	return churn(&(const struct churn){ 500, 16 * KIB, 128 * KIB, 20000 });
}

static double churn_1m(void)
{
	return churn(&(const struct churn){ 100, 128 * KIB, MIB, 2000 });
}

static double churn_4m(void)
{
	return churn(&(const struct churn){ 50, MIB, 4 * MIB, 400 });
}

static double churn_25m(void)
{
	return churn(&(const struct churn){ 20, 5 * MIB, 25 * MIB, 100 });
}

const struct bench_measure bench_churn[] = {
	{ "churn-128k", churn_128k }, { "churn-1m", churn_1m }, { "churn-4m", churn_4m },
	{ "churn-25m", churn_25m },   { NULL, NULL },
};
