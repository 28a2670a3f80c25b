/* SPDX-License-Identifier: MIT */
/*
 * cache/caches.h - caches: made, listed, walked over, ended
 *
 * Context   ordinary threads, but for what is said otherwise.
 */
#ifndef STELE_CACHE_CACHES_H
#define STELE_CACHE_CACHES_H

#include "slab/kmem_cache.h"

/* ---- create.c ---- */

/* kmem_cache_create_args() for a call that returns to @site. */
struct kmem_cache *stele_cache_create(const char *name, size_t size,
				      const struct kmem_cache_args *args, slab_flags_t flags,
				      const void *site);

/* ---- start.c, fork.c, at_exit.c ---- */

/* Any context; idempotent. The makers of caches call it. So a program that makes a cache and is linked
 * with an archive gets start.c, and with it the handlers of fork and the reports at exit. */
void stele_cache_start(void);
/* fork.c: from now on the child of a fork makes whole what it has copied. Once. */
void stele_cache_watch_forks(void);
/* at_exit.c: the program ends. */
void stele_cache_at_exit(void);

/* ---- boot.c: caches in static memory, for the floors above ---- */

/* A cache in static memory; no lock, no list. Any context, one thread at a time. */
void stele_cache_boot(struct kmem_cache *s, const char *name, uint32_t size, uint32_t align,
		      uint32_t flags);
/* Shows a row of @n booted caches in slabinfo and to shrink-all. Ordinary threads. */
void stele_cache_list(struct kmem_cache *row, unsigned n);

/* ---- resting.c: the caches whose slots keep page runs ---- */

/* Makes them, before anything is freed. */
void stele_resting_boot(void);
/* Lists them, once the program's constructors run, so that shrinking finds them. */
void stele_resting_list(void);

/* ---- prepare.c: makes the parts that every cache needs for a new memory node ---- */

/* Makes a new node's parts in every cache, before the first of its CPUs runs. 0 or -ENOMEM: may be
 * called again, and goes on where it was. Ordinary threads. */
int stele_nodes_prepare(int node);

/* ---- memory.c: where struct kmem_cache comes from ---- */

/* A zeroed one, with the parts that each node needs; or NULL. Not under a lock. */
struct kmem_cache *stele_cache_take(void);
/* Makes parts for a node that got memory meanwhile. @s, or NULL: then it is given back. */
struct kmem_cache *stele_cache_with_nodes(struct kmem_cache *s);
/* Gives back what a cache without slabs has beside its own memory. */
void stele_cache_free_parts(struct kmem_cache *s);
/* The memory alone; and with its parts. */
void stele_cache_give(struct kmem_cache *s);
void stele_cache_free(struct kmem_cache *s);
/* Whether @p, which may be anything, is memory for a cache. */
bool stele_is_cache_memory(const void *p);

/* ---- sizing.c: gives a cache its sheaves ---- */

/* Words, sheaves and barns, unless the profile or the flags want none, or no words are left. @wanted:
 * objects that a sheaf has room for at least; 0: as usual. The geometry is set. */
void stele_cache_sheaves(struct kmem_cache *s, unsigned wanted);

/* ---- list.c: which caches there are; under stele_list_lock, but for what is said otherwise ---- */

struct stele_mutex;
extern struct stele_mutex stele_list_lock;
extern struct kmem_cache *stele_caches; /* the first one */

void stele_list_push(struct kmem_cache *s);
void stele_list_remove(struct kmem_cache *s);
bool stele_list_has(const struct kmem_cache *s);
/* The next cache after @s in the list, or the first one, of which @that is true (a short look that
 * calls nothing; NULL: any). The call pins the cache by a reference, and lets go of @s. It passes by the
 * caches that this thread has pinned, and those that walks alone keep. *gone: the last reference to @s
 * went, and @s is in no list any more. NULL at the end. Takes the lock. */
typedef bool (*cache_question)(struct kmem_cache *s);
struct kmem_cache *stele_list_next_pinned(struct kmem_cache *s, cache_question that, bool *gone);
/* How many walks are at it; those of threads that are gone are let go first. */
int stele_list_walks_at(const struct kmem_cache *s);
/* Whether this thread is in a walk, or has left one by a jump. */
bool stele_list_walks_here(void);

/* Of every cache, under one hold of the lock, which it takes. @look calls nothing. Ordinary threads. */
void stele_list_look(void (*look)(struct kmem_cache *, void *), void *arg);

/* Without waiting: nothing happens when another thread holds the list. Any context; @each must not
 * call anything that takes the list's lock. */
void stele_cache_try_each(void (*each)(struct kmem_cache *, void *), void *arg);
/* The same with the next @most caches of a round through the list. Each kind of round has a place of
 * its own in the list. True: the round is over; the next call begins another one. */
enum cache_round { ROUND_DECAY, ROUND_COLD, CACHE_ROUNDS };
bool stele_cache_try_some(enum cache_round round, unsigned most,
			  void (*each)(struct kmem_cache *, void *), void *arg);

/* The next call of stele_cache_try_some() begins with the first cache. False: another thread holds
 * the list. */
bool stele_cache_try_begin(enum cache_round round);

/* stele_dead_sweep() of all caches, without waiting. False: another thread holds the list. Any
 * context. */
bool stele_cache_try_sweep(void);

/* In the child of fork(). */
void stele_list_in_child(void);

/* ---- walk.c: over all caches ---- */

/* @each may create, shrink and destroy caches. */
void stele_cache_each(void (*each)(struct kmem_cache *, void *), void *arg);
/* Only those of which @that is true, a short look that calls nothing; NULL: all. */
void stele_cache_each_that(cache_question that, void (*each)(struct kmem_cache *, void *),
			   void *arg);

/* ---- destroy.c: the end of a cache that is in no list any more ---- */

/* The last reference to @s went. Empties and frees it, now or once this thread has let go of the CPU
 * set. @caller: for reports. */
void stele_cache_finish(struct kmem_cache *s, const void *caller);
/* This thread has let go of the CPU set. */
void stele_cache_finish_put_off(void);
/* Debug builds: the names of destroyed caches are not needed any more. */
void stele_destroyed_forget(void);

#endif
