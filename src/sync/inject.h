/* SPDX-License-Identifier: MIT */
/*
 * sync/inject.h - named points between the steps of a lock-free protocol
 *
 * Idea      A race is hit by holding a thread at a named point, not by luck. A test
 *           sets stele_inject; each point calls it. Release builds contain nothing.
 * Names     They lie one after the other in a section of their own, where a test finds all of them,
 *           also those that it never passes.
 * Context   any; the hook may delay, raise a signal or allocate.
 */
#ifndef STELE_SYNC_INJECT_H
#define STELE_SYNC_INJECT_H

#if STELE_DEBUG
extern void (*volatile stele_inject)(const char *point);
#define STELE_POINT(name)                                                                          \
	do {                                                                                       \
		static const char point_name[]                                                     \
			__attribute__((used, section("stele_points"))) = name;                     \
		if (stele_inject)                                                                  \
			stele_inject(point_name);                                                  \
	} while (0)
#else
#define STELE_POINT(name) ((void)0)
#endif

#endif
