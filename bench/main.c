/* SPDX-License-Identifier: MIT */
/*
 * bench/main.c - bench-malloc MEASURE [BATCHES]: one malloc measure under whatever is preloaded
 */
#include "bench.h"

#include <errno.h>
#include <string.h>

static const struct bench_measure *const groups[] = {
	bench_pairs, bench_mixed, bench_threads, bench_grow, bench_large, bench_churn, bench_calls,
};

#define NR_GROUPS (sizeof(groups) / sizeof(groups[0]))

static const struct bench_measure *find_measure(const char *name)
{
	for (size_t g = 0; g < NR_GROUPS; g++) {
		for (const struct bench_measure *m = groups[g]; m->name; m++) {
			if (!strcmp(m->name, name))
				return m;
		}
	}
	errno = EINVAL;
	bench_die(name);
}

static void list_measures(void)
{
	for (size_t g = 0; g < NR_GROUPS; g++) {
		for (const struct bench_measure *m = groups[g]; m->name; m++)
			bench_print("%s\n", m->name);
	}
}

int main(int argc, char **argv)
{
	if (argc < 2) {
		list_measures();
		return 2;
	}
	bench_run(find_measure(argv[1]), argc > 2 ? bench_number(argv[2]) : 5);
	return 0;
}
