/* SPDX-License-Identifier: MIT */
/*
 * tests/growth/kind.h - a kind of call whose cost is counted
 */
#ifndef STELE_TESTS_GROWTH_KIND_H
#define STELE_TESTS_GROWTH_KIND_H

#include "../random.h"
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#define MUST(what) ((what) ? (void)0 : abort())

static inline uint64_t roll(void)
{
	static uint64_t dice = 0x9e3779b97f4a7c15;

	return next_random(&dice);
}

static inline size_t size_between(size_t least, size_t most)
{
	return least + roll() % (most - least + 1);
}

/* Blocks by @take, each third one given back by @give: holes of all kinds lie between the others. */
static inline void blocks_with_holes(void *(*take)(size_t), void (*give)(void *), unsigned n,
				     size_t least, size_t most)
{
	void **all = malloc(n * sizeof(*all));

	MUST(all);
	for (unsigned i = 0; i < n; i++)
		all[i] = take(size_between(least, most));
	for (unsigned i = 0; i < n; i += 3)
		give(all[i]);
	free(all);
}

struct kind {
	const char *name;
	void (*call)(void);
	unsigned every; /* in one round of so many */
};

#endif
