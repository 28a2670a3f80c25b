/* SPDX-License-Identifier: MIT */
/*
 * cache/list.h - which caches there are (list.c)
 *
 * Context   under stele_list_lock, but for what is said otherwise.
 */
#ifndef STELE_CACHE_LIST_H
#define STELE_CACHE_LIST_H

#include "slab/kmem_cache.h"

struct stele_mutex;
extern struct stele_mutex stele_walking, stele_list_lock;
extern struct kmem_cache *stele_caches; /* the first one */

void stele_list_push(struct kmem_cache *s);
void stele_list_remove(struct kmem_cache *s);
bool stele_list_has(const struct kmem_cache *s);
/* The next cache after @s in the list, or the first one, of which @that is true (a short look that
 * calls nothing; NULL: any); it is pinned by a reference, and @s is let go. *gone: the last reference to
 * @s went, and it is in no list any more. NULL at the end. Takes the lock. */
typedef bool (*cache_question)(struct kmem_cache *s);
struct kmem_cache *stele_list_next_pinned(struct kmem_cache *s, cache_question that, bool *gone);

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
/* Lets go of the cache that a walker which is gone had pinned. False: this thread walks already; or
 * another thread does, and @wait is false. */
bool stele_list_begin_walking(bool wait);
void stele_list_end_walking(void);
void stele_walking_in_child(void);

#endif
