/* SPDX-License-Identifier: MIT */
/*
 * mempool/mempool.c - a pool: its own allocation first, then its reserve, then waiting
 *
 * Idea      Three sources in this order. A caller that may wait joins the queue as soon as others
 *           are in it, so that it does not pass an earlier one. A caller that may not wait takes
 *           the elements that are there.
 * Context   as <stele/mempool.h> says. Callbacks are never called under a lock of ours, and nothing
 *           is allocated under one: that may lead to a destructor, which may do anything.
 * Failure   NULL only for a caller that may not wait, or whose time is over.
 * Tests     tests/contract/test_mempool.c, tests/stress/mempool.c, tests/model/
 */
#include "base/options.h"
#include "base/fmt.h"
#include "mempool/pool.h"
#include "os/os.h"
#include "cache/object.h"
#include "percpu/percpu.h"
#include "percpu/step.h"
#include "slab/kmem_cache.h"
#include "trace/trace.h"
#include <errno.h>
#include <pthread.h>
#include <time.h>

/* ---- the reserve, with the checks of mempool_debug ---- */

/* Undoes stele_mempool_poison(): the elements leave the reserve, or found no room in it. */
static void unpoison(mempool_t *pool, void *const *out, unsigned n)
{
	for (unsigned i = 0; stele_unlikely(inside(pool)->checks) && i < n; i++)
		stele_mempool_unpoison(pool, out[i]);
}

bool stele_pool_take(mempool_t *pool, void **out, unsigned n)
{
	if (!reserve_take(&inside(pool)->reserve, out, n))
		return false;
	unpoison(pool, out, n);
	return true;
}

static bool is_above_limit(uint64_t counts)
{
	return counts_places(counts) > counts_limit(counts);
}

/* Elements that are above a limit that fell meanwhile. */
void stele_pool_drop_surplus(mempool_t *pool)
{
	void *p;

	while ((p = reserve_drop(&inside(pool)->reserve))) {
		unpoison(pool, &p, 1);
		pool->free(p, pool->pool_data);
	}
}

/* False: @p is still the caller's. */
static bool pool_put(mempool_t *pool, void *p)
{
	struct pool *in = inside(pool);
	uint64_t counts;

	if (stele_unlikely(in->checks))
		stele_mempool_poison(pool, p);
	if (!reserve_put(&in->reserve, p)) {
		unpoison(pool, &p, 1);
		return false;
	}
	counts = load_relaxed(&in->reserve.counts);
	if (counts_elements(counts) >= counts_limit(counts) && !load_relaxed(&in->was_full))
		store_relaxed(&in->was_full, 1);
	return true;
}

/* ---- allocating ---- */

static gfp_t first_try(gfp_t gfp)
{
	return (gfp | GFP_OF_POOLS) & ~(__GFP_DIRECT_RECLAIM | __GFP_IO);
}

/* Of a slab pool, the most frequent kind, without a call. */
static inline __attribute__((always_inline)) void *quick_alloc(mempool_t *pool, gfp_t gfp)
{
	struct kmem_cache *s;
	uint64_t words;
	void *p;

	if (stele_unlikely(!pool))
		return NULL;
	s = pool->pool_data;
	words = inside(pool)->quick;
	if (stele_unlikely(!words || gfp & __GFP_ZERO))
		return NULL;
	p = pcpu_pop(words);
	if (stele_likely(p != NULL))
		probe_kmem_cache_alloc(p, &s->name_at, &s->object_size, &s->size, gfp);
	return p;
}

static void *own_alloc(mempool_t *pool, gfp_t gfp, const void *site, bool bulk)
{
	if (stele_unlikely(inside(pool)->checks) && stele_mempool_fails(site, bulk))
		return NULL;
	return pool->alloc(gfp, pool->pool_data);
}

/* The request of a caller that waits until it is served. */
struct wish {
	mempool_t *pool;
	gfp_t gfp;
	const struct timespec *deadline;
	const void *site;
	void **out; /* as at the start of the wait */
	unsigned n;
	unsigned had; /* before it: of mempool_alloc_bulk(), from the pool's own allocation */
	struct waiter waiter;
};

#define SECOND 1000000000

/* The same time, as a futex takes it. */
static struct timespec in_order(struct timespec t)
{
	static const struct timespec first = { 0 };

	if (t.tv_nsec < 0 || t.tv_nsec >= SECOND) {
		t.tv_sec += t.tv_nsec / SECOND - (t.tv_nsec % SECOND < 0);
		t.tv_nsec = (t.tv_nsec % SECOND + SECOND) % SECOND;
	}
	return t.tv_sec < 0 ? first : t;
}

/* When to look next: the deadline, or the time to try the pool's allocation again. */
static const struct timespec *next_look(const struct timespec *deadline, struct timespec *at)
{
	int64_t ms = stele_opt.mempool_retry;

	return ms ? stele_wait_earlier(deadline, ms, at) : deadline;
}

/* The pool's own allocation may have recovered. */
static void try_again(struct wish *wish)
{
	struct waiter *w = &wish->waiter;
	void *p;

	while (w->need && (p = own_alloc(wish->pool, wish->gfp, wish->site, wish->n > 1))) {
		if (stele_unlikely(inside(wish->pool)->checks)) /* like those of the reserve */
			stele_mempool_poison(wish->pool, p);
		*(w->end - w->need--) = p;
	}
}

/* Frees the elements that the caller had when it gave up. */
static void give_back(struct wish *wish)
{
	unsigned n = wish->n - wish->waiter.need;

	unpoison(wish->pool, wish->out, n);
	for (unsigned i = 0; i < n; i++)
		mempool_free(wish->out[i], wish->pool);
}

static void cancelled(void *arg)
{
	struct wish *wish = arg;
	struct pool *in = inside(wish->pool);

	stele_wait_end(&in->queue, &in->reserve, &wish->waiter);
	give_back(wish);
	for (; wish->had; wish->had--)
		mempool_free(*(wish->out - wish->had), wish->pool);
}

/* True: it has all. False: it is late. */
static bool served_in_time(struct wish *wish)
{
	struct pool *in = inside(wish->pool);
	struct timespec at, now;

	for (;;) {
		const struct timespec *until = next_look(wish->deadline, &at);

		if (stele_wait_for(&in->queue, &in->reserve, &wish->waiter, until,
				   load_relaxed(&in->cancellable)))
			return true;
		now = stele_os_now();
		if (wish->deadline && !wait_is_before(&now, wish->deadline))
			return false;
		try_again(wish);
	}
}

static bool wait_in_queue(struct wish *wish)
{
	struct pool *in = inside(wish->pool);
	volatile bool served;

	wish->waiter.end = wish->out + wish->n;
	wish->waiter.need = wish->n;
	stele_wait_begin(&in->queue, &wish->waiter);
	/* In each pool: it may become cancellable meanwhile, and a callback may be cancelled. */
	pthread_cleanup_push(cancelled, wish);
	served = served_in_time(wish);
	pthread_cleanup_pop(0);
	stele_wait_end(&in->queue, &in->reserve, &wish->waiter);
	if (served)
		unpoison(wish->pool, wish->out, wish->n);
	else
		give_back(wish);
	return served;
}

static bool others_wait(mempool_t *pool)
{
	return load_relaxed(&inside(pool)->queue.waiting) && stele_wait_count(&inside(pool)->queue);
}

static __attribute__((noinline)) void *
pool_alloc_slow(mempool_t *pool, gfp_t gfp, const struct timespec *deadline, const void *site)
{
	void *p = NULL;
	struct wish wish = { .pool = pool,
			     .gfp = gfp | GFP_OF_POOLS,
			     .deadline = deadline,
			     .site = site,
			     .out = &p,
			     .n = 1 };

	if (!(gfp & __GFP_DIRECT_RECLAIM))
		return stele_pool_take(pool, &p, 1) ? p : NULL;
	if (!others_wait(pool) && stele_pool_take(pool, &p, 1))
		return p;
	p = own_alloc(pool, wish.gfp, site, false);
	if (p)
		return p;
	return wait_in_queue(&wish) ? p : NULL;
}

static __attribute__((noinline)) void *
pool_alloc_any_way(mempool_t *pool, gfp_t gfp, const struct timespec *deadline, const void *site)
{
	void *p;

	if (is_no_pool("mempool_alloc", pool, site))
		return NULL;
	if (gfp & __GFP_ZERO)
		STELE_WARN_SITE_ONCE(
			site, "stele: mempool_alloc: __GFP_ZERO is not for pools: elements of the "
			      "reserve are not cleared");
	p = own_alloc(pool, first_try(gfp), site, false);

	return stele_likely(p != NULL) ? p : pool_alloc_slow(pool, gfp, deadline, site);
}

void *mempool_alloc(mempool_t *pool, gfp_t gfp)
{
	void *p = quick_alloc(pool, gfp);

	return stele_likely(p != NULL) ? p : pool_alloc_any_way(pool, gfp, NULL, STELE_CALLER);
}

void *mempool_alloc_timeout(mempool_t *pool, gfp_t gfp, const struct timespec *deadline)
{
	struct timespec until;

	if (deadline)
		until = in_order(*deadline);
	return pool_alloc_any_way(pool, gfp, deadline ? &until : NULL, STELE_CALLER);
}

void *mempool_alloc_preallocated(mempool_t *pool)
{
	void *p;

	if (is_no_pool("mempool_alloc_preallocated", pool, NULL))
		return NULL;
	return stele_pool_take(pool, &p, 1) ? p : NULL;
}

void *mempool_alloc_noreserve(mempool_t *pool, gfp_t gfp)
{
	if (is_no_pool("mempool_alloc_noreserve", pool, NULL))
		return NULL;
	return own_alloc(pool, gfp | GFP_OF_POOLS, STELE_CALLER, false);
}

int mempool_alloc_bulk(mempool_t *pool, void **elems, unsigned int count)
{
	struct wish wish = { .pool = pool,
			     .gfp = GFP_KERNEL | GFP_OF_POOLS,
			     .site = STELE_CALLER,
			     .out = elems,
			     .n = count };
	unsigned limit;

	if (is_no_pool("mempool_alloc_bulk", pool, NULL))
		return -EINVAL;
	limit = counts_limit(load_relaxed(&inside(pool)->reserve.counts));
	if (count > limit)
		STELE_WARN_SITE_ONCE(wish.site,
				     "stele: mempool_alloc_bulk(%p): %u elements are more than the "
				     "%u that the pool keeps; it may wait for ever",
				     (void *)pool, count, limit);
	while (wish.n && (*wish.out = own_alloc(pool, first_try(wish.gfp), wish.site, true))) {
		wish.out++;
		wish.had++;
		wish.n--;
	}
	if (wish.n && (others_wait(pool) || !stele_pool_take(pool, wish.out, wish.n)))
		wait_in_queue(&wish);
	return 0;
}

/* ---- freeing ---- */

/* No handler leaves between the element's being counted and its being handed over. */
static __attribute__((noinline)) bool put_for_others(mempool_t *pool, void *p)
{
	struct pool *in = inside(pool);
	uint64_t signals = stele_os_signals_hold();
	bool ok = pool_put(pool, p);

	STELE_POINT("mempool:counted");
	if (ok)
		stele_wait_kick(&in->queue, &in->reserve);
	stele_os_signals_release(signals);
	return ok;
}

/* True: it is in the reserve. */
static bool free_to_reserve(mempool_t *pool, void *p)
{
	struct pool *in = inside(pool);

	if (stele_unlikely(others_wait(pool))) {
		if (!put_for_others(pool, p))
			return false;
	} else {
		if (!pool_put(pool, p))
			return false;
		STELE_POINT("mempool:counted");
		/* ORDER(WAITING) sequentially consistent: counted, then looks. */
		if (load_seq(&in->queue.waiting))
			stele_wait_kick(&in->queue, &in->reserve);
	}
	if (stele_unlikely(is_above_limit(load_relaxed(&in->reserve.counts))))
		stele_pool_drop_surplus(pool);
	return true;
}

bool stele_pool_free_slow(void *p, mempool_t *pool, const void *site)
{
	if (is_no_pool("mempool_free", pool, site) || stele_refuse_own("mempool_free", p, site))
		return false;
	if (inside(pool)->checks && !stele_mempool_check_put("mempool_free", pool, p, site))
		return false;
	if (free_to_reserve(pool, p))
		return true;
	pool->free(p, pool->pool_data);
	return false;
}

void mempool_free(void *p, mempool_t *pool)
{
	struct pool *in;
	bool full;

	if (stele_unlikely(!p || !pool)) {
		if (p)
			stele_mempool_report_none("mempool_free", pool, STELE_CALLER);
		return;
	}
	in = inside(pool);
	/* ORDER(MEMPOOL) acquire: the counts as they were after @p was allocated, or later. */
	fence_acquire();
	full = reserve_is_full(load_relaxed(&in->reserve.counts));
	if (stele_likely(full && in->quick))
		kmem_cache_free(pool->pool_data, p); /* a call that the processor foresees */
	else if (full && !in->checks && pool->free)
		pool->free(p, pool->pool_data);
	else
		stele_pool_free_slow(p, pool, STELE_CALLER);
}

unsigned int mempool_free_bulk(mempool_t *pool, void **elems, unsigned int count)
{
	static const char call[] = "mempool_free_bulk";
	const void *site = STELE_CALLER;
	unsigned n = 0;

	if (is_no_pool(call, pool, site))
		return 0;
	fence_acquire(); /* ORDER(MEMPOOL) as in mempool_free() */
	while (n < count &&
	       (!inside(pool)->checks || stele_mempool_check_put(call, pool, elems[n], site)) &&
	       !stele_refuse_own(call, elems[n], site) && free_to_reserve(pool, elems[n]))
		n++;
	return n;
}

/* ---- what it is ---- */

bool mempool_initialized(mempool_t *pool)
{
	return pool && load_relaxed(&inside(pool)->reserve.places) > 0;
}

unsigned int stele_mempool_curr_nr(const mempool_t *pool)
{
	if (!pool)
		return 0;
	return counts_elements(load_relaxed(&inside((mempool_t *)pool)->reserve.counts));
}

bool mempool_is_saturated(mempool_t *pool)
{
	uint64_t counts = pool ? load_relaxed(&inside(pool)->reserve.counts) : 0;

	return counts_elements(counts) >= counts_limit(counts);
}

void stele_mempool_cancellable(mempool_t *pool, bool yes)
{
	if (!is_no_pool("stele_mempool_cancellable", pool, NULL))
		store_relaxed(&inside(pool)->cancellable, yes);
}
