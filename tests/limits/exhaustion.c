/* SPDX-License-Identifier: MIT */
/*
 * tests/limits/exhaustion.c - memory runs out at every single place where it is asked for
 *
 * Idea      The same workload again and again; in round n the n-th request for pages fails and
 *           all after it. Rounds end when a workload comes through without a failure. In each,
 *           contents stay, and at its end no slab and no large memory is left but what the
 *           library had at the start.
 */
#include "workload.h"

#include "base/options.h"
#include "page/run.h"

#define STEPS 700
#define ROUNDS_MAX 5000

static uint64_t at_start;

/* One round. True when memory did not run out. */
static bool round_fails_at(int n, unsigned *wrong, unsigned *refused)
{
	static struct workload w;
	bool came_through;
	uint64_t held;

	w = (struct workload){ .seed = 7, .steps = STEPS };
	stele_inject_page_fail = n;
	workload_run(&w);
	came_through = stele_inject_page_fail > 0;
	stele_inject_page_fail = 0;
	held = held_after_trim() - at_start;
	*wrong += w.wrong;
	*refused += w.refused;
	if (held) {
		fprintf(stderr, "round %d: %lu bytes are held at the end\n", n,
			(unsigned long)held);
		++*wrong;
	}
	if (!came_through && !w.refused) {
		fprintf(stderr, "round %d: nothing was refused\n", n);
		++*wrong;
	}
	return came_through;
}

int main(void)
{
	unsigned wrong = 0, refused = 0;
	int n = 1;

	at_start = held_after_trim();
	stele_opt.quiet = true; /* the warnings are another test's; here they would be thousands */
	while (n < ROUNDS_MAX && !wrong && !round_fails_at(n, &wrong, &refused))
		n++;
	printf("%d rounds, %u requests refused, %u wrong\n", n, refused, wrong);
	return wrong || n < 20 || n == ROUNDS_MAX;
}
