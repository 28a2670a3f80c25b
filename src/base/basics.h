/* SPDX-License-Identifier: MIT */
/*
 * base/basics.h - what every floor needs: small arithmetic, and how much a call may do at once
 *
 * Idea      Inline functions where a type can be named, macros only where it cannot.
 * Effort    A call that promises to be short, one in any context, and one of the control path go the
 *           same way through the floors. It hands down how much may be done on the way; the
 *           function that has long work before it looks at that, and leaves it to another call.
 * Context   any; no memory but the arguments is touched.
 * Failure   none; a function with an undefined result says so at its own line.
 * Tests     tests/unit/base/test_bits.c; tests/stress/bound.c counts the instructions of calls that
 *           are EFFORT_BOUNDED.
 */
#ifndef STELE_BASE_BASICS_H
#define STELE_BASE_BASICS_H

#include <limits.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* ---- effort ---- */

/* Stands before a function that waits for no lock, and calls none that does (sync/held.h). */
#if STELE_DEBUG
#define STELE_NEVER_WAITS __attribute__((noinline, section("stele_never_waits")))
#else
#define STELE_NEVER_WAITS
#endif

/*
 * BOUNDED  a bounded number of steps: no system call, no callback of the user, no sheaf filled or
 *          emptied, no slab retired. The thread notes work that it puts off.
 * USUAL    any context: nothing waits, but a sheaf is filled or emptied, slabs are retired, pages go
 *          back to the system.
 * WAITING  ordinary threads: the call may wait for another thread as well.
 */
enum effort { EFFORT_BOUNDED, EFFORT_USUAL, EFFORT_WAITING };

/* ---- arithmetic ---- */

#define stele_likely(x) __builtin_expect(!!(x), 1)
#define stele_unlikely(x) __builtin_expect(!!(x), 0)

#define STELE_STATIC_ASSERT(cond, text) _Static_assert(cond, text)
#define STELE_ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))

/* Address of the structure that holds @member at @ptr. */
#define STELE_CONTAINER_OF(ptr, type, member) ((type *)((char *)(ptr)-offsetof(type, member)))

/* Each argument is evaluated once. */
#define STELE_MIN(a, b)                                                                            \
	({                                                                                         \
		__typeof__(a) stele_min_a = (a);                                                   \
		__typeof__(b) stele_min_b = (b);                                                   \
		stele_min_a < stele_min_b ? stele_min_a : stele_min_b;                             \
	})
#define STELE_MAX(a, b)                                                                            \
	({                                                                                         \
		__typeof__(a) stele_max_a = (a);                                                   \
		__typeof__(b) stele_max_b = (b);                                                   \
		stele_max_a > stele_max_b ? stele_max_a : stele_max_b;                             \
	})

/*
 * Round to a multiple of @a, a power of two; constant expressions when the arguments are.
 * @a is widened first, so that a 32-bit alignment does not cut a 64-bit address.
 * ALIGN_UP wraps to 0 where the result does not fit: callers with foreign sizes check.
 */
#define STELE_ALIGN_MASK(x, a) ((__typeof__((x) + (a)))(a)-1)
#define STELE_ALIGN_UP(x, a) (((x) + STELE_ALIGN_MASK(x, a)) & ~STELE_ALIGN_MASK(x, a))
#define STELE_ALIGN_DOWN(x, a) ((x) & ~STELE_ALIGN_MASK(x, a))
#define STELE_DIV_UP(x, d) (((x) + ((d)-1)) / (d))

/* 0 is no power of two. */
static inline bool stele_is_pow2(uint64_t x)
{
	return x != 0 && (x & (x - 1)) == 0;
}

static inline bool stele_is_aligned(uint64_t x, uint64_t a)
{
	return (x & (a - 1)) == 0;
}

/* Index of the lowest set bit; undefined for 0. */
static inline unsigned int stele_ctz(uint64_t x)
{
	return (unsigned int)__builtin_ctzll(x);
}

/* Zero bits above the highest set one; undefined for 0. */
static inline unsigned int stele_clz(uint64_t x)
{
	return (unsigned int)__builtin_clzll(x);
}

static inline unsigned int stele_popcount(uint64_t x)
{
	return (unsigned int)__builtin_popcountll(x);
}

/* Floor of the logarithm; undefined for 0. */
static inline unsigned int stele_ilog2(uint64_t x)
{
	return 63U - stele_clz(x);
}

/* Ceiling of the logarithm: the smallest n with 1 << n >= x; 0 for 0 and 1. */
static inline unsigned int stele_ilog2_up(uint64_t x)
{
	return x <= 1 ? 0 : 64U - stele_clz(x - 1);
}

/* The smallest power of two >= x; undefined above 1 << 63. */
static inline uint64_t stele_pow2_up(uint64_t x)
{
	return (uint64_t)1 << stele_ilog2_up(x);
}

/* A word with the lowest @n bits set, n from 0 to 64. */
static inline uint64_t stele_low_bits(unsigned int n)
{
	return n >= 64 ? UINT64_MAX : ((uint64_t)1 << n) - 1;
}

/* The address that the function at hand returns to: the caller. In a function that is always
 * inlined, the one around it. Taken where it is needed, it costs nothing elsewhere. */
#define STELE_CALLER __builtin_return_address(0)

#endif
