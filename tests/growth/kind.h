/* SPDX-License-Identifier: MIT */
/*
 * tests/growth/kind.h - a kind of call whose cost is counted
 */
#ifndef STELE_TESTS_GROWTH_KIND_H
#define STELE_TESTS_GROWTH_KIND_H

#include <stdlib.h>

#define MUST(what) ((what) ? (void)0 : abort())

struct kind {
	const char *name;
	void (*call)(void);
	unsigned every; /* in one round of so many */
};

#endif
