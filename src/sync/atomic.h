/* SPDX-License-Identifier: MIT */
/*
 * sync/atomic.h - C11 atomics with the order in the name
 *
 * Idea      A reader sees at the call which order is meant; a model checker sees
 *           plain C11. Every use with an order carries an ORDER(TAG) comment and
 *           docs/memory-model.md has a paragraph for the tag; `scripts/rules orders` looks.
 * Context   any.
 */
#ifndef STELE_SYNC_ATOMIC_H
#define STELE_SYNC_ATOMIC_H

#include <stdatomic.h>
#include <stdbool.h>
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

#endif
