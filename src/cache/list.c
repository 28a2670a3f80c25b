/* SPDX-License-Identifier: MIT */
/*
 * cache/list.c - which caches there are
 *
 * Idea      A cache is complete before it is listed. A walk pins the cache that it is at by a
 *           reference, so the cache stays in the list. Any number of threads may walk at the same
 *           time, and a walk may begin within a walk. An inner walk passes by what its own thread has
 *           pinned, so a destructor that walks is not called again from there.
 * Objects   the list, reference counts and pins are under the list lock. A pin names its thread. When
 *           that thread is gone, another one lets go of the pin. The table of pins grows. Where the
 *           system has no memory for it, the reference has no name.
 * Locks     list. No constructor or destructor ever runs under it, so either may create and destroy
 *           caches.
 * Left      A handler may jump out of a walk. The pin of that walk keeps one cache in memory. Only a
 *           thread that destroys this cache waits for the walk, for some seconds (cache/destroy.c).
 * Order     LIST: the child of a fork finds the list without a cache, or with a complete one.
 * Context   ordinary threads, but for the calls named try.
 * Tests     tests/contract/test_cache_create.c  tests/contract/test_walk_left.c
 *           tests/contract/test_walk_pins.c
 */
#include "cache/caches.h"
#include "os/map.h"
#include "os/os.h"
#include "percpu/system.h"
#include "slab/slabs.h"
#include "slab/checks.h"
#include "sync/mutex.h"
#include "sync/ranks.h"
#include <string.h>

struct stele_mutex stele_list_lock = STELE_MUTEX(LIST);
struct kmem_cache *stele_caches;
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

/* ---- pins ---- */

static struct pin {
	struct kmem_cache *s;	  /* NULL: the place is free */
	uint64_t token;		  /* of the thread that walks */
	uint32_t thread, process; /* its name, and where */
} first_pins[64], *pins = first_pins;
static unsigned pins_room = STELE_ARRAY_SIZE(first_pins);
static unsigned pins_used; /* the places from here on are free */

static struct pin *pin_of(const struct kmem_cache *s, uint64_t token)
{
	for (unsigned i = 0; i < pins_used; i++)
		if (pins[i].s == s && pins[i].token == token)
			return &pins[i];
	return NULL;
}

/* Twice as many places. */
static bool more_pins(void)
{
	struct pin *more = stele_os_map_anywhere(2ul * pins_room * sizeof(*more));

	if (!more)
		return false;
	memcpy(more, pins, pins_used * sizeof(*more));
	/* ORDER(LIST) release: the child of a fork finds the old ones or the new ones. */
	fence_release();
	pins = more;
	fence_release();
	pins_room *= 2;
	return true;
}

static struct pin *free_pin(void)
{
	for (unsigned i = 0; i < pins_used; i++)
		if (!pins[i].s)
			return &pins[i];
	return pins_used < pins_room || more_pins() ? &pins[pins_used++] : NULL;
}

static void clear_pin(struct pin *pin)
{
	pin->s = NULL;
	while (pins_used && !pins[pins_used - 1].s)
		pins_used--;
}

/* The child of a fork finds a reference too many, never too few. */
static void add_pin(struct kmem_cache *s)
{
	struct pin *pin = free_pin();

	s->refcount++;
	if (!pin)
		return;
	pin->token = stele_os_token();
	pin->thread = stele_thread_name();
	pin->process = stele_os_process();
	/* ORDER(LIST) release: after the reference. */
	fence_release();
	pin->s = s;
}

/* True: the last reference went, and the cache is in no list any more. */
static bool remove_pin(struct kmem_cache *s)
{
	struct pin *pin = pin_of(s, stele_os_token());

	if (pin)
		clear_pin(pin);
	/* ORDER(LIST) release: before the reference. */
	fence_release();
	if (--s->refcount)
		return false;
	stele_list_remove(s);
	return true;
}

/* The thread of the pin is gone. The next walk ends a cache without any reference. */
static void forget_pin(struct pin *pin)
{
	struct kmem_cache *s = pin->s;

	clear_pin(pin);
	/* ORDER(LIST) release: before the reference. */
	fence_release();
	s->refcount--;
}

/* This thread's name may have been the name of a thread that is gone. */
static bool is_pin_of_gone(const struct pin *pin)
{
	return pin->token != stele_os_token() &&
	       (pin->process != stele_os_process() || pin->thread == stele_thread_name() ||
		stele_thread_is_gone(pin->thread));
}

/* @s: at this one alone, without a system call where no walk is; NULL: at any. */
static void forget_the_gone(const struct kmem_cache *s)
{
	for (unsigned i = 0; i < pins_used; i++)
		if (pins[i].s && (!s || pins[i].s == s) && is_pin_of_gone(&pins[i]))
			forget_pin(&pins[i]);
}

static int pins_at(const struct kmem_cache *s)
{
	int n = 0;

	for (unsigned i = 0; i < pins_used; i++)
		n += pins[i].s == s;
	return n;
}

int stele_list_walks_at(const struct kmem_cache *s)
{
	forget_the_gone(s);
	return pins_at(s);
}

bool stele_list_walks_here(void)
{
	for (unsigned i = 0; i < pins_used; i++)
		if (pins[i].s && pins[i].token == stele_os_token())
			return true;
	return false;
}

/* True: a walk of this thread skips @s. This thread is at @s already, or a thread that destroys @s
 * waits for walks, or @that says no. */
static bool is_passed_by(struct kmem_cache *s, cache_question that)
{
	return pin_of(s, stele_os_token()) || (s->awaited && pins_at(s)) ||
	       (that && s->refcount && !that(s));
}

struct kmem_cache *stele_list_next_pinned(struct kmem_cache *s, cache_question that, bool *gone)
{
	struct kmem_cache *next;

	*gone = false;
	if (stele_lock(&stele_list_lock) != 0)
		return NULL;
	if (!s)
		forget_the_gone(NULL);
	next = s ? s->next : stele_caches;
	while (next && is_passed_by(next, that))
		next = next->next;
	if (next)
		add_pin(next);
	*gone = s && remove_pin(s);
	stele_unlock(&stele_list_lock);
	return next;
}

/* ---- in the child of fork() ---- */

/* Walks of the parent's other threads do not go on. A walk of this thread does, if it forked within. */
static void pins_in_child(void)
{
	forget_the_gone(NULL);
	for (unsigned i = 0; i < pins_used; i++) {
		pins[i].thread = stele_thread_name();
		pins[i].process = stele_os_process();
	}
}

/* The list is whole at every moment (stele_list_push()), so a child only needs the lock. */
void stele_list_in_child(void)
{
	stele_mutex_after_fork(&stele_list_lock);
	pins_in_child();
	/* The thread that validated is not here. */
	for (struct kmem_cache *s = stele_caches; s; s = s->next)
		stele_watch_in_child(s);
}
