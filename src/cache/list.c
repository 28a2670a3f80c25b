/* SPDX-License-Identifier: MIT */
/*
 * cache/list.c - which caches there are
 *
 * Idea      A cache is complete before it is listed. A walker pins the cache that it is at by a
 *           reference; the lock `walking` keeps other threads from destroying it meanwhile.
 * Objects   the list and reference counts are under the list lock.
 * Locks     walking, then list. No constructor or destructor ever runs under the list lock, so either
 *           may create and destroy caches.
 * Order     LIST: the child of a fork finds the list without a cache, or with a complete one.
 * Context   ordinary threads, but for the calls named try.
 * Tests     tests/contract/test_cache_create.c
 */
#include "cache/caches.h"
#include "slab/slabs.h"
#include "slab/checks.h"
#include "sync/mutex.h"
#include "sync/ranks.h"

struct stele_mutex stele_walking = STELE_MUTEX(WALKING);
struct stele_mutex stele_list_lock = STELE_MUTEX(LIST);
struct kmem_cache *stele_caches;
static struct kmem_cache *pinned;		 /* by the walk under way */
static struct kmem_cache *next_of[CACHE_ROUNDS]; /* NULL: a round begins at the first one */

/* The child of a fork finds the list without the cache or with a complete one. */
void stele_list_push(struct kmem_cache *s)
{
	s->next = stele_caches;
	/* ORDER(LIST) release: the cache is complete. */
	fence_release();
	stele_caches = s;
}

void stele_list_remove(struct kmem_cache *s)
{
	struct kmem_cache **at = &stele_caches;

	for (int round = 0; round < CACHE_ROUNDS; round++)
		if (next_of[round] == s)
			next_of[round] = s->next;
	while (*at && *at != s)
		at = &(*at)->next;
	if (*at)
		*at = s->next;
}

bool stele_list_has(const struct kmem_cache *s)
{
	const struct kmem_cache *at = stele_caches;

	while (at && at != s)
		at = at->next;
	return at;
}

bool stele_cache_try_sweep(void)
{
	if (!stele_trylock(&stele_list_lock))
		return false;
	for (struct kmem_cache *s = stele_caches; s; s = s->next)
		stele_dead_sweep(s);
	stele_unlock(&stele_list_lock);
	return true;
}

void stele_cache_try_each(void (*each)(struct kmem_cache *, void *), void *arg)
{
	if (!stele_trylock(&stele_list_lock))
		return;
	for (struct kmem_cache *s = stele_caches; s; s = s->next)
		each(s, arg);
	stele_unlock(&stele_list_lock);
}

bool stele_cache_try_begin(enum cache_round round)
{
	if (!stele_trylock(&stele_list_lock))
		return false;
	next_of[round] = NULL;
	stele_unlock(&stele_list_lock);
	return true;
}

bool stele_cache_try_some(enum cache_round round, unsigned most,
			  void (*each)(struct kmem_cache *, void *), void *arg)
{
	struct kmem_cache *s;

	if (!stele_trylock(&stele_list_lock))
		return false;
	s = next_of[round] ? next_of[round] : stele_caches;
	for (; s && most--; s = s->next)
		each(s, arg);
	next_of[round] = s;
	stele_unlock(&stele_list_lock);
	return !s;
}

void stele_list_look(void (*look)(struct kmem_cache *, void *), void *arg)
{
	if (stele_lock(&stele_list_lock) != 0)
		return;
	for (struct kmem_cache *s = stele_caches; s; s = s->next)
		look(s, arg);
	stele_unlock(&stele_list_lock);
}

struct kmem_cache *stele_list_next_pinned(struct kmem_cache *s, cache_question that, bool *gone)
{
	struct kmem_cache *next;

	*gone = false;
	if (stele_lock(&stele_list_lock) != 0)
		return NULL;
	next = s ? s->next : stele_caches;
	while (next && that && !that(next))
		next = next->next;
	if (next)
		next->refcount++;
	/* ORDER(LIST) release: the child of a fork finds a reference too many, never too few. */
	fence_release();
	pinned = next;
	fence_release();
	*gone = s && !--s->refcount;
	if (*gone)
		stele_list_remove(s);
	stele_unlock(&stele_list_lock);
	return next;
}

/* ---- walks whose thread is gone ---- */

/* No thread goes on with a walk that another thread had begun. */
static void unpin(void)
{
	if (pinned && pinned->refcount > 1)
		pinned->refcount--;
	pinned = NULL;
}

bool stele_list_begin_walking(bool wait)
{
	if (wait ? stele_lock(&stele_walking) != 0 : !stele_trylock(&stele_walking))
		return false;
	if (stele_walking.abandoned && stele_lock(&stele_list_lock) == 0) {
		unpin();
		stele_unlock(&stele_list_lock);
	}
	return true;
}

void stele_list_end_walking(void)
{
	stele_unlock(&stele_walking);
}

/* ---- in the child of fork() ---- */

void stele_walking_in_child(void)
{
	if (stele_mutex_after_fork(&stele_walking))
		unpin();
}

/* The list is whole at every moment (stele_list_push()), so a child only needs the lock. */
void stele_list_in_child(void)
{
	stele_mutex_after_fork(&stele_list_lock);
	/* The thread that validated is not here. */
	for (struct kmem_cache *s = stele_caches; s; s = s->next)
		stele_watch_in_child(s);
}
