/* SPDX-License-Identifier: MIT */
/* A bad call, of every kind: the report names the file and the place in the function that
 * made the call. */
#include "death.h"

#include <dlfcn.h>
#include <errno.h>

#include <stele/mempool.h>

/* Bytes from the start of a function to the call in it. */
#define NEAR 2000

/* Not a tail of the function: the call is to return here. */
#define STAY() __asm__ volatile("" ::: "memory")

#define TOO_MUCH ((uintptr_t)KMALLOC_MAX_SIZE + 1)

static char *object;
static struct kmem_cache *cache;
static mempool_t pool, none;

/* Flat: inline functions of the public headers become a part of it, in debug builds too. */
#define CALLER(name, call)                                                                         \
	static __attribute__((noinline, flatten)) void name(void)                                  \
	{                                                                                          \
		call;                                                                              \
		STAY();                                                                            \
	}

CALLER(by_kfree, kfree(of_unknown_origin(object + 8)))
CALLER(by_kvfree, kvfree(of_unknown_origin(object + 8)))
CALLER(by_kfree_nolock, kfree_nolock(of_unknown_origin(object + 8)))
CALLER(by_kmem_cache_free, kmem_cache_free(cache, of_unknown_origin(object + 8)))
CALLER(by_null, kmem_cache_free(cache, of_unknown_origin(NULL)))
CALLER(by_null_in_bulk, kmem_cache_free_bulk(cache, 1, (void *[]){ of_unknown_origin(NULL) }))
CALLER(by_free_pages, free_pages((unsigned long)object, 0))
CALLER(by_kfree_bulk, kfree_bulk(1, (void *[]){ of_unknown_origin(object + 8) }))
CALLER(by_ksize, MUST(ksize(of_unknown_origin(object + 8)) == 0))
CALLER(by_krealloc_inside, MUST(!krealloc(of_unknown_origin(object + 8), 9, GFP_KERNEL)))
CALLER(by_kmalloc_nolock, kfree_nolock(kmalloc_nolock(64, GFP_ATOMIC, NUMA_NO_NODE)))
CALLER(by_cache_nolock, kfree_nolock(kmem_cache_alloc_nolock(cache, GFP_ATOMIC, NUMA_NO_NODE)))
CALLER(by_kmalloc, MUST(!kmalloc((size_t)of_unknown_origin((void *)TOO_MUCH), GFP_KERNEL)))
CALLER(by_create, MUST(!kmem_cache_create("flags", 64, 0, 0x80000000u, NULL)))
CALLER(by_create_function, MUST(!(kmem_cache_create)("flags", 64, 0, 0x80000000u, NULL)))
CALLER(by_create_twice, MUST(kmem_cache_create("own", 64, NULL, 0)))
CALLER(by_create_space, MUST(kmem_cache_create("two words", 64, NULL, 0)))
CALLER(by_create_flag, MUST(kmem_cache_create("tracked", 64, NULL, SLAB_DEBUG_OBJECTS)))
CALLER(by_create_copied, MUST(kmem_cache_create_usercopy("copied", 96, 0, 0, 90, 10, NULL)))
CALLER(by_buckets, MUST(!kmem_buckets_create("flags", 0x80000000u, 0, 0, NULL)))
CALLER(by_pool_init, MUST(mempool_init_kmalloc_pool(&none, -1, 64) == -EINVAL))
CALLER(by_pool_node,
       MUST(mempool_init_node(&none, 1, mempool_kmalloc, NULL, NULL, 0, 0) == -EINVAL))
CALLER(by_pool_create, MUST(!mempool_create_kmalloc_pool(-1, 64)))
CALLER(by_pool_create_node, MUST(!mempool_create_node(1, NULL, mempool_kfree, NULL, 0, 0)))
CALLER(by_pool_null, MUST(mempool_init_kmalloc_pool(NULL, 1, 64) == -EINVAL))
CALLER(by_pool_resize, MUST(mempool_resize(&pool, -1) == -EINVAL))
CALLER(by_pool_resize_none, MUST(mempool_resize(&none, 1) == -EINVAL))
CALLER(by_pool_alloc, MUST(!mempool_alloc(&none, GFP_KERNEL)))
CALLER(by_pool_preallocated, MUST(!mempool_alloc_preallocated(&none)))
CALLER(by_pool_noreserve, MUST(!mempool_alloc_noreserve(&none, GFP_KERNEL)))
CALLER(by_pool_bulk, MUST(mempool_alloc_bulk(&none, (void *[1]){ NULL }, 1) == -EINVAL))
CALLER(by_pool_free, mempool_free(object, &none))
CALLER(by_pool_free_null, mempool_free(object, of_unknown_origin(NULL)))
CALLER(by_pool_free_bulk, MUST(mempool_free_bulk(&none, (void *[1]){ object }, 1) == 0))
CALLER(by_pool_cancellable, stele_mempool_cancellable(&none, true))
CALLER(by_pool_zero, kfree(mempool_alloc(&pool, GFP_KERNEL | __GFP_ZERO)))
CALLER(by_pool_exit, mempool_exit(&pool))
CALLER(by_align, MUST(!kvmalloc_node_align(64, 24, GFP_KERNEL, NUMA_NO_NODE)))
CALLER(by_krealloc, kfree(krealloc(of_unknown_origin(object), 4000, GFP_KERNEL)))

static uintptr_t base(void)
{
	Dl_info info;

	MUST(dladdr((void *)(uintptr_t)by_kfree, &info));
	return (uintptr_t)info.dli_fbase;
}

/* The last report came from @function of this file. */
static void must_name(void (*function)(void))
{
	const char *plus = strchr(death_text.caller, '+');
	uintptr_t at;

	MUST(death_text.callers == 1 && plus);
	MUST(strncmp(death_text.caller, "death_names_the_caller", 22) == 0);
	at = base() + strtoul(plus + 1, NULL, 16);
	MUST(at > (uintptr_t)function && at < (uintptr_t)function + NEAR);
}

static void expect(void (*function)(void), const char *message)
{
	said_begin();
	function();
	stderr_end(&death_text);
	if (!strstr(death_text.text, message))
		fprintf(stderr, "expected: %s\nsaid:     %s\n", message, death_text.text), exit(1);
	must_name(function);
}

static void pools(void)
{
	expect(by_pool_init, "stele: mempool_init(");
	expect(by_pool_node, "no callback to free");
	expect(by_pool_create, "stele: mempool_init(");
	expect(by_pool_create_node, "no callback to allocate");
	expect(by_pool_null, "stele: mempool_init: 0x0 is not a pool");
	MUST(mempool_init_kmalloc_pool(&pool, 1, 64) == 0);
	expect(by_pool_resize, "stele: mempool_resize(");
	expect(by_pool_resize_none, "stele: mempool_resize: ");
	expect(by_pool_alloc, "stele: mempool_alloc: ");
	expect(by_pool_preallocated, "stele: mempool_alloc_preallocated: ");
	expect(by_pool_noreserve, "stele: mempool_alloc_noreserve: ");
	expect(by_pool_bulk, "stele: mempool_alloc_bulk: ");
	expect(by_pool_free, "stele: mempool_free: ");
	expect(by_pool_free_null, "stele: mempool_free: 0x0 is not a pool");
	expect(by_pool_free_bulk, "stele: mempool_free_bulk: ");
	expect(by_pool_cancellable, "stele: stele_mempool_cancellable: ");
	expect(by_pool_zero, "__GFP_ZERO is not for pools");
	MUST(mempool_alloc_preallocated(&pool));
	expect(by_pool_exit, "1 of 1 elements have not come back");
}

int main(void)
{
	cache = kmem_cache_create("own", 64, 0, SLAB_NO_MERGE | SLAB_CONSISTENCY_CHECKS, NULL);
	object = kmem_cache_alloc(cache, GFP_KERNEL);
	MUST(object && kmem_cache_alloc(cache, GFP_KERNEL)); /* the second keeps the slab */
	expect(by_kfree, "kfree(");
	expect(by_kvfree, "kvfree(");
	expect(by_kfree_nolock, "kfree_nolock(");
	expect(by_kmem_cache_free, "not the start of an object in cache 'own'; not freed");
	expect(by_null, "kmem_cache_free(0x0): NULL is no object; not freed");
	expect(by_null_in_bulk, "kmem_cache_free_bulk(0x0): NULL is no object; not freed");
	expect(by_kfree_bulk, "stele: kfree_bulk(");
	expect(by_ksize, "stele: ksize: ");
	expect(by_krealloc_inside, "stele: krealloc: ");
	expect(by_kmalloc_nolock, "stele: kmalloc_nolock: flags 0x820 are not for this call\n");
	expect(by_cache_nolock, "kmem_cache_alloc_nolock: flags 0x820 are not for this call\n");
	expect(by_kmalloc, "stele: kmalloc: 4194305 bytes are more than the limit of 4194304\n");
	expect(by_align, "stele: kmalloc: alignment 24 is not a power of two\n");
	expect(by_create, "stele: kmem_cache_create(flags) failed with error -22: a flag is");
	expect(by_create_function, "stele: kmem_cache_create(flags) failed with error -22");
	expect(by_create_twice, "kmem_cache_create(own): the name is taken; the cache");
	expect(by_create_space, "kmem_cache_create(two words): the name has a space; the cache");
	expect(by_create_flag, "kmem_cache_create(tracked): SLAB_DEBUG_OBJECTS has no effect");
	expect(by_create_copied, "kmem_cache_create(copied): useroffset 90 and usersize 10");
	expect(by_buckets, "kmem_cache_create(flags-8) failed with error -22");
	expect(by_free_pages, "free_pages(");
	pools();
	kmem_cache_free(cache, object);
	expect(by_krealloc, "object was already free in cache 'own'; not resized");
	return 0;
}
