/* SPDX-License-Identifier: MIT */
/*
 * tests/growth/calls.c - calls of each kind, in a world of the size that is asked for
 *
 * Idea      The program makes a world (world.h). Then measured() makes one call of a kind. The script
 *           `growth` runs the program under callgrind, which counts each run of measured().
 * Argument  calls SCALE ROUNDS; without any: the names of the kinds, a line each.
 */
#include "../nap.h"
#include "world.h"

/* The tool counts from its first instruction to its last, and knows it by its name. */
void measured(void (*call)(void));
__attribute__((noinline)) void measured(void (*call)(void))
{
	call();
	__asm__ volatile("" ::: "memory"); /* no tail call */
}

int main(int argc, char **argv)
{
	if (argc < 3) {
		for (size_t i = 0; i < KINDS; i++)
			if (kinds[i].every == 1)
				puts(kinds[i].name);
		return 0;
	}
	make_world((unsigned)atoi(argv[1]));
	for (int i = 0; i < atoi(argv[2]); i++)
		for (size_t kind = 0; kind < KINDS; kind++) {
			if (kinds[kind].every > 1)
				continue;
			nap_ms(2); /* looks at cold slots become due */
			measured(kinds[kind].call);
		}
	return 0;
}
