/* SPDX-License-Identifier: MIT */
/*
 * The test passes the library's own structure behind a user's thing (a cache, a pool, a set of
 * buckets, a prefilled sheaf) to every call that frees or resizes: each reports it and does
 * nothing, and the thing works on.
 */
#include "death.h"

#include <stele/mempool.h>
#include <stele/rcu.h>

#include "../toy_flavor.h"

static struct kmem_cache *cache, *other;
static mempool_t *pool;
static kmem_buckets *buckets;
static struct slab_sheaf *sheaf;

struct with_head {
	struct kvfree_rcu_head head;
};

static void make_things(void)
{
	cache = kmem_cache_create("apples", 100, 0, SLAB_NO_MERGE, NULL);
	other = kmem_cache_create("pears", 100, 0, SLAB_NO_MERGE, NULL);
	pool = mempool_create_kmalloc_pool(4, 64);
	buckets = kmem_buckets_create("own", 0, 0, 0, NULL);
	sheaf = kmem_cache_prefill_sheaf(cache, GFP_KERNEL, 10);
	MUST(cache && other && pool && buckets && sheaf);
}

/* Each says one line that ends so; a longer report is told apart. */
static bool refused(const char *call, const void *p, const char *in)
{
	return said("stele: %s(%p): an object of the library itself%s; not freed\n", call, p, in);
}

#define REFUSED(name, call)                                                                        \
	do {                                                                                       \
		said_begin();                                                                      \
		call;                                                                              \
		MUST(refused(name, p, in));                                                        \
	} while (0)

static void by_every_door(void *p, const char *in)
{
	struct with_head *headed = p;
	mempool_t own = { 0 };
	void *bulk[1];

	REFUSED("kfree", kfree(p));
	REFUSED("kfree_nolock", kfree_nolock(p));
	REFUSED("kvfree", kvfree(p));
	REFUSED("kfree_sensitive", kfree_sensitive(p));
	REFUSED("kvfree_sensitive", kvfree_sensitive(p, 64));
	REFUSED("kmem_cache_free", kmem_cache_free(other, p));
	REFUSED("kfree_bulk", (bulk[0] = p, kfree_bulk(1, bulk)));
	REFUSED("kmem_cache_free_bulk", (bulk[0] = p, kmem_cache_free_bulk(other, 1, bulk)));
	REFUSED("kfree_rcu", kfree_rcu(headed, head));
	REFUSED("kfree_rcu_nolock", kfree_rcu_nolock(headed, head));
	REFUSED("kfree_rcu_mightsleep", kvfree_rcu_mightsleep(p));
	MUST(mempool_init_kmalloc_pool(&own, 2, 64) == 0);
	bulk[0] = mempool_alloc_preallocated(&own); /* there is room in the reserve */
	REFUSED("mempool_free", mempool_free(p, &own));
	kfree(bulk[0]);
	bulk[0] = p;
	REFUSED("mempool_free_bulk", MUST(mempool_free_bulk(&own, bulk, 1) == 0));
	MUST(stele_mempool_curr_nr(&own) == 1);
	MUST(mempool_resize(&own, 1) == 0);
	REFUSED("kfree", mempool_free(p, &own)); /* and there is none */
	mempool_exit(&own);
}

static void is_no_allocation(void *p)
{
	stderr_begin(&death_text);
	MUST(ksize(p) == 0);
	MUST(!krealloc(p, 1000, GFP_KERNEL) && !kvrealloc(p, 10, GFP_KERNEL));
	stderr_end(&death_text);
}

static void things_work(void)
{
	struct kmem_cache *third = kmem_cache_create("plums", 100, 0, SLAB_NO_MERGE, NULL);
	void *p = kmem_cache_alloc(cache, GFP_KERNEL), *q = mempool_alloc(pool, GFP_KERNEL);
	void *r = kmem_buckets_alloc(buckets, 100, GFP_KERNEL);

	MUST(third && third != cache && p && q && r);
	MUST(kmem_cache_sheaf_size(sheaf) == 10);
	kmem_cache_free(cache, p);
	mempool_free(q, pool);
	kfree(r);
	kmem_cache_return_sheaf(cache, GFP_KERNEL, sheaf);
	mempool_destroy(pool);
	kmem_buckets_destroy(buckets);
	kmem_cache_destroy(third);
	kmem_cache_destroy(other);
	kmem_cache_destroy(cache);
}

int main(void)
{
	MUST(stele_rcu_set_flavor(&toy_flavor) == 0);
	make_things();
	by_every_door(of_unknown_origin(cache), " in cache 'kmem_cache'");
	by_every_door(of_unknown_origin(pool), " in cache 'stele-own'");
	by_every_door(of_unknown_origin(buckets), " in cache 'stele-own'");
	by_every_door(of_unknown_origin(sheaf), "");
	is_no_allocation(of_unknown_origin(cache));
	is_no_allocation(of_unknown_origin(pool));
	is_no_allocation(of_unknown_origin(sheaf));
	said_begin();
	things_work();
	return !said("%s", "");
}
