/* SPDX-License-Identifier: MIT */
/*
 * slab/slab.h - a cache, and the fast paths of allocating and freeing
 *
 * Idea      alloc: pop from the slot's sheaf. free: address -> tag -> the cache's words ->
 *           push. A tag holds the words' offset and the address of the slab's last object;
 *           with the facts that lie beside the words it tells whether an object starts at
 *           an address. Everything else is in the slow files of this folder:
 *             slow.c    sheaves: swap, barn, refill, flush
 *             slabs.c   slabs: refill from bitmaps, free into bitmaps, new, retire
 *             bounded.c both for calls that promise to be short
 *             deferred.c what those leave to others
 *             cache.c   create, destroy, shrink, merge
 *             decay.c   giving memory back while the program frees
 *             kept.c    slabs that stay for good
 *             nodes.c   what a cache has for each memory node
 *             rcu.c     what readers may still look at
 *             cpus.c    slots that go, and slots that nobody uses
 *             bulk.c    bulk calls and sheaves held by the user
 *             report.c  bad pointers
 *             info.c    slabinfo
 * Context   fast and slow paths any; cache.c ordinary threads.
 */
#ifndef STELE_SLAB_SLAB_H
#define STELE_SLAB_SLAB_H

#include "page/run.h"
#include "slab/sheaf.h"
#include "sync/grace.h"
#include "sync/in_hand.h"
#include "sync/racy.h"
#include "trace/probe.h"
#include "trace/trace.h"
#include <stele/slab.h>
#include <string.h>

#define CACHE_NAME_MAX 64
#define SLAB_NO_SHEAVES 0x80000000u /* internal: every call goes to the slabs */
#define SLAB_OWN 0x20000000u	    /* internal: objects of the library itself; without sheaves */
#define SLAB_KEPT 0x40000000u /* internal: slabs are never given up (kept.c); without sheaves */
#define SLAB_RUNS 0x10000000u /* internal: sheaves of page runs, which have no slab (resting.c) */
#define SLAB_OBJECTS_MAX 512u /* the bits of a descriptor */
#define PATIENCE 1000 /* naps, a second or so: how long what others have in hand is waited for */

/*
 * Tells the start of an object from its inside, in 32 bits: the distance to the last object of the
 * slab times 2^32 / size, rounded up, wraps to below the limit if the size divides it. Both are 0
 * where that is not exact; every free is then a slow one. cache/cache.c has the proof.
 */
struct object_facts {
	uint32_t recip;
	uint32_t limit;
	uint32_t size;
	uint32_t unused[5];
};
_Static_assert(sizeof(struct object_facts) == STELE_WORDS_SIZE, "found by the words' offset");

/* Of a node other than 0, whose own are in the cache itself. Any thread, ORDER(STACK). */
struct kmem_cache_node {
	struct stele_stack partial __attribute__((aligned(64)));
	struct barn barn __attribute__((aligned(64)));
};

struct kmem_cache_nodes {
	_Atomic(struct kmem_cache_node *) at[STELE_NODES_MAX]; /* NULL: node 0's are used */
};

/* For a run that is no slab any more. */
extern struct kmem_cache stele_no_cache __attribute__((visibility("hidden")));

#define SLAB_DYING (1ull << 32) /* one that waits for readers, in kmem_cache.slabs */

struct kmem_cache {
	/* Fixed at create; the first line is what the fast path needs. */
	uint64_t words;	     /* per-CPU words; 0: no sheaves */
	uint32_t fast_recip; /* as in struct object_facts */
	uint32_t fast_limit;
	_Atomic uint32_t object_size; /* as the user asked; a merge may raise it */
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
	void (*ctor)(void *);
	void (*dtor)(void *);
	struct stele_grace *grace; /* of its readers; NULL: the process's */
	/* Of memory with several nodes: set once, by the first thread, ORDER(NODES). */
	_Atomic(struct kmem_cache_nodes *) nodes;

	/* Any thread, ORDER(STACK). */
	struct stele_stack partial __attribute__((aligned(64)));
	/* {wait for readers:32, exist:32}: the first are some of the second. */
	_Atomic uint64_t slabs;
	struct barn barn __attribute__((aligned(64)));

	/* Under the list lock (cache.c). */
	struct kmem_cache *next __attribute__((aligned(64)));
	int refcount;
	bool is_static;
	bool ending;		/* destroyed: set before it is emptied, by the thread that does */
	_Atomic bool idle_kept; /* empty slabs of a type-stable cache stay (slabs.c); a hint */
	bool destroyed;		/* debug builds keep it for a while, to name it when it is used */
	const uint32_t *put_off_by; /* the thread that will empty it, destroyed as it is */
	const void *destroyed_from;
	const char *name_at; /* the name, for probes */
	char name[CACHE_NAME_MAX];
};

/* An event about a sheaf (bytes: 0) or a slab of @s, with @n objects in it. */
#define CACHE_EVENT(kind, probe, s, at, n, bytes)                                                  \
	do {                                                                                       \
		PROBE_OF_CACHE(probe, at, (s)->name, n);                                           \
		if (trace_asked(STELE_TRACE_##kind))                                               \
			stele_trace_of_cache(STELE_TRACE_##kind, at, (s)->name, n, bytes);         \
	} while (0)
#define SHEAF_EVENT(kind, probe, s, sheaf, n) CACHE_EVENT(kind, probe, s, sheaf, n, 0)

/* ---- nodes.c ---- */
/* Of a node above 0; NULL: it has none yet. */
struct kmem_cache_node *stele_cache_node(struct kmem_cache *s, unsigned node);
/* For every node that has memory. 0 or -ENOMEM: the cache then uses the parts that were created.
 * Any thread. */
int stele_cache_nodes_make(struct kmem_cache *s);
/* Whether there is nothing to make. */
bool stele_cache_nodes_whole(struct kmem_cache *s);
/* Full sheaves that each barn keeps at first. */
void stele_cache_barns_limit(struct kmem_cache *s, uint32_t limit);
/* Nothing is left in them. */
void stele_cache_nodes_free(struct kmem_cache *s);

static inline bool cache_has_node(struct kmem_cache *s, unsigned node)
{
	return !node || stele_cache_node(s, node);
}

static inline struct stele_stack *cache_partial(struct kmem_cache *s, unsigned node)
{
	struct kmem_cache_node *n = stele_unlikely(node) ? stele_cache_node(s, node) : NULL;

	return n ? &n->partial : &s->partial;
}

static inline struct barn *cache_barn(struct kmem_cache *s, unsigned node)
{
	struct kmem_cache_node *n = stele_unlikely(node) ? stele_cache_node(s, node) : NULL;

	return n ? &n->barn : &s->barn;
}

/* Where @sheaf rests when no slot has it: its own node's. */
static inline struct barn *barn_for(struct kmem_cache *s, const struct sheaf *sheaf)
{
	return cache_barn(s, node_at(sheaf));
}

static inline struct barn *barn_here(struct kmem_cache *s)
{
	return cache_barn(s, stele_node_here());
}

/* ---- slow.c ---- */
void *stele_slab_alloc_slow(struct kmem_cache *s, gfp_t gfp);
/* The same with the node that was asked for. */
void *stele_slab_alloc_node(struct kmem_cache *s, gfp_t gfp, int node);
/* The same for a call of kmem_cache_alloc() or its kin from @site: reported. */
void *stele_cache_alloc_slow(struct kmem_cache *s, gfp_t gfp, int node, const void *site);
/* Reports kmem_cache_alloc. */
void stele_cache_alloc_event(struct kmem_cache *s, void *p, gfp_t gfp, int node, const void *site);
void *stele_zero_object(struct kmem_cache *s, void *p); /* @p */
/* Always true: so that the calls above can end with it, and leave the stack to what is below. */
bool stele_slab_free_slow(struct kmem_cache *s, void *p);
/* A new, empty sheaf: its top, or 0. */
uint64_t stele_sheaf_new(struct kmem_cache *s);
bool stele_is_sheaf_cache(const struct kmem_cache *s);
/* The same from the barn, if it has one. */
uint64_t stele_sheaf_get_empty(struct kmem_cache *s);
/* A sheaf, empty or not, goes to the barn, or its objects to the slabs. */
void stele_sheaf_put(struct kmem_cache *s, uint64_t top);
/* One object of a sheaf in the barn, for a thread that cannot have a sheaf: its slot is closed or
 * busy. */
void *stele_barn_take_one(struct kmem_cache *s);
/* stele_cache_nodes_make() of the caches that sheaves are of. */
int stele_sheaf_nodes_make(void);
/* There is no memory: an object out of any node's barn. */
void *stele_barns_take(struct kmem_cache *s);
/* Its objects go to the slabs, and it is gone. */
void stele_sheaf_dissolve(struct kmem_cache *s, uint64_t top);
/* Empties every slot and the barn into the slabs; @wait and errors as in stele_pcpu_take_all(). */
int stele_slab_flush_all(struct kmem_cache *s, bool wait);
/* Whether any slot or barn has a sheaf of it: a short look, soon out of date. */
bool stele_slab_has_sheaves(struct kmem_cache *s);

/* ---- bounded.c: the same for calls that promise to be short ---- */
void *stele_slab_alloc_bounded(struct kmem_cache *s, gfp_t gfp, int node);
void stele_slab_free_bounded(struct kmem_cache *s, void *p);

/* ---- deferred.c: work that such calls leave to other threads ---- */
/* Notes a slab that may be idle. Any context. */
void stele_defer(struct run *run);
bool stele_deferred_pending(void);
/* Some of it, unless another thread is draining. EFFORT_BOUNDED: no system call. Any context. */
void stele_deferred_drain(enum effort effort);
/* All of it; the slabs that other threads have in hand are done as well. Ordinary threads. */
void stele_deferred_drain_all(void);
void stele_deferred_after_fork(void);

/* ---- slabs.c ---- */
/* Up to @n objects into @out, highest address first where it can. How many. */
unsigned stele_slabs_take_from(struct kmem_cache *s, unsigned where, uint64_t *out, unsigned n);
/* One object, looking at few slabs. NULL: there is no memory, however long one looks. */
void *stele_slabs_take_bounded(struct kmem_cache *s, unsigned where);
/* Returns objects to their slabs; reports those that were free already. Reorders @objects. */
void stele_slabs_give(struct kmem_cache *s, uint64_t *objects, unsigned n);
/* Returns one object without retiring its slab: an idle one is left to stele_deferred_drain(). */
void stele_slabs_give_bounded(struct kmem_cache *s, void *p);
/* From where this thread is. */
static inline unsigned stele_slabs_take(struct kmem_cache *s, uint64_t *out, unsigned n)
{
	return stele_slabs_take_from(s, stele_node_here(), out, n);
}
/* Takes the slab in this descriptor, if it is idle; the caller then retires it. */
bool stele_slab_take_idle(struct run *run);
void stele_slab_retire_taken(struct run *run, enum effort effort);
/* Pops descriptors of dead slabs, retires idle ones; fuller slabs come to the top. Ordinary
 * threads. */
void stele_slabs_tidy(struct kmem_cache *s);
/* The object's number in its slab; whether its bit says free (a look, may change at once). */
bool stele_object_is_free(const struct run *run, const void *p);

/* An empty slab of @s that no thread reads any more. */
void stele_slab_retire(struct kmem_cache *s, struct run *run);

/* ---- kept.c: slabs of caches with SLAB_KEPT ---- */
/* The slab in this descriptor has just become idle. Any context. */
void stele_kept_idle(struct run *run);
/* The same when the caller owns it (state_take_idle()): all of it is free again. */
void stele_kept_park(struct kmem_cache *s, struct run *run, enum effort effort);
/* The pages of idle ones go back to the system. Any context. */
void stele_kept_purge(void);

/* ---- rcu.c ---- */
struct stele_grace *stele_grace_of(const struct kmem_cache *s);
/* Pushes @p where it waits for readers. False: not now, or never in this cache. Any context. */
bool stele_rcu_push(struct kmem_cache *s, void *p);
/* All that was pushed before waits for readers, or is done. 0, or -errno as
 * stele_pcpu_take_all(). Ordinary threads. */
int stele_rcu_flush(struct kmem_cache *s);
/* The same, and then it is done. */
int stele_rcu_barrier(struct kmem_cache *s);
/* An empty slab of a type-stable cache. Any context. */
void stele_rcu_retire(struct kmem_cache *s, struct run *run);
/* Sheaves that wait, for statistics. */
uint64_t stele_rcu_sheaves(void);
void stele_rcu_after_fork(void);

/* Around taking such a sheaf from a slot and giving it: a barrier waits meanwhile. Signals are
 * held back by the caller. False: the sheaf must stay where it is for now. */
bool stele_rcu_hold(struct in_hand_name *name);
void stele_rcu_let_go(const struct in_hand_name *name);
void stele_rcu_give_sheaf(struct kmem_cache *s, uint64_t top);

/* ---- cpus.c ---- */
/* Tells the floor of slots what to do when one goes. Once, before anything happens. */
void stele_slab_watch_cpus(void);
/* A slab was made: perhaps it is time for a look at slots that no thread uses. Any context. */
void stele_cold_note(void);
bool stele_cold_due(void);
void stele_cold_look(void);
void stele_cold_after_fork(void);
void stele_cold_thread_gone(uint64_t token);

/* ---- short.c ---- */
/* Tells the page floor whom to ask when it is short of memory. Once, before anything happens. */
void stele_cache_watch_memory(void);
/* @alloc(s) said NULL: takes back what caches do not need, and calls it again. */
void *stele_cache_alloc_short(struct kmem_cache *s, void *(*alloc)(struct kmem_cache *));

/* ---- decay.c ---- */
void stele_decay_grown(unsigned frames);
void stele_decay_shrunk(unsigned frames);
/* A round through the caches is under way; and a bounded part of it. */
bool stele_decay_pending(void);
void stele_decay_go_on(void);
void stele_decay_lowered(unsigned frames); /* counts only: the next one that shrinks looks */

/* ---- resting.c: page runs that a slot keeps ---- */
/* The lists, before anything is freed; and once the program's constructors run, for all that empties
 * caches. */
void stele_resting_boot(void);
void stele_resting_list(void);
/* A run of just as many frames that rests here, or NULL. It holds what its last owner wrote. */
void *stele_resting_take(size_t bytes, size_t align);
/* Frees @p, if it is a block that can rest here. False: nothing is done. */
bool stele_resting_free(void *p);
/* stele_large_take(), from what rests here first. */
void *stele_block_take(size_t bytes, size_t align, gfp_t gfp, int node);

static inline bool run_rests(const struct run *run)
{
	return load_relaxed(&((struct run *)run)->rests);
}

/* ---- report.c ---- */
/* Says what is wrong with freeing @p and counts it; dies if the option says so. */
void stele_report_free(const char *call, const void *p, const char *what, const char *cache);
#define STELE_OWN "an object of the library itself"
/* Whether @p lies in one, which is reported then. */
bool stele_refuse_own(const char *call, const void *p);
#define STELE_NOT_OURS "not a pointer of this allocator, or already free"
#define STELE_GIVEN "object was already given to kfree_rcu"
/* The same for changing its size. */
void stele_report_resize(const char *call, const void *p, const char *what, const char *cache);
/* The same for kmem_cache_free() with the wrong cache. */
void stele_report_cache(const void *p, const char *owner, const char *given);
/* A destroyed cache was used, and debug builds know it still. NULL, for a call that wanted an
 * object. */
void *stele_report_destroyed(const char *call, const struct kmem_cache *s);
/* After a report: it is counted, and ends the program if the option says so. */
void stele_reported(void);
uint64_t stele_reports(void);

/* ---- cache.c ---- */
/* A cache in static memory, for the floors above; no lock, no list. */
void stele_cache_boot(struct kmem_cache *s, const char *name, uint32_t size, uint32_t align,
		      uint32_t flags);
/* Makes a new node's parts in every cache, before the first of its CPUs runs. 0 or -ENOMEM: may be
 * called again, and goes on where it was. Ordinary threads. */
int stele_nodes_prepare(int node);
/* Shows a row of @n booted caches in slabinfo and to shrink-all. Ordinary threads. */
void stele_cache_list(struct kmem_cache *row, unsigned n);
/* @each may create, shrink and destroy caches. */
void stele_cache_each(void (*each)(struct kmem_cache *, void *), void *arg);
/* Without waiting: nothing happens when another thread holds the list. Any context; @each must not
 * call anything that takes the list's lock. */
void stele_cache_try_each(void (*each)(struct kmem_cache *, void *), void *arg);
/* The same with the next @most caches of a round through the list. True: the round is over. */
bool stele_cache_try_some(unsigned most, void (*each)(struct kmem_cache *, void *), void *arg);
/* stele_dead_sweep() of all caches, without waiting. False: another thread holds the list. */
bool stele_cache_try_sweep(void);
/* Flushes every cache and purges; what malloc_trim() does. */
void stele_shrink_all(size_t keep_bytes);
void stele_slab_after_fork_child(void);

/* ---- start.c ---- */
void stele_slab_watch_fork(void);

/* ---- free.c: any object, slab or large ---- */
/*
 * False: @p was bad and has been reported under the name of @call. NULL is the caller's to test.
 * @site: the caller, for the event kfree; NULL where the library frees an object of its own.
 */
bool stele_free(const char *call, void *p, const void *site);
bool stele_free_slow(const char *call, void *p, const void *site);
/* What kmem_cache_free() does when its fast path fails. NULL @site: as above. */
void stele_cache_free_slow(struct kmem_cache *s, void *p, const void *site);
/* Whether @p, the start of an object in @run, is seen to be free: a look, which misses many. */
bool stele_seen_free(const struct run *run, const void *p);
/* stele_free_slow() for a call that promises to be short; not for large runs. */
bool stele_free_bounded(const char *call, void *p, const void *site);
size_t stele_usable(const void *p);

/* Without an event: the caller reports, or it is the library's own. */
static inline __attribute__((always_inline)) void *slab_alloc(struct kmem_cache *s, gfp_t gfp)
{
	void *p = pcpu_pop(s->words);

	if (stele_unlikely(!p))
		return stele_slab_alloc_slow(s, gfp);
	if (stele_unlikely(gfp & __GFP_ZERO))
		stele_zero_object(s, p);
	return p;
}

/* kmem_cache_alloc() and its kin. */
static inline __attribute__((always_inline)) void *cache_alloc(struct kmem_cache *s, gfp_t gfp,
							       int node)
{
	void *p = pcpu_pop(s->words);

	if (stele_unlikely(!p))
		return stele_cache_alloc_slow(s, gfp, node, STELE_CALLER);
	probe_kmem_cache_alloc(p, &s->name_at, &s->object_size, &s->size, gfp);
	return stele_unlikely(gfp & __GFP_ZERO) ? stele_zero_object(s, p) : p;
}

/*
 * The cache of a slab that may be retired any moment: an object in it was freed twice, or is only
 * asked about. Then the cache may be another one, or be destroyed, or none.
 */
static inline struct kmem_cache *run_cache(const struct run *run)
{
	struct kmem_cache *s = __atomic_load_n(&run->cache, __ATOMIC_RELAXED);

	racy_target(s);
	return s ? s : &stele_no_cache;
}

/*
 * Whether what lies there is the library's own: no call of the user frees or resizes it. Such caches
 * have no sheaves, so no fast path accepts their objects, and the slow ones ask here.
 */
static inline bool run_is_own(const struct run *run)
{
	return run->kind == RUN_SLAB ? run_cache(run)->flags & SLAB_OWN : run->kind & RUN_OWN_FLAG;
}

/* True when @p is the start of an object: its offset times the reciprocal wraps to below it. */
static inline bool run_has_object_at(const struct run *run, const void *p)
{
	uint64_t offset = (uintptr_t)p - run->base;

	return offset < (uint64_t)run->objects * run->size && offset * run->recip < run->recip;
}

/* Whether a large block waits for readers: it is not its user's any more. */
static inline bool run_is_given(const struct run *run)
{
	return run->kind != RUN_SLAB && load_relaxed(&run->grace.done);
}

static inline bool in_heap(const void *p)
{
	return (uintptr_t)p - (uintptr_t)stele_hot.first < STELE_SPAN_SEEN;
}

/* The tag for an address in the heap. */
static inline __attribute__((always_inline)) uint64_t tag_at(const void *p)
{
	uint64_t offset = (uintptr_t)p - (uintptr_t)stele_hot.first;
	_Atomic uint64_t *tags = (_Atomic uint64_t *)(stele_hot.base + STELE_TAGS_OFFSET);

	/* ORDER(PAGEMAP): reached through the object's address. */
	return load_relaxed(&tags[offset >> FRAME_SHIFT]);
}

static inline uint64_t tag_make(uint64_t words, uintptr_t last)
{
	return words << 32 | (uint32_t)last;
}

static inline uint64_t tag_words(uint64_t tag)
{
	return tag >> 32;
}

static inline __attribute__((always_inline)) bool tag_has_object_at(uint64_t tag, const void *p,
								    uint32_t recip, uint32_t limit)
{
	return ((uint32_t)tag - (uint32_t)(uintptr_t)p) * recip < limit;
}

static inline struct object_facts *facts_at(uint64_t words)
{
	return (struct object_facts *)(stele_hot.base + STELE_FACTS_OFFSET + words);
}

/* Frees an object of any cache by the @push step. False: take the slow way. */
static inline __attribute__((always_inline)) bool slab_free_by(bool (*push)(uint64_t, void *),
							       void *p)
{
	const struct object_facts *facts;
	uint64_t tag;

	if (stele_unlikely(!in_heap(p)))
		return false;
	tag = tag_at(p);
	facts = facts_at(tag_words(tag));
	if (stele_unlikely(!tag_has_object_at(tag, p, facts->recip, facts->limit)))
		return false;
	return push(tag_words(tag), p);
}

static inline __attribute__((always_inline)) bool slab_free_fast(void *p)
{
	return slab_free_by(pcpu_push, p);
}

#endif
