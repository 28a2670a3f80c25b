/* SPDX-License-Identifier: MIT */
/*
 * slab/kmem_cache.h - a cache: what its slabs are like, and what the floor above keeps in it
 *
 * Idea      A slab's descriptor points to its cache, so the structure is defined on this floor. The
 *           files of slab/ use the geometry, the flags, the constructor and the destructor, the
 *           partial stacks and the count of slabs. All else is for cache/: the words, the sheaves'
 *           size, the barns, the list.
 * Context   any: a cache is fixed once it is made, but for what is said at its fields.
 */
#ifndef STELE_SLAB_KMEM_CACHE_H
#define STELE_SLAB_KMEM_CACHE_H

#include "base/basics.h"
#include "base/layout.h"
#include "sync/atomic.h"
#include "sync/stack.h"
#include <stele/slab.h>

#define CACHE_NAME_MAX 64
#define SLAB_NO_SHEAVES 0x80000000u /* internal: every call goes to the slabs */
#define SLAB_OWN 0x20000000u	    /* internal: objects of the library itself; without sheaves */
#define SLAB_KEPT 0x40000000u /* internal: slabs are never given up (kept.c); without sheaves */
#define SLAB_RUNS 0x10000000u /* internal: sheaves of page runs, without slabs (cache/resting.c) */
#define SLAB_SPARABLE 0x08000000u /* internal: with SLAB_KEPT: only a share of memory is kept */
#define SLAB_SHORT 0x04000000u	  /* internal: no layout that makes slabs longer (letter O) */
#define SLAB_OBJECTS_MAX 512u	  /* the bits of a descriptor */

/* A barn, of cache/sheaves.h: whole sheaves between slots. `top` may say any fill in the full one. */
struct barn {
	struct stele_stack full;
	struct stele_stack empty;
	_Atomic uint32_t limit;	   /* full sheaves kept; adapts between the bounds */
	_Atomic uint32_t overflow; /* a full sheaf was turned away since the last miss */
};

/* Of a node other than 0, whose own are in the cache itself. Any thread, ORDER(STACK). */
struct kmem_cache_node {
	struct stele_stack partial __attribute__((aligned(64)));
	struct barn barn __attribute__((aligned(64)));
};

struct kmem_cache_nodes {
	_Atomic(struct kmem_cache_node *) at[STELE_NODES_MAX]; /* NULL: node 0's are used */
};

#define SLAB_DYING (1ull << 32) /* one that waits for readers, in kmem_cache.slabs */

struct kmem_cache {
	/* Fixed at create; the first line is what the fast path needs. */
	uint64_t words;	     /* per-CPU words; 0: no sheaves */
	uint32_t fast_recip; /* as in struct object_facts */
	uint32_t fast_limit;
	_Atomic uint32_t object_size; /* as the user asked (the largest of merged ones) */
	uint32_t size;		      /* distance of objects */
	uint32_t align;
	uint32_t flags;
	uint64_t recip;	     /* 2^64 / size, rounded up */
	uint32_t objects;    /* per slab */
	uint16_t frames;     /* per slab */
	uint16_t run_align;  /* frames */
	uint16_t capacity;   /* entries of a sheaf; 0: none */
	uint16_t sheaf_size; /* bytes of a sheaf */
	uint32_t barn_max;   /* upper bound of barn.limit */
	/* Of a cache that checks its objects (slab/checks.h); 0 in others. */
	uint32_t first; /* offset of the first object in a slab */
	uint32_t meta;	/* offset of an object's record, from the object; 0: it has none */
	void (*ctor)(void *);
	void (*dtor)(void *);
	struct stele_grace *grace; /* of its readers; NULL: the process's */
	/* Of memory with several nodes: set once, by the first thread, ORDER(NODES). */
	_Atomic(struct kmem_cache_nodes *) nodes;

	/* Any thread, ORDER(STACK). */
	struct stele_stack partial __attribute__((aligned(64)));
	/* {wait for readers:32, exist:32}: the first are some of the second. */
	_Atomic uint64_t slabs;
	_Atomic uint64_t in_rcu;   /* sheaves and objects that wait for readers */
	_Atomic bool fault_marked; /* stele_fault_cache() */
	_Atomic bool gives;	   /* a slot had a sheaf for kfree_rcu() */
	struct barn barn __attribute__((aligned(64)));

	/* Under the list lock (cache/list.c). */
	struct kmem_cache *next __attribute__((aligned(64)));
	int refcount;
	bool is_static;
	bool awaited; /* its last user waits for walks, or has left it to them; others pass it by */
	_Atomic uint32_t looked_at; /* the name of a thread that validates: slabs stay */
	_Atomic uint64_t look;	    /* the object that it looks at (slab/object_look.h) */
	bool ending; /* destroyed: set before it is emptied, by the thread that does */
	_Atomic bool
		idle_kept; /* empty slabs of a type-stable cache stay (slab/retire.c); a hint */
	bool destroyed;	   /* debug builds keep it for a while, to name it when it is used */
	const uint32_t *put_off_by; /* the thread that will empty it, destroyed as it is */
	const void *destroyed_from;
	const char *name_at; /* the name, for probes */
	char name[CACHE_NAME_MAX];
};

/*
 * Whether the options init_on_alloc and init_on_free count for its objects. A constructed object stays
 * constructed, readers may look at a type-stable one, and poison is looked for where it was written.
 */
static inline bool cache_may_clear(const struct kmem_cache *s)
{
	return !s->ctor &&
	       !(s->flags & (SLAB_TYPESAFE_BY_RCU | SLAB_POISON | SLAB_OWN | SLAB_KEPT));
}

/* The bytes that the program knows of. They grow when another cache is merged into this one. */
static inline uint32_t cache_object_size(const struct kmem_cache *s)
{
	return load_relaxed(&((struct kmem_cache *)s)->object_size);
}

/* For a run that is no slab any more. */
extern struct kmem_cache stele_no_cache __attribute__((visibility("hidden")));

#endif
