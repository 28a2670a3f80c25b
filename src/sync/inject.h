/* SPDX-License-Identifier: MIT */
/*
 * sync/inject.h - named points between the steps of a lock-free protocol
 *
 * Idea      A race is hit by holding a thread at a named point, not by luck. A test
 *           sets stele_inject; each point calls it. Release builds contain nothing.
 * Context   any; the hook may delay, raise a signal or allocate.
 */
#ifndef STELE_SYNC_INJECT_H
#define STELE_SYNC_INJECT_H

#if STELE_DEBUG
extern void (*volatile stele_inject)(const char *point);
#define STELE_POINT(name)                                                                          \
	do {                                                                                       \
		if (stele_inject)                                                                  \
			stele_inject(name);                                                        \
	} while (0)
#else
#define STELE_POINT(name) ((void)0)
#endif

#endif
