/* SPDX-License-Identifier: MIT */
/*
 * bench/steps.c - bench-steps N [stop|-] [BYTES]: N pairs, of 64 bytes or as many as it says, for
 *                 counting instructions
 *
 * Idea      The counting tool runs N and 2N pairs; the difference is N pairs exactly and nothing of
 *           the start. With "stop" both runs happen in one process, parted by three SIGSTOPs for
 *           a tracer: one that only single-steps cannot afford to step through the dynamic linker.
 */
#include "bench.h"

#include <signal.h>
#include <string.h>

#define OBJECT 64u
#define WARM_UP 1000u

static size_t bytes = OBJECT;

static void pairs(unsigned long count)
{
	for (unsigned long i = 0; i < count; i++)
		free(bench_alloc(bytes));
}

int main(int argc, char **argv)
{
	unsigned long count = argc > 1 ? bench_number(argv[1]) : 1000;

	if (argc > 3)
		bytes = bench_number(argv[3]);
	pairs(WARM_UP);
	if (argc > 2 && !strcmp(argv[2], "stop")) {
		raise(SIGSTOP);
		pairs(count);
		raise(SIGSTOP);
		pairs(2 * count);
		raise(SIGSTOP);
		return 0;
	}
	pairs(count);
	return 0;
}
