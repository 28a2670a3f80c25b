/* SPDX-License-Identifier: MIT */
/*
 * stele/slab.h - caches of typed objects, and kmalloc on top of them
 *
 * Idea      The Linux kernel's slab interface for programs. A cache hands out objects of
 *           one size (and, with a constructor, of one state); the kmalloc family is a row
 *           of ready caches plus page runs for what is larger.
 * Context   "any" is async-signal-safe: a signal handler may make the call even if it interrupted
 *           this library at any instruction. "control" is for ordinary threads: the call takes
 *           locks and must not run in a signal handler.
 * Order     A free happens before the next allocation of the same memory, on every route.
 *           A thread may publish a new object's address, even with a relaxed store; another
 *           thread that reads the address may free the object.
 * Failure   NULL. The kmalloc family returns ZERO_SIZE_PTR, not NULL, for size 0.
 *           A bad pointer is reported on stderr with the call's name and not followed.
 * Source    the contract of Linux 7.3; docs/porting.md has what older kernels did otherwise.
 * errno     No call here changes it: the interface is the kernel's.
 * Unlike    the kernel: size classes are finer (at most 12.5 % waste above 128 bytes), so
 *           ksize() may be smaller. KMALLOC_MAX_CACHE_SIZE is 32 KiB; above it a request
 *           takes exactly the pages it needs, not a power of two of them, and is aligned to
 *           a page. One row of kmalloc caches serves all flags. "vmalloc" memory is a page run
 *           like any other, so kfree() takes it too. The free list is not in the objects, so a
 *           freed object keeps its bytes until its next owner writes them.
 */
#ifndef STELE_SLAB_H
#define STELE_SLAB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <stele/compiler.h>
#include <stele/gfp.h>

STELE_EXTERN_C_BEGIN

/* ---- numbers -------------------------------------------------------------------------- */

/* The result for size 0: neither NULL nor memory. Touching it faults; every free ignores it. */
#define ZERO_SIZE_PTR ((void *)16)
#define ZERO_OR_NULL_PTR(x) ((uintptr_t)(x) <= (uintptr_t)ZERO_SIZE_PTR)

/*
 * Alignment of the kmalloc family: at least this; a power of two up to
 * KMALLOC_MAX_CACHE_SIZE: at least the size; any other size up to there: at least the
 * largest power of two that divides its bucket (96 -> 32); above: a page.
 */
#define ARCH_KMALLOC_MINALIGN 8
#define ARCH_SLAB_MINALIGN 8
#define KMALLOC_MIN_SIZE 8

#define KMALLOC_MAX_CACHE_SIZE ((size_t)32768)
#define KMALLOC_MAX_SIZE ((size_t)4194304)

/* The largest object of a cache; half of what the kernel takes. */
#define KMEM_CACHE_MAX_SIZE ((size_t)2097152)

/* ---- flags of a cache ----------------------------------------------------------------- */

typedef unsigned int slab_flags_t;

/*
 * Debugging, per cache (stele/debug.h). Each of the first five takes the cache's sheaves away, so
 * that every call goes to the slab and a double free is seen at once. STELE_DEBUG in the
 * environment adds flags to those that a program gives.
 */
#define SLAB_CONSISTENCY_CHECKS ((slab_flags_t)0x00000001u) /* each call checks its object */
#define SLAB_RED_ZONE ((slab_flags_t)0x00000002u)	    /* zones around each object */
#define SLAB_POISON ((slab_flags_t)0x00000004u)		    /* free objects are filled */
#define SLAB_STORE_USER ((slab_flags_t)0x00000008u)	    /* keep who allocated and freed */
#define SLAB_TRACE ((slab_flags_t)0x00000010u)		    /* a line for each call */
#define SLAB_FAILSLAB ((slab_flags_t)0x00000020u) /* not accepted: see stele_fault_cache() */

/* Layout. */
#define SLAB_HWCACHE_ALIGN ((slab_flags_t)0x00000100u) /* objects on cache lines */
#define SLAB_CACHE_DMA ((slab_flags_t)0x00000200u)     /* accepted, no effect */
#define SLAB_CACHE_DMA32 ((slab_flags_t)0x00000400u)   /* accepted, no effect */

/* Life. */
#define SLAB_PANIC ((slab_flags_t)0x00001000u) /* abort when the cache cannot be created */
#define SLAB_TYPESAFE_BY_RCU                                                                       \
	((slab_flags_t)0x00002000u) /* memory stays an object of this cache while readers look */
#define SLAB_DESTROY_BY_RCU SLAB_TYPESAFE_BY_RCU
#define SLAB_RECLAIM_ACCOUNT ((slab_flags_t)0x00004000u) /* accepted, no effect */
#define SLAB_TEMPORARY SLAB_RECLAIM_ACCOUNT
#define SLAB_ACCOUNT ((slab_flags_t)0x00008000u) /* accepted, no effect */

/* Identity and tools. */
#define SLAB_NO_MERGE ((slab_flags_t)0x00010000u)      /* never share slabs with another cache */
#define SLAB_NO_USER_FLAGS ((slab_flags_t)0x00020000u) /* STELE_DEBUG does not add flags */
#define SLAB_KMALLOC ((slab_flags_t)0x00040000u)       /* one of the kmalloc row */
#define SLAB_NOLEAKTRACE ((slab_flags_t)0x00080000u)   /* forbids merging, nothing else */
#define SLAB_DEBUG_OBJECTS ((slab_flags_t)0x00100000u) /* accepted, no effect: a warning */

#define SLAB_DEBUG_FLAGS                                                                           \
	(SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER | SLAB_TRACE)

/* The flags that a caller of kmem_cache_create() may pass; any other bit fails with -EINVAL. */
#define SLAB_FLAGS_PERMITTED                                                                       \
	(SLAB_DEBUG_FLAGS | SLAB_HWCACHE_ALIGN | SLAB_CACHE_DMA | SLAB_CACHE_DMA32 | SLAB_PANIC |  \
	 SLAB_TYPESAFE_BY_RCU | SLAB_RECLAIM_ACCOUNT | SLAB_ACCOUNT | SLAB_NO_MERGE |              \
	 SLAB_NO_USER_FLAGS | SLAB_KMALLOC | SLAB_NOLEAKTRACE | SLAB_DEBUG_OBJECTS)

/* ---- caches --------------------------------------------------------------------------- */

struct kmem_cache;
struct rcu_flavor_struct; /* liburcu's */
struct slab_sheaf;
struct list_lru;

/**
 * struct kmem_cache_args - rarely needed properties of a cache; all zero is the default
 * @align:          alignment in bytes, a power of two, or 0 for the smallest
 * @useroffset:     start of the part of an object that may be copied to other trust domains
 * @usersize:       its length; a pair outside the object counts as 0, 0 with a warning
 * @freeptr_offset: accepted for caches with a constructor or SLAB_TYPESAFE_BY_RCU; must be
 *                  inside the object and word aligned. Nothing is ever stored there.
 * @use_freeptr_offset: freeptr_offset counts, 0 included
 * @ctor:           run once per object when its slab is made, not at each allocation. It runs
 *                  in the call that needs the slab, perhaps in a signal handler. The object
 *                  must be freed in constructed state.
 * @sheaf_capacity: objects that a sheaf of this cache must hold at least; more than 123 count as
 *                  123. Forbids merging.
 * @dtor:           run once per object when its slab is given back (not in the kernel's
 *                  struct since 2006). It runs where the last object was freed or the cache
 *                  was shrunk, perhaps in a signal handler. It may allocate and free, but not free
 *                  to its own cache.
 * @rcu_flavor:     the flavour of this cache's readers, for SLAB_TYPESAFE_BY_RCU and kfree_rcu();
 *                  NULL: the process's flavour (stele/rcu.h). Forbids merging.
 */
struct kmem_cache_args {
	unsigned int align;
	unsigned int useroffset;
	unsigned int usersize;
	unsigned int freeptr_offset;
	bool use_freeptr_offset;
	void (*ctor)(void *object);
	unsigned int sheaf_capacity;
	void (*dtor)(void *object);
	const struct rcu_flavor_struct *rcu_flavor;
};

/**
 * kmem_cache_create - make a cache
 * @name:   copied; shown in reports and slabinfo. A name that is in use, or has a space in it,
 *          only causes a warning
 * @size:   bytes of an object, 1 to KMEM_CACHE_MAX_SIZE
 * then either
 * @args:   struct kmem_cache_args *, or NULL for the defaults
 * @flags:  SLAB_*
 * or, the older form,
 * @align:  as in struct kmem_cache_args
 * @flags:  SLAB_*
 * @ctor:   as in struct kmem_cache_args, or NULL
 *
 * Return:  a cache, or NULL after a message "kmem_cache_create(NAME) failed with error N";
 *          with SLAB_PANIC the program aborts instead. It may be an existing cache of equal
 *          layout (merging): SLAB_NO_MERGE forbids that.
 * Context: control.
 * Note:    the function behind the macro, for other languages and for pointers, is the older form.
 * Promise: contract 21 and 22 (docs/contract.md).
 */
STELE_API STELE_MUST_CHECK struct kmem_cache *
kmem_cache_create_args(const char *name, size_t size, const struct kmem_cache_args *args,
		       slab_flags_t flags);
STELE_API STELE_MUST_CHECK struct kmem_cache *kmem_cache_create(const char *name, size_t size,
								unsigned int align,
								slab_flags_t flags,
								void (*ctor)(void *object));

/**
 * kmem_cache_create_usercopy - kmem_cache_create() with its older form and a copyable part
 *
 * Context: control.
 */
static inline STELE_MUST_CHECK struct kmem_cache *
kmem_cache_create_usercopy(const char *name, size_t size, unsigned int align, slab_flags_t flags,
			   unsigned int useroffset, unsigned int usersize,
			   void (*ctor)(void *object))
{
	struct kmem_cache_args args;

	memset(&args, 0, sizeof(args));
	args.align = align;
	args.useroffset = useroffset;
	args.usersize = usersize;
	args.ctor = ctor;
	return kmem_cache_create_args(name, size, &args, flags);
}

/**
 * kmem_cache_destroy - end a cache
 * @s: the cache, or NULL
 *
 * If objects are still live, the call reports that ("kmem_cache_destroy NAME: Slab cache still has
 * objects"), with the addresses of up to 16 of them. The cache leaves the list but stays in memory,
 * so that those objects remain valid. A merged cache only loses this user. A destructor, a step of
 * stele/cpu.h and a holder of cpus_read_lock() may call it: the same thread then empties the cache
 * when it is out of there.
 *
 * If another thread is at the cache, in a destructor or on behalf of stele_trim(), the call waits for
 * it for some seconds. Then it reports that, and leaves the cache to that thread. A call that comes
 * from such a place itself does not wait: each of the two threads could wait for the other.
 * Context: control. No thread may use @s during or after the call.
 * Promise: contract 25 and 30 (docs/contract.md).
 */
STELE_API void kmem_cache_destroy(struct kmem_cache *s);

/**
 * kmem_cache_shrink - give back every page that holds no live object
 *
 * Return:  0 when no slab is left, 1 when some are.
 * Context: control. Others may use the cache meanwhile.
 * Promise: contract 24 (docs/contract.md).
 */
STELE_API int kmem_cache_shrink(struct kmem_cache *s);

/**
 * kmem_cache_size - bytes usable in each object; after merging maybe more than asked for
 *
 * Context: any.
 */
STELE_API unsigned int kmem_cache_size(struct kmem_cache *s);

/** slab_is_available - whether memory can be allocated. Context: any. */
STELE_API bool slab_is_available(void);

/* ---- objects of a cache --------------------------------------------------------------- */

/**
 * kmem_cache_alloc - take an object
 * @s:   the cache
 * @gfp: __GFP_ZERO clears it; an object with a constructor stays as made, with one warning
 *
 * Return:  the object, or NULL when there is no memory.
 * Context: any.
 * Promise: contract 1 and 7 (docs/contract.md).
 */
STELE_API STELE_MALLOC STELE_MUST_CHECK void *kmem_cache_alloc(struct kmem_cache *s, gfp_t gfp);

/**
 * kmem_cache_alloc_node - take an object, preferably of one node's memory
 * @node: node number, or NUMA_NO_NODE. With __GFP_THISNODE that node or NULL.
 *
 * Context: any.
 */
STELE_API STELE_MALLOC STELE_MUST_CHECK void *kmem_cache_alloc_node(struct kmem_cache *s, gfp_t gfp,
								    int node);

/**
 * kmem_cache_alloc_nolock - kmem_cache_alloc() under the rules of kmalloc_nolock()
 * @gfp:  as for kmalloc_nolock()
 * @node: preferred node, or NUMA_NO_NODE
 *
 * Return:  the object, or NULL when there is no memory; a cache has no next larger bucket.
 * Context: any.
 * Free:    kfree_nolock(), kfree(), kmem_cache_free().
 */
STELE_API STELE_MALLOC STELE_MUST_CHECK void *kmem_cache_alloc_nolock(struct kmem_cache *s,
								      gfp_t gfp, int node);

/** kmem_cache_zalloc - kmem_cache_alloc() of a cleared object. Context: any. */
static inline STELE_MUST_CHECK void *kmem_cache_zalloc(struct kmem_cache *s, gfp_t gfp)
{
	return kmem_cache_alloc(s, gfp | __GFP_ZERO);
}

/**
 * kmem_cache_alloc_lru - kmem_cache_alloc(); @lru is where the object will be listed
 *
 * Context: any.
 */
static inline STELE_MUST_CHECK void *kmem_cache_alloc_lru(struct kmem_cache *s,
							  struct list_lru *lru, gfp_t gfp)
{
	(void)lru;
	return kmem_cache_alloc(s, gfp);
}

/**
 * kmem_cache_free - give an object back
 * @s: the cache it came from. An object of another cache is reported and kept.
 * @p: the object. NULL is not allowed (kfree() takes NULL).
 *
 * Context: any.
 * Promise: contract 2, 3 and 5 (docs/contract.md).
 */
STELE_API void kmem_cache_free(struct kmem_cache *s, void *p);

/**
 * kmem_cache_alloc_bulk - take @n objects at once, or none
 * @p: array of @n pointers; its old content does not matter, and on failure it is garbage
 *
 * Return:  true: all of them. false: none (and for n == 0).
 * Context: any.
 * Source:  Linux 7.3. Up to 6.12 this was an int, the number of objects: `== n` compiles and is
 *          wrong here; `if (!kmem_cache_alloc_bulk(...))` is right under both.
 * Promise: contract 26 (docs/contract.md).
 */
STELE_API STELE_MUST_CHECK bool kmem_cache_alloc_bulk(struct kmem_cache *s, gfp_t gfp, size_t n,
						      void **p);

/**
 * kmem_cache_free_bulk - give @n objects back at once
 * @s: their cache, or NULL: any mix of objects of caches and of the kmalloc family
 * @p: no entry NULL or ZERO_SIZE_PTR; the array may come back in another order
 *
 * Context: any.
 */
STELE_API void kmem_cache_free_bulk(struct kmem_cache *s, size_t n, void **p);

/** kfree_bulk - kmem_cache_free_bulk() without a cache. Context: any. */
static inline void kfree_bulk(size_t n, void **p)
{
	kmem_cache_free_bulk(NULL, n, p);
}

/**
 * kmem_cache_prefill_sheaf - take objects in advance for code that must not fail
 * @n: objects promised; may exceed the cache's sheaf capacity
 *
 * Return:  a sheaf with at least @n objects, or NULL: no memory, n == 0, or their pointers are more
 *          than KMALLOC_MAX_SIZE.
 * Context: any; the sheaf belongs to the caller until it is returned.
 * Promise: contract 27 (docs/contract.md).
 */
STELE_API STELE_MUST_CHECK struct slab_sheaf *kmem_cache_prefill_sheaf(struct kmem_cache *s,
								       gfp_t gfp, unsigned int n);

/**
 * kmem_cache_refill_sheaf - have @n objects in *@sheaf again
 * @sheaf: replaced when it is too small for @n
 *
 * Return:  0: it holds at least @n. -ENOMEM: it may have gained some. -EINVAL: no sheaf.
 * Context: any.
 */
STELE_API STELE_MUST_CHECK int kmem_cache_refill_sheaf(struct kmem_cache *s, gfp_t gfp,
						       struct slab_sheaf **sheaf, unsigned int n);

/** kmem_cache_return_sheaf - give a sheaf and the objects in it back. Context: any. */
STELE_API void kmem_cache_return_sheaf(struct kmem_cache *s, gfp_t gfp, struct slab_sheaf *sheaf);

/**
 * kmem_cache_alloc_from_sheaf - take an object out of a prefilled sheaf
 * @gfp: __GFP_ZERO and __GFP_ACCOUNT only
 *
 * Return:  an object in each of the first n calls after a fill with n; NULL once the sheaf is
 *          empty. The call never asks the cache itself.
 * Context: any, but only one user of a sheaf at a time.
 */
STELE_API STELE_MALLOC STELE_MUST_CHECK void *
kmem_cache_alloc_from_sheaf(struct kmem_cache *s, gfp_t gfp, struct slab_sheaf *sheaf);

/** kmem_cache_sheaf_size - objects left in a sheaf. Context: any. */
STELE_API unsigned int kmem_cache_sheaf_size(struct slab_sheaf *sheaf);

/**
 * kmem_cache_charge - account @p afterwards. Nothing is accounted yet: always true
 *
 * Context: any.
 */
STELE_API bool kmem_cache_charge(void *p, gfp_t gfp);

/* ---- kmalloc -------------------------------------------------------------------------- */

/**
 * kmalloc - allocate memory
 * @size: bytes
 * @gfp:  GFP_*
 *
 * Return:  memory of at least @size bytes (alignment: see ARCH_KMALLOC_MINALIGN); for 0
 *          ZERO_SIZE_PTR; above KMALLOC_MAX_SIZE NULL, with one message per process
 *          unless __GFP_NOWARN; NULL when there is no memory.
 * Context: any.
 * Free:    kfree().
 * Promise: contract 15 and 16 (docs/contract.md).
 */
STELE_API STELE_MALLOC STELE_ALLOC_SIZE(1) STELE_MUST_CHECK void *kmalloc(size_t size, gfp_t gfp);

/** kmalloc_node - kmalloc(), preferably from one node's memory. Context: any. */
STELE_API STELE_MALLOC STELE_ALLOC_SIZE(1) STELE_MUST_CHECK
	void *kmalloc_node(size_t size, gfp_t gfp, int node);

/**
 * kzalloc - kmalloc() of zeroes
 *
 * The whole bucket is cleared, not only @size bytes, so that a later
 * krealloc(..., __GFP_ZERO) finds zeroes where it grows.
 *
 * Context: any.
 */
static inline STELE_ALLOC_SIZE(1) STELE_MUST_CHECK void *kzalloc(size_t size, gfp_t gfp)
{
	return kmalloc(size, gfp | __GFP_ZERO);
}

static inline STELE_ALLOC_SIZE(1) STELE_MUST_CHECK
	void *kzalloc_node(size_t size, gfp_t gfp, int node)
{
	return kmalloc_node(size, gfp | __GFP_ZERO, node);
}

/* The _track_caller forms exist for source compatibility. SLAB_STORE_USER records the function that calls
 * them, as with kmalloc(), and not the caller of that function. */
static inline STELE_ALLOC_SIZE(1) STELE_MUST_CHECK
	void *kmalloc_track_caller(size_t size, gfp_t gfp)
{
	return kmalloc(size, gfp);
}

static inline STELE_ALLOC_SIZE(1) STELE_MUST_CHECK
	void *kmalloc_node_track_caller(size_t size, gfp_t gfp, int node)
{
	return kmalloc_node(size, gfp, node);
}

/**
 * kfree - give memory back
 * @p: from kmalloc(), kmalloc_nolock(), kvmalloc(), kmem_cache_alloc() and their kin; NULL
 *     and ZERO_SIZE_PTR do nothing. Anything else is reported and left alone.
 *
 * Context: any.
 * Promise: contract 2, 3 and 5 (docs/contract.md).
 */
STELE_API void kfree(const void *p);

/** kfree_sensitive - overwrite all ksize(@p) bytes with zeroes, then kfree(). Context: any. */
STELE_API void kfree_sensitive(const void *p);

/**
 * ksize - usable bytes at @p; 0 for NULL and ZERO_SIZE_PTR
 *
 * To use the slack, ask for kmalloc_size_roundup() bytes in the first place.
 *
 * Context: any.
 * Promise: contract 18 (docs/contract.md).
 */
STELE_API size_t ksize(const void *p);

/**
 * kmalloc_size_roundup - the value of ksize(kmalloc(@size))
 *
 * Return: 0 for 0; @size itself above KMALLOC_MAX_SIZE.
 * Context: any.
 */
STELE_API size_t kmalloc_size_roundup(size_t size);

/**
 * kmem_dump_obj - print the cache and the object of an address on stderr
 * @p: any address, also inside an object or behind its end
 *
 * Prints " slab NAME start ADDR pointer offset N size N".
 * Return:  true when @p lies in a live object's slab; true or false for a freed object.
 * Context: any.
 */
STELE_API bool kmem_dump_obj(void *p);

/**
 * kmalloc_nolock - allocate from any context
 * @size:  bytes; 0 gives ZERO_SIZE_PTR, more than KMALLOC_MAX_CACHE_SIZE gives NULL
 * @gfp:   __GFP_ZERO and __GFP_ACCOUNT; __GFP_NOWARN and __GFP_NOMEMALLOC are implied. Any
 *         other bit causes one warning, and has the effect that it has in kmalloc_node().
 * @node:  preferred node, or NUMA_NO_NODE
 *
 * Return:  the object (perhaps from the next larger bucket), or NULL when there is no
 *          memory. NULL is never "try again".
 * Context: any, also a signal handler that interrupted the allocator. Never waits, never
 *          reclaims, preserves errno. Moves at most one sheaf or one object at a time. Only a
 *          constructor, clearing, and opening or searching areas of pages can take long.
 * Free:    kfree_nolock(), kfree().
 * Source:  Linux kmalloc_nolock(); differs in that a busy lock is never a reason for NULL.
 * Promise: contract 8 and 9 (docs/contract.md).
 */
STELE_API STELE_MALLOC STELE_ALLOC_SIZE(1) STELE_MUST_CHECK
	void *kmalloc_nolock(size_t size, gfp_t gfp, int node);

/**
 * kfree_nolock - kfree() in bounded time, for any context
 * @p: of kmalloc_nolock(), kmem_cache_alloc_nolock(), kmalloc() or kmem_cache_alloc(). NULL and
 *     ZERO_SIZE_PTR do nothing. Memory above KMALLOC_MAX_CACHE_SIZE is refused with one
 *     message and left alone.
 *
 * When the call returns, the object is free and can be allocated again; its bytes are unchanged.
 * A slab that the call made empty stays until the next ordinary call that misses its sheaf,
 * kmem_cache_shrink(), or stele_deferred_barrier(). These run destructors and give memory back.
 * Context: any. Never waits, makes no system call except for a report, preserves errno.
 * Source:  Linux kfree_nolock(). Differs in that it takes objects of kmalloc(), and in that the
 *          free itself is not deferred.
 * Promise: contract 10 (docs/contract.md).
 */
STELE_API void kfree_nolock(const void *p);

/**
 * stele_deferred_barrier - finish the work that _nolock calls deferred
 *
 * Slabs that earlier calls of kfree_nolock() made empty are retired when it returns, unless they
 * are in use again. Pages that free_pages_nolock() gave back are within the budget of resident
 * free pages. kmem_cache_shrink() and kmem_cache_destroy() call it first.
 * Context: control. Several threads may call it at a time; each returns when its own condition
 *          holds.
 * Source:  Linux deferred_work_barrier(), which is internal there.
 */
STELE_API void stele_deferred_barrier(void);

/* ---- arrays --------------------------------------------------------------------------- */

/*
 * Products and sums that stay at SIZE_MAX when they overflow: every allocator refuses that size,
 * so an overflow gives NULL and not a short object.
 */
static inline size_t stele_size_none(void)
{
	size_t none = SIZE_MAX;

	/* Unseen by the compiler, which would warn of an allocation that large. */
	__asm__("" : "+r"(none));
	return none;
}

static inline size_t stele_size_mul(size_t a, size_t b)
{
	size_t r;

	return __builtin_mul_overflow(a, b, &r) ? stele_size_none() : r;
}

static inline size_t stele_size_add(size_t a, size_t b)
{
	size_t r;

	return __builtin_add_overflow(a, b, &r) ? stele_size_none() : r;
}

/**
 * kmalloc_array - kmalloc() of @n elements of @size bytes
 *
 * Return:  as kmalloc(); NULL, silently, when n * size overflows.
 * Context: any.
 */
static inline STELE_ALLOC_SIZE2(1, 2) STELE_MUST_CHECK
	void *kmalloc_array(size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : kmalloc(bytes, gfp);
}

static inline STELE_ALLOC_SIZE2(1, 2) STELE_MUST_CHECK
	void *kmalloc_array_node(size_t n, size_t size, gfp_t gfp, int node)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : kmalloc_node(bytes, gfp, node);
}

/** kcalloc - kmalloc_array() of zeroes. Context: any. */
static inline STELE_ALLOC_SIZE2(1, 2) STELE_MUST_CHECK
	void *kcalloc(size_t n, size_t size, gfp_t gfp)
{
	return kmalloc_array(n, size, gfp | __GFP_ZERO);
}

static inline STELE_ALLOC_SIZE2(1, 2) STELE_MUST_CHECK
	void *kcalloc_node(size_t n, size_t size, gfp_t gfp, int node)
{
	return kmalloc_array_node(n, size, gfp | __GFP_ZERO, node);
}

/* ---- changing size -------------------------------------------------------------------- */

/**
 * krealloc - change the size of an allocation
 * @p:    from the kmalloc family; NULL or ZERO_SIZE_PTR: like kmalloc()
 * @size: new size; 0 frees @p and returns ZERO_SIZE_PTR
 * @gfp:  with __GFP_ZERO the added bytes read as zero, provided that *every* earlier call on
 *        this allocation had __GFP_ZERO too (the library does not remember requested sizes)
 *
 * Stays in place whenever the bucket is large enough; keeps min(old, new) bytes.
 * Return:  the memory, perhaps at another address; NULL: no memory, and @p is still valid.
 * Context: any; no other thread may use @p during the call.
 * Promise: contract 19 (docs/contract.md).
 */
STELE_API STELE_ALLOC_SIZE(2) STELE_MUST_CHECK
	void *krealloc(const void *p, size_t size, gfp_t gfp);

/**
 * krealloc_node_align - krealloc() with an alignment and a preferred node
 * @align: a power of two, or 0 or 1 for none; memory with a smaller alignment is moved
 * @node:  preferred node of memory that is moved. With __GFP_THISNODE memory on another node is
 *         always moved to this one.
 *
 * Context: any.
 */
STELE_API STELE_ALLOC_SIZE(2) STELE_MUST_CHECK
	void *krealloc_node_align(const void *p, size_t size, size_t align, gfp_t gfp, int node);

static inline STELE_ALLOC_SIZE(2) STELE_MUST_CHECK
	void *krealloc_node(const void *p, size_t size, gfp_t gfp, int node)
{
	return krealloc_node_align(p, size, 1, gfp, node);
}

/**
 * krealloc_array - krealloc() to @n elements; on overflow NULL, and @p is untouched
 *
 * Context: any.
 */
static inline STELE_ALLOC_SIZE2(2, 3) STELE_MUST_CHECK
	void *krealloc_array(void *p, size_t n, size_t size, gfp_t gfp)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : krealloc(p, bytes, gfp);
}

/* ---- kvmalloc: buckets when small, page runs when large ------------------------------- */

/**
 * kvmalloc_node_align - allocate up to INT_MAX bytes
 * @align: a power of two, or 0 or 1 for the alignment of kmalloc()
 *
 * A request of more than a page that its bucket cannot serve is tried again as a page run.
 * Return:  as kmalloc(); above INT_MAX NULL, with one message unless __GFP_NOWARN.
 * Context: any.
 * Free:    kvfree(), or kfree().
 */
STELE_API STELE_MALLOC STELE_ALLOC_SIZE(1) STELE_MUST_CHECK
	void *kvmalloc_node_align(size_t size, size_t align, gfp_t gfp, int node);

static inline STELE_ALLOC_SIZE(1) STELE_MUST_CHECK
	void *kvmalloc_node(size_t size, gfp_t gfp, int node)
{
	return kvmalloc_node_align(size, 1, gfp, node);
}

static inline STELE_ALLOC_SIZE(1) STELE_MUST_CHECK void *kvmalloc(size_t size, gfp_t gfp)
{
	return kvmalloc_node_align(size, 1, gfp, NUMA_NO_NODE);
}

static inline STELE_ALLOC_SIZE(1) STELE_MUST_CHECK
	void *kvzalloc_node(size_t size, gfp_t gfp, int node)
{
	return kvmalloc_node(size, gfp | __GFP_ZERO, node);
}

static inline STELE_ALLOC_SIZE(1) STELE_MUST_CHECK void *kvzalloc(size_t size, gfp_t gfp)
{
	return kvmalloc(size, gfp | __GFP_ZERO);
}

static inline STELE_ALLOC_SIZE2(1, 2) STELE_MUST_CHECK
	void *kvmalloc_array_node(size_t n, size_t size, gfp_t gfp, int node)
{
	size_t bytes;

	return __builtin_mul_overflow(n, size, &bytes) ? NULL : kvmalloc_node(bytes, gfp, node);
}

static inline STELE_ALLOC_SIZE2(1, 2) STELE_MUST_CHECK
	void *kvmalloc_array(size_t n, size_t size, gfp_t gfp)
{
	return kvmalloc_array_node(n, size, gfp, NUMA_NO_NODE);
}

static inline STELE_ALLOC_SIZE2(1, 2) STELE_MUST_CHECK
	void *kvcalloc_node(size_t n, size_t size, gfp_t gfp, int node)
{
	return kvmalloc_array_node(n, size, gfp | __GFP_ZERO, node);
}

static inline STELE_ALLOC_SIZE2(1, 2) STELE_MUST_CHECK
	void *kvcalloc(size_t n, size_t size, gfp_t gfp)
{
	return kvmalloc_array(n, size, gfp | __GFP_ZERO);
}

/**
 * kvrealloc_node_align - krealloc_node_align() up to INT_MAX bytes
 *
 * Context: any; not beside itself or kvfree() on the same memory.
 */
STELE_API STELE_ALLOC_SIZE(2) STELE_MUST_CHECK
	void *kvrealloc_node_align(const void *p, size_t size, size_t align, gfp_t gfp, int node);

static inline STELE_ALLOC_SIZE(2) STELE_MUST_CHECK
	void *kvrealloc_node(const void *p, size_t size, gfp_t gfp, int node)
{
	return kvrealloc_node_align(p, size, 1, gfp, node);
}

static inline STELE_ALLOC_SIZE(2) STELE_MUST_CHECK
	void *kvrealloc(const void *p, size_t size, gfp_t gfp)
{
	return kvrealloc_node_align(p, size, 1, gfp, NUMA_NO_NODE);
}

/** kvfree - give back memory of the kvmalloc or the kmalloc family. Context: any. */
STELE_API void kvfree(const void *p);

/** kvfree_atomic - kvfree(), under the name that says "I may not wait". Context: any. */
static inline void kvfree_atomic(const void *p)
{
	kvfree(p);
}

/** kvfree_sensitive - overwrite @len bytes with zeroes, then kvfree(). Context: any. */
STELE_API void kvfree_sensitive(const void *p, size_t len);

/* ---- own buckets ---------------------------------------------------------------------- */

/*
 * A kmem_buckets is a private kmalloc: a set of caches "NAME-SIZE" that are never merged, so that
 * its objects share slabs with no other objects.
 */
typedef struct kmem_buckets kmem_buckets;

/**
 * kmem_buckets_create - make a set of buckets
 * @name:       prefix of the caches' names
 * @flags:      SLAB_*, for each cache
 * @useroffset: @usersize: copyable part, cut to each bucket
 * @ctor:       for each object of each bucket, or NULL
 *
 * Return:  the set, or NULL after a message.
 * Context: control.
 */
STELE_API STELE_MUST_CHECK kmem_buckets *kmem_buckets_create(const char *name, slab_flags_t flags,
							     unsigned int useroffset,
							     unsigned int usersize,
							     void (*ctor)(void *object));

/**
 * kmem_buckets_destroy - end a set of buckets, as kmem_cache_destroy() ends a cache
 * @b: the set, or NULL
 *
 * Context: control.
 */
STELE_API void kmem_buckets_destroy(kmem_buckets *b);

/**
 * kmem_buckets_alloc - kmalloc() out of a set of buckets
 * @b: the set; NULL or ZERO_SIZE_PTR: plain kmalloc()
 *
 * Sizes above KMALLOC_MAX_CACHE_SIZE are page runs, as for kmalloc().
 * Context: any.
 * Free:    kfree().
 */
STELE_API STELE_MALLOC STELE_ALLOC_SIZE(2) STELE_MUST_CHECK
	void *kmem_buckets_alloc(kmem_buckets *b, size_t size, gfp_t gfp);

/** kmem_buckets_valloc - kvmalloc() out of a set of buckets; freed with kvfree(). Context: any. */
STELE_API STELE_MALLOC STELE_ALLOC_SIZE(2) STELE_MUST_CHECK
	void *kmem_buckets_valloc(kmem_buckets *b, size_t size, gfp_t gfp);

static inline STELE_ALLOC_SIZE(2) STELE_MUST_CHECK
	void *kmem_buckets_alloc_track_caller(kmem_buckets *b, size_t size, gfp_t gfp)
{
	return kmem_buckets_alloc(b, size, gfp);
}

/* ---- freeing at the end of a scope ---------------------------------------------------- */

/* The address of a variable in, its pointer out: legal for a variable of any pointer type. */
static inline void *stele_scope_pointer(const void *variable)
{
	void *p;

	memcpy(&p, variable, sizeof(p));
	return p;
}

/* A pointer that carries an errno, as ERR_PTR() makes it. */
static inline bool stele_scope_is_error(const void *p)
{
	return (uintptr_t)p >= (uintptr_t)-4095;
}

static inline void stele_scope_kfree(void *variable)
{
	void *p = stele_scope_pointer(variable);

	if (!stele_scope_is_error(p))
		kfree(p);
}

static inline void stele_scope_kvfree(void *variable)
{
	void *p = stele_scope_pointer(variable);

	if (!stele_scope_is_error(p))
		kvfree(p);
}

static inline void stele_scope_kvfree_atomic(void *variable)
{
	stele_scope_kvfree(variable);
}

static inline void stele_scope_kfree_sensitive(void *variable)
{
	kfree_sensitive(stele_scope_pointer(variable));
}

STELE_EXTERN_C_END

/**
 * STELE_FREE - free a local pointer when its scope ends
 * @how: kfree, kvfree, kvfree_atomic (ignore NULL and ERR_PTR), kfree_sensitive (ignores NULL)
 *
 *	struct thing *t __free(kfree) = kmalloc_obj(*t);
 *
 * no_free_ptr(t) returns the pointer and keeps the memory beyond the scope.
 */
#define STELE_FREE(how) __attribute__((cleanup(stele_scope_##how)))

#ifndef __free
#define __free(how) STELE_FREE(how)
#endif

#ifndef no_free_ptr
#define no_free_ptr(p)                                                                             \
	__extension__({                                                                            \
		STELE_TYPEOF(p) stele_taken_ = (p);                                                \
		(p) = NULL;                                                                        \
		stele_taken_;                                                                      \
	})
#endif

#ifndef return_ptr
#define return_ptr(p) return no_free_ptr(p)
#endif

/* ---- both forms of kmem_cache_create -------------------------------------------------- */

#ifdef __cplusplus
static inline struct kmem_cache *kmem_cache_create(const char *name, size_t size,
						   const struct kmem_cache_args *args,
						   slab_flags_t flags)
{
	return kmem_cache_create_args(name, size, args, flags);
}
#else
/* NULL is a void *, hence the args form; a bare 0 is an alignment, hence the older one. */
#define kmem_cache_create(name, size, third, ...)                                                  \
	_Generic((third),                                                                          \
		struct kmem_cache_args *: kmem_cache_create_args,                                  \
		const struct kmem_cache_args *: kmem_cache_create_args,                            \
		void *: kmem_cache_create_args,                                                    \
		default: kmem_cache_create)(name, size, third, __VA_ARGS__)
#endif

/** KMEM_CACHE - a cache for struct @name, called and aligned as the struct is. Context: control. */
#define KMEM_CACHE(name, flags)                                                                    \
	(kmem_cache_create)(#name, sizeof(struct name), __alignof__(struct name), flags, NULL)

/**
 * KMEM_CACHE_USERCOPY - KMEM_CACHE() whose @field may be copied to other trust domains
 *
 * Context: control.
 */
#define KMEM_CACHE_USERCOPY(name, flags, field)                                                    \
	kmem_cache_create_usercopy(#name, sizeof(struct name), __alignof__(struct name), flags,    \
				   offsetof(struct name, field),                                   \
				   sizeof(((struct name *)NULL)->field), NULL)

/* ---- typed allocation ----------------------------------------------------------------- */

/*
 * kmalloc_obj(T [, gfp])           one T, a T * back; T a type or a variable, such as *ptr
 * kmalloc_objs(T, n [, gfp])       n of them; n == 0 gives ZERO_SIZE_PTR
 * kmalloc_flex(T, member, n [, gfp]) a T whose flexible array @member has n elements; its
 *                                  __counted_by counter is set where the compiler knows it
 * with kzalloc_, kvmalloc_ and kvzalloc_ in place of kmalloc_. gfp is GFP_KERNEL when left
 * out. Return NULL also when the size overflows. Arguments are evaluated once.
 *
 * The extra arguments at the end let a missing gfp be GFP_KERNEL in strict C11 and C++ too.
 */
#define kmalloc_obj(...) STELE_OBJ(kmalloc, __VA_ARGS__, GFP_KERNEL, 0)
#define kzalloc_obj(...) STELE_OBJ(kzalloc, __VA_ARGS__, GFP_KERNEL, 0)
#define kvmalloc_obj(...) STELE_OBJ(kvmalloc, __VA_ARGS__, GFP_KERNEL, 0)
#define kvzalloc_obj(...) STELE_OBJ(kvzalloc, __VA_ARGS__, GFP_KERNEL, 0)

#define kmalloc_objs(T, ...) STELE_OBJS(kmalloc, T, __VA_ARGS__, GFP_KERNEL, 0)
#define kzalloc_objs(T, ...) STELE_OBJS(kzalloc, T, __VA_ARGS__, GFP_KERNEL, 0)
#define kvmalloc_objs(T, ...) STELE_OBJS(kvmalloc, T, __VA_ARGS__, GFP_KERNEL, 0)
#define kvzalloc_objs(T, ...) STELE_OBJS(kvzalloc, T, __VA_ARGS__, GFP_KERNEL, 0)

#define kmalloc_flex(T, member, ...) STELE_FLEX(kmalloc, T, member, __VA_ARGS__, GFP_KERNEL, 0)
#define kzalloc_flex(T, member, ...) STELE_FLEX(kzalloc, T, member, __VA_ARGS__, GFP_KERNEL, 0)
#define kvmalloc_flex(T, member, ...) STELE_FLEX(kvmalloc, T, member, __VA_ARGS__, GFP_KERNEL, 0)
#define kvzalloc_flex(T, member, ...) STELE_FLEX(kvzalloc, T, member, __VA_ARGS__, GFP_KERNEL, 0)

#define STELE_OBJ(alloc, T, gfp, ...) ((STELE_TYPEOF(T) *)alloc(sizeof(STELE_TYPEOF(T)), gfp))

#define STELE_OBJS(alloc, T, n, gfp, ...)                                                          \
	((STELE_TYPEOF(T) *)alloc(stele_size_mul(sizeof(STELE_TYPEOF(T)), n), gfp))

#define STELE_FLEX(alloc, T, member, n, gfp, ...)                                                  \
	__extension__({                                                                            \
		const size_t stele_n_ = (n);                                                       \
		STELE_TYPEOF(T) *stele_p_ = (STELE_TYPEOF(T) *)alloc(                              \
			STELE_FLEX_SIZE(STELE_TYPEOF(T), member, stele_n_), gfp);                  \
		STELE_FLEX_COUNT(stele_p_, member, stele_n_);                                      \
		stele_p_;                                                                          \
	})

#define STELE_FLEX_SIZE(T, member, n)                                                              \
	stele_size_add(sizeof(T), stele_size_mul(sizeof(((T *)NULL)->member[0]), n))

/* The counter's address comes from the compiler, or a dummy where @member has no counter. */
#if !defined(__cplusplus) && STELE_HAS_BUILTIN(__builtin_counted_by_ref)
#define STELE_FLEX_COUNT(p, member, n)                                                               \
	do {                                                                                         \
		if (p)                                                                               \
			*_Generic(__builtin_counted_by_ref((p)->member),                           \
				void *: &(size_t){ 0 },                                            \
				default: __builtin_counted_by_ref((p)->member)) = (n); \
	} while (0)
#else
#define STELE_FLEX_COUNT(p, member, n) ((void)0)
#endif

#endif /* STELE_SLAB_H */
