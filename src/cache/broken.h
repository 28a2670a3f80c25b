/* SPDX-License-Identifier: MIT */
/*
 * cache/broken.h - mistakes that tests make on purpose, to see that they are found
 *
 * Idea      Each mistake is a constant that is 0. A test's own build of this floor sets one to 1. An
 *           ordinary `if` asks for the constant, so the compiler removes a mistake that is 0.
 * Tests     tests/contract/test_cpus_races.c
 */
#ifndef STELE_CACHE_BROKEN_H
#define STELE_CACHE_BROKEN_H

/* A cache is in the list before it is complete. */
#ifndef STELE_BROKEN_LIST_EARLY
#define STELE_BROKEN_LIST_EARLY 0
#endif

/* Slots are emptied without keeping the set of CPUs as it is. */
#ifndef STELE_BROKEN_FLUSH_UNHELD
#define STELE_BROKEN_FLUSH_UNHELD 0
#endif

#endif
