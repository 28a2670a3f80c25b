/* SPDX-License-Identifier: MIT */
/*
 * tests/stress/every_kind.h - every kind of call that the library has, by a number
 *
 * Idea      A thread makes a call by the number of its kind, as often as it likes. Calls that come
 *           back are counted. every_kind.c has the calls.
 */
#ifndef STELE_TESTS_STRESS_EVERY_KIND_H
#define STELE_TESTS_STRESS_EVERY_KIND_H

#include <stdatomic.h>
#include <stdint.h>

enum kind {
	/* the data path, in any context */
	KMALLOC,
	LARGE,
	HUGE,
	TIDE,
	TYPED,
	BULK,
	PAGES,
	NOLOCK,
	RCU,
	POOL,
	/* the control path */
	POOL_WAIT,
	BARRIER,
	BARRIER_CACHE,
	TRACE,
	TRIM,
	SHRINK,
	LIVES,
	LIVES_TYPESAFE,
	CPUS,
	STATS,
	DEFERRED,
	RESIZE,
	POOL_LIVES,
	VALIDATE,
	SWEEP,
	FORK,
	KINDS
};
#define FIRST_CONTROL POOL_WAIT
extern const char *const kind_names[KINDS];

extern atomic_ulong done[KINDS];    /* calls that came back */
extern _Thread_local uint64_t dice; /* the thread sets it before its first call */
extern void (*in_child)(void);	    /* a child of fork() calls it first of all */

/* The mempool has so many elements, and its own allocation gives no more. */
#define ELEMENTS 3

/* ---- before the first call ---- */

void begin_calls(void);
/* Takes some more pages each time, so that the library's tables grow. */
void keep_pages(void);

/* ---- calls ---- */

void make_call(unsigned kind);

/* These are not counted. */
void call_kmalloc(void);
void call_typed(void);
void call_rcu(void);
void call_stats(void);
void call_fork(void);

#endif
