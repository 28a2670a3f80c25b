/* SPDX-License-Identifier: MIT */
/*
 * sync/atomic.h - C11 atomics with the order in the name, and what debug builds add to them
 *
 * Idea      A reader sees at the call which order is meant; a model checker sees
 *           plain C11. Every use with an order carries an ORDER(TAG) comment and
 *           docs/orders-*.md have a section for the tag; `scripts/rules orders` looks.
 * Points    A race is hit by holding a thread at a named point between two steps, not by luck. A test
 *           sets stele_inject; each point calls it. Release builds contain nothing.
 * Racy      A lock-free protocol reads through pointers that may be out of date: the link of a node
 *           that another thread has popped meanwhile, the state of a slab that is another one by
 *           now. The value that such a read finds is thrown away, or only counted. But the read
 *           must not fault: the target must be memory that the library never gives to a program,
 *           for its owner may unmap it or take its access away (mprotect(2)).
 * Rule      A pointer that was not obtained together with ownership leads to the library's own
 *           tables (slots, descriptors, the page map), to static memory, or to runs that are never
 *           returned (page/permanent.c). Those are the slabs of the caches that keep theirs for good
 *           (SLAB_KEPT, slab/kept.c): sheaves, caches, and what caches have for nodes.
 *           docs/memory-model.md lists every such read. Debug builds abort when one leads anywhere
 *           else.
 * Context   any; the hook of a point may delay, raise a signal or allocate.
 * Tests     tests/death/racy_read.c, tests/contract/test_protected.c, tests/unit/page/test_permanent.c
 */
#ifndef STELE_SYNC_ATOMIC_H
#define STELE_SYNC_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define load_seq(p) atomic_load_explicit((p), memory_order_seq_cst)
#define store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define store_seq(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)
#define exchange_acq_rel(p, v) atomic_exchange_explicit((p), (v), memory_order_acq_rel)
#define exchange_relaxed(p, v) atomic_exchange_explicit((p), (v), memory_order_relaxed)
#define add_relaxed(p, v) atomic_fetch_add_explicit((p), (v), memory_order_relaxed)
#define sub_relaxed(p, v) atomic_fetch_sub_explicit((p), (v), memory_order_relaxed)
#define or_relaxed(p, v) atomic_fetch_or_explicit((p), (v), memory_order_relaxed)
#define or_release(p, v) atomic_fetch_or_explicit((p), (v), memory_order_release)
#define or_acq_rel(p, v) atomic_fetch_or_explicit((p), (v), memory_order_acq_rel)
#define or_seq(p, v) atomic_fetch_or_explicit((p), (v), memory_order_seq_cst)
#define and_seq(p, v) atomic_fetch_and_explicit((p), (v), memory_order_seq_cst)
#define and_acquire(p, v) atomic_fetch_and_explicit((p), (v), memory_order_acquire)
#define and_release(p, v) atomic_fetch_and_explicit((p), (v), memory_order_release)
#define and_relaxed(p, v) atomic_fetch_and_explicit((p), (v), memory_order_relaxed)
#define fence_acquire() atomic_thread_fence(memory_order_acquire)
#define fence_release() atomic_thread_fence(memory_order_release)
#define fence_seq() atomic_thread_fence(memory_order_seq_cst)
#define fence_compiler() atomic_signal_fence(memory_order_seq_cst)

/* Compare and swap; on failure *old holds what was seen. */
#define cas_acquire(p, old, new)                                                                   \
	atomic_compare_exchange_strong_explicit((p), (old), (new), memory_order_acquire,           \
						memory_order_relaxed)
#define cas_release(p, old, new)                                                                   \
	atomic_compare_exchange_strong_explicit((p), (old), (new), memory_order_release,           \
						memory_order_relaxed)
#define cas_acq_rel(p, old, new)                                                                   \
	atomic_compare_exchange_strong_explicit((p), (old), (new), memory_order_acq_rel,           \
						memory_order_acquire)
#define cas_relaxed(p, old, new)                                                                   \
	atomic_compare_exchange_strong_explicit((p), (old), (new), memory_order_relaxed,           \
						memory_order_relaxed)

/* ---- named points ---- */

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

/* ---- reads without ownership ---- */

#if STELE_DEBUG && !defined(STELE_RACY_UNCHECKED)
extern bool (*stele_racy_allowed)(const void *p); /* fixed when the heap starts */
void stele_racy_report(const void *p) __attribute__((noreturn));

static inline void racy_target(const void *p)
{
	if (stele_racy_allowed && !stele_racy_allowed(p))
		stele_racy_report(p);
}

static inline void racy_ask(bool (*allowed)(const void *p))
{
	stele_racy_allowed = allowed;
}
#else
/* @p: the target of the next read, through a pointer that may be out of date. */
static inline void racy_target(const void *p)
{
	(void)p;
}

/* Registers a function, once, that knows whether a racy read may lead to @p. */
static inline void racy_ask(bool (*allowed)(const void *p))
{
	(void)allowed;
}
#endif

#endif
