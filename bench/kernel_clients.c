// SPDX-License-Identifier: MIT
/*
 * bench/kernel_clients.c - runs the benchmarks inside the kernel's test programs, and nothing else
 *
 * The suite's main() is weak; this one takes its place. It runs the parts that a program has.
 * bench/kernel_clients builds it, with the suite's objects, on Stele and on the suite's own shim.
 */
#include <stddef.h>
#include <stdio.h>
#include <urcu.h>

/* Of the suite; in a program, either the first two or the last two. */
__attribute__((weak)) void maple_tree_init(void);
__attribute__((weak)) int maple_tree_seed(void);
__attribute__((weak)) void radix_tree_init(void);
__attribute__((weak)) void benchmark(void);
__attribute__((weak)) int radix_tree_cpu_dead(unsigned int cpu);

extern int test_verbose;

int main(void)
{
	rcu_register_thread();
	if (maple_tree_seed) {
		maple_tree_init();
		maple_tree_seed();
	}
	if (benchmark) {
		const int says_figures = 2;

		test_verbose = says_figures;
		radix_tree_init();
		benchmark();
		radix_tree_cpu_dead(0);
	}
	rcu_barrier();
	rcu_unregister_thread();
	return 0;
}
