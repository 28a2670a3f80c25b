/* SPDX-License-Identifier: MIT */
/*
 * tests/random.h - numbers that look random, a word of state for each thread
 */
#ifndef STELE_TESTS_RANDOM_H
#define STELE_TESTS_RANDOM_H

#include <stdint.h>

/* @state is not 0. */
static inline uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

/* Never 0, and different for each thread. */
static inline uint64_t random_seed(uintptr_t number)
{
	return (number + 1) * 0x9e3779b97f4a7c15ull;
}

#endif
