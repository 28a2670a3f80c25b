/* SPDX-License-Identifier: MIT */
/*
 * mempool/life.c - a pool begins, changes its size, and ends
 *
 * Idea      A pool is filled before another thread sees it. A larger reserve gets its places first,
 *           then its limit, then its elements. A smaller one gets its limit first; the elements
 *           above it go back to the pool's own free.
 *           There is no lock: each step is one compare-and-swap, and of two threads that change
 *           the size at the same time the later one's limit stays.
 * Context   ordinary threads. A thread that stalls or dies between two steps keeps no other.
 * Failure   an error code; a pool that could not be filled does not exist.
 * Tests     tests/contract/test_mempool.c, tests/stress/mempool.c
 */
#include "base/options.h"
#include "kmalloc/kmalloc.h"
#include "mempool/pool.h"
#include "os/os.h"
#include "slab/kmem_cache.h"
#include <errno.h>
#include <string.h>

#define MOST (int)(RESERVE_LIMIT - RESERVE_SPARE)

/* Makes @p the next part, unless another thread was faster. A thread that stops between the two
 * steps delays no other: the next one finds its part, and counts it. True: @p is used. */
static bool add_part(struct reserve *r, unsigned part, unsigned places, void *p)
{
	reserve_place_t *none = NULL;
	/* ORDER(RESERVE) release: the part is empty, and there before its places are counted. */
	bool used = cas_acq_rel(&r->part[part], &none, p);

	STELE_POINT("mempool:part");
	/* ORDER(RESERVE) acquire: another thread's part is empty; release: the part is there. */
	cas_acq_rel(&r->places, &places, reserve_part_start(part) + reserve_part_size(part));
	return used;
}

/* The places of a reserve of @limit elements. Parts that are there stay. */
static int make_places(struct pool *in, unsigned limit, int node)
{
	unsigned wanted = limit + RESERVE_SPARE, places;

	while ((places = load_relaxed(&in->reserve.places)) < wanted) {
		unsigned part = places ? reserve_part(places) : 0;
		size_t bytes = reserve_part_size(part) * sizeof(reserve_place_t);
		void *p = kzalloc_node(bytes, GFP_KERNEL | __GFP_NOWARN, node);

		if (!p)
			return -ENOMEM;
		if (!add_part(&in->reserve, part, places, p))
			kfree(p);
	}
	return 0;
}

/* Allocates the missing elements, as far as that works. */
static void fill_up(mempool_t *pool, gfp_t gfp)
{
	while (!reserve_is_full(load_relaxed(&inside(pool)->reserve.counts))) {
		void *p = pool->alloc(gfp, pool->pool_data);

		if (!p || !stele_pool_free_slow(p, pool, NULL))
			return;
	}
}

static bool valid(const char *call, const mempool_t *pool, int min_nr, int least, const void *site)
{
	if (min_nr >= least && min_nr <= MOST)
		return true;
	stele_say_site(site, "stele: %s(%p): %d elements: not from %d to %d", call,
		       (const void *)pool, min_nr, least, MOST);
	return false;
}

/* Fills a new pool; it is one only when this is 0. */
static int begin_pool(mempool_t *pool, gfp_t gfp, int node)
{
	unsigned limit = pool->min_nr ? (unsigned)pool->min_nr : 1;
	struct pool *in = inside(pool);

	if (make_places(in, limit, node) != 0)
		return -ENOMEM;
	/* After the first allocation: the options are read by then. */
	in->checks = stele_opt.mempool_debug || stele_opt.fail_mempool_alloc ||
		     stele_opt.fail_mempool_alloc_bulk;
	in->bytes = stele_mempool_bytes(pool);
	if (pool->alloc == mempool_alloc_slab && pool->free == mempool_free_slab && !in->checks)
		in->quick = ((struct kmem_cache *)pool->pool_data)->words;
	reserve_set_limit(&in->reserve, limit);
	fill_up(pool, gfp);
	if (mempool_is_saturated(pool))
		return 0;
	/* The elements that were made go back without a report. */
	reserve_set_limit(&in->reserve, stele_mempool_curr_nr(pool));
	return -ENOMEM;
}

/* The program chooses these parts of a pool. */
struct wanted {
	mempool_alloc_t *alloc;
	mempool_free_t *free;
	void *pool_data;
	int min_nr;
};

static bool valid_callbacks(const void *site, const mempool_t *pool, const struct wanted *wanted)
{
	bool slab = wanted->alloc == mempool_alloc_slab;
	const struct kmem_cache *s = wanted->pool_data;
	const char *wrong = NULL;

	if (!wanted->alloc || !wanted->free)
		wrong = wanted->alloc ? "no callback to free" : "no callback to allocate";
	else if (slab && !s)
		wrong = "no cache";
	else if (slab && s->ctor)
		wrong = "the cache has a constructor, and elements of a reserve are not "
			"constructed";
	if (wrong)
		stele_say_site(site, "stele: mempool_init(%p): %s", (const void *)pool, wrong);
	return !wrong;
}

static void exit_pool(mempool_t *pool, const void *site);

static int init_pool(mempool_t *pool, const struct wanted *wanted, gfp_t gfp, int node,
		     const void *site)
{
	int error;

	if (!pool) {
		stele_mempool_report_none("mempool_init", pool, site);
		return -EINVAL;
	}
	if (!valid("mempool_init", pool, wanted->min_nr, 0, site) ||
	    !valid_callbacks(site, pool, wanted))
		return -EINVAL;
	*pool = (mempool_t){ .alloc = wanted->alloc,
			     .free = wanted->free,
			     .pool_data = wanted->pool_data,
			     .min_nr = wanted->min_nr };
	error = begin_pool(pool, gfp, node);
	if (error)
		exit_pool(pool, site);
	return error;
}

int mempool_init_node(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn,
		      mempool_free_t *free_fn, void *pool_data, gfp_t gfp, int node)
{
	const struct wanted wanted = { alloc_fn, free_fn, pool_data, min_nr };

	return init_pool(pool, &wanted, gfp, node, STELE_CALLER);
}

int mempool_init(mempool_t *pool, int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn,
		 void *pool_data)
{
	const struct wanted wanted = { alloc_fn, free_fn, pool_data, min_nr };

	return init_pool(pool, &wanted, GFP_KERNEL, NUMA_NO_NODE, STELE_CALLER);
}

_Static_assert(sizeof(mempool_t) <= STELE_OWN_MAX, "is made there");

static mempool_t *create_pool(const struct wanted *wanted, gfp_t gfp, int node, const void *site)
{
	mempool_t *pool = stele_own_alloc(gfp, node);

	if (pool && init_pool(pool, wanted, gfp, node, site) != 0) {
		stele_own_free(pool);
		return NULL;
	}
	return pool;
}

mempool_t *mempool_create_node(int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn,
			       void *pool_data, gfp_t gfp, int node)
{
	const struct wanted wanted = { alloc_fn, free_fn, pool_data, min_nr };

	return create_pool(&wanted, gfp, node, STELE_CALLER);
}

mempool_t *mempool_create(int min_nr, mempool_alloc_t *alloc_fn, mempool_free_t *free_fn,
			  void *pool_data)
{
	const struct wanted wanted = { alloc_fn, free_fn, pool_data, min_nr };

	return create_pool(&wanted, GFP_KERNEL, NUMA_NO_NODE, STELE_CALLER);
}

int mempool_resize(mempool_t *pool, int new_min_nr)
{
	struct pool *in;
	int error;

	if (is_no_pool("mempool_resize", pool, NULL))
		return -EINVAL;
	if (!valid("mempool_resize", pool, new_min_nr, 1, STELE_CALLER))
		return -EINVAL;
	in = inside(pool);
	error = make_places(in, (unsigned)new_min_nr, NUMA_NO_NODE);
	if (error)
		return error;
	reserve_set_limit(&in->reserve, (unsigned)new_min_nr);
	store_relaxed(&in->was_full, mempool_is_saturated(pool));
	reserve_tell_limit(&in->reserve, &pool->min_nr);
	stele_pool_drop_surplus(pool);
	fill_up(pool, GFP_KERNEL | GFP_OF_POOLS);
	/* A waiter that needs more than there was may find enough now. */
	stele_wait_kick(&in->queue, &in->reserve);
	return 0;
}

static void tell_what_is_out(mempool_t *pool, const void *site)
{
	struct reserve *r = &inside(pool)->reserve;
	unsigned limit = counts_limit(load_relaxed(&r->counts)), out;
	unsigned waiting = stele_wait_count(&inside(pool)->queue);

	out = limit - STELE_MIN(stele_mempool_curr_nr(pool), limit);
	if (out && load_relaxed(&inside(pool)->was_full))
		stele_say_site(site,
			       "stele: mempool_exit(%p): %u of %u elements have not come back",
			       (void *)pool, out, limit);
	if (waiting)
		stele_say_site(site, "stele: mempool_exit(%p): %u threads wait in it", (void *)pool,
			       waiting);
}

static unsigned stored(struct reserve *r)
{
	unsigned n = 0;

	for (unsigned i = 0; i < load_relaxed(&r->places); i++)
		n += load_relaxed(reserve_place(r, i)) != NULL;
	return n;
}

/* A thread that left between two steps may have stored an element, or spoken for a place, that is
 * never counted: so there may be more of both than the counts need. */
const char *stele_pool_valid(mempool_t *pool)
{
	struct reserve *r = &inside(pool)->reserve;
	uint64_t counts = load_relaxed(&r->counts);

	STELE_HOLDS(counts_elements(counts) <= counts_places(counts),
		    "pool: more elements than places are spoken for");
	STELE_HOLDS(counts_limit(counts) <= load_relaxed(&r->places),
		    "pool: the limit is above the places that exist");
	STELE_HOLDS(counts_elements(counts) <= stored(r),
		    "pool: more elements are counted than are there");
	return NULL;
}

static void exit_pool(mempool_t *pool, const void *site)
{
	struct reserve *r;
	void *p;

	if (!pool || !pool->alloc)
		return;
	r = &inside(pool)->reserve;
	STELE_SOUND(stele_pool_valid(pool));
	tell_what_is_out(pool, site);
	stele_wait_forget(&inside(pool)->queue);
	while (stele_pool_take(pool, &p, 1))
		pool->free(p, pool->pool_data);
	for (unsigned part = 0; part < RESERVE_PARTS; part++)
		kfree((void *)load_relaxed(&r->part[part]));
	memset(pool, 0, sizeof(*pool));
}

void mempool_exit(mempool_t *pool)
{
	exit_pool(pool, STELE_CALLER);
}

void mempool_destroy(mempool_t *pool)
{
	if (!pool)
		return;
	exit_pool(pool, STELE_CALLER);
	stele_own_free(pool);
}
