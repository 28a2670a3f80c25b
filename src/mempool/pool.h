/* SPDX-License-Identifier: MIT */
/*
 * mempool/pool.h - what is inside of a mempool_t
 *
 * Objects   fixed from init to exit: checks, quick, bytes.
 *           The reserve and the queue have rules of their own (reserve.h, wait.h).
 * Context   any.
 */
#ifndef STELE_MEMPOOL_POOL_H
#define STELE_MEMPOOL_POOL_H

#include "base/basics.h"
#include "base/valid.h"
#include "mempool/reserve.h"
#include "mempool/wait.h"
#include <stele/mempool.h>

struct pool {
	struct reserve reserve;
	uint64_t quick; /* words of a slab pool's cache, where no call is checked; else 0 */
	struct wait_queue queue;
	_Atomic uint32_t was_full; /* since its size was changed: missing elements are then out */
	_Atomic bool cancellable;
	size_t bytes; /* of an element, for mempool_debug: a cache that merges raises its own size */
	bool checks;  /* the option mempool_debug, or forced failures: every call goes slow */
} __attribute__((may_alias));

_Static_assert(sizeof(struct pool) <= sizeof(((mempool_t *)0)->stele_inside), "room in mempool_t");
_Static_assert(_Alignof(struct pool) <= _Alignof(uintptr_t), "alignment in mempool_t");

static inline struct pool *inside(mempool_t *pool)
{
	return (struct pool *)pool->stele_inside;
}

/* ---- mempool.c: the reserve, with the checks of mempool_debug ---- */

#define GFP_OF_POOLS (__GFP_NOMEMALLOC | __GFP_NORETRY | __GFP_NOWARN)

/* All of @n, or none. */
bool stele_pool_take(mempool_t *pool, void **out, unsigned n);
/* Frees the elements that are above a limit that fell. */
void stele_pool_drop_surplus(mempool_t *pool);
/* True: @p is in the reserve. It is not if a check refused it, or there was no place. */
bool stele_pool_free_slow(void *p, mempool_t *pool, const void *site);

/* ---- life.c ---- */

/* Returns NULL, or the invariant of the reserve that is broken (base/valid.h). No call for the pool is
 * under way. */
const char *stele_pool_valid(mempool_t *pool);

/* ---- check.c: pointers that are no pool, the option mempool_debug ---- */

void stele_mempool_report_none(const char *call, const mempool_t *pool, const void *site);
/* True, after a report: @pool cannot be a pool. It is NULL, or zeroes as mempool_exit() leaves
 * them. @site: where the call returns to; NULL: it is the function at hand that was called. */
static inline __attribute__((always_inline)) bool
is_no_pool(const char *call, const mempool_t *pool, const void *site)
{
	if (stele_likely(pool && pool->alloc))
		return false;
	stele_mempool_report_none(call, pool, site ? site : STELE_CALLER);
	return true;
}
/* The bytes that mempool_debug fills of an element; 0: not known. */
size_t stele_mempool_bytes(const mempool_t *pool);
/* Whether @p may go into the reserve. If not, this reports it and leaves the reserve alone. */
bool stele_mempool_check_put(const char *call, mempool_t *pool, void *p, const void *site);
/* Fills an element that goes into the reserve with a pattern. */
void stele_mempool_poison(mempool_t *pool, void *p);
/* Reports an element that was written to in the reserve, and fills it anew, as one in use. */
void stele_mempool_unpoison(mempool_t *pool, void *p);
/* Whether this allocation is to fail: every n-th by the options fail_mempool_alloc(_bulk). */
bool stele_mempool_fails(const void *site, bool bulk);

#endif
