/* SPDX-License-Identifier: MIT */
/*
 * cache/destroy.c - the end of a cache
 *
 * Idea      Destroy empties every slot and barn. If a slab is left, the cache stays in memory, unlisted.
 *           Either an object is alive: it is reported, and a late free of it is safe. Or another
 *           thread had the slab in its hands for longer than the call waits: that thread is in a
 *           destructor, or stands still, or was lost with the slab.
 * Walks     A walk of another thread may be at the cache, perhaps in its destructor. The call waits for
 *           it, so that nothing of the cache runs when the call returns. After five seconds the cache
 *           is left to the walk, which ends it when it goes on. A walk that was left by a jump never
 *           does: then the cache stays in memory until the thread has ended, and the next walk ends
 *           it. A thread that walks itself leaves it to the other walk at once.
 * Locks     the CPU set for reading (percpu/cpus.h), then list. A thread that holds the CPU
 *           set waits for no grace period: a callback after one may need the set. So a cache that a
 *           step, a constructor or a destructor destroys meanwhile leaves the list at once; the same
 *           thread empties it later, when it has let go of the set.
 * Objects   put_off: under the list lock, looked at racily.
 * Context   ordinary threads. Signals are held back while something is taken apart: a handler that
 *           never comes back would lose it. Signals are let in while the call waits for readers, or for
 *           another thread's walk. A handler that jumps out of such a wait leaves the cache as it is: in
 *           memory, and out of the list if the wait was for readers.
 * Order     LIST, SLABS, DESTROYED.
 * Promise   contract 25 and 30 (docs/contract.md)
 * Tests     tests/contract/test_cache_create.c  tests/death/destroy_live.c
 *           tests/contract/test_signals_come.c  tests/contract/test_walk_left.c
 *           tests/contract/test_walk_pins.c
 */
#include "cache/caches.h"
#include "base/fmt.h"
#include "cache/chores.h"
#include "cache/rcu.h"
#include "os/os.h"
#include "percpu/cpus.h"
#include "percpu/system.h"
#include "slab/slabs.h"
#include "slab/object.h"
#include "slab/checks.h"
#include "sync/grace.h"
#include "sync/mutex.h"

static _Atomic(struct kmem_cache *) put_off; /* destroyed, not emptied yet */

#define REPORTED_OBJECTS 16

struct leftover {
	struct kmem_cache *s;
	unsigned printed; /* or counted */
};

static STELE_RACY_LOOK void report_slab(struct run *run, void *arg)
{
	struct leftover *left = arg;

	if (run->kind != RUN_SLAB || run->cache != left->s || !run->recip)
		return;
	for (uint32_t i = 0; i < run->objects; i++) {
		uintptr_t p = (uintptr_t)object_at(run, i);

		if (object_is_free(run, (void *)p) || left->printed++ >= REPORTED_OBJECTS)
			continue;
		stele_say("stele: Object %p @offset=%zu\n", (void *)p, (size_t)(p - run->base));
		stele_watch_tracks(left->s, (void *)p);
	}
}

static STELE_RACY_LOOK void count_live(struct run *run, void *arg)
{
	struct leftover *left = arg;

	if (run->kind != RUN_SLAB || run->cache != left->s || !run->recip)
		return;
	for (uint32_t i = 0; i < run->objects; i++)
		left->printed += !object_is_free(run, object_at(run, i));
}

static unsigned live_objects(struct kmem_cache *s)
{
	struct leftover left = { .s = s };

	stele_run_each(count_live, &left);
	return left.printed;
}

static void report_leftovers(struct kmem_cache *s, const void *caller)
{
	struct leftover left = { .s = s };
	char place[STELE_OS_PLACE_SIZE];

	stele_say("stele: BUG %s: Objects remaining on kmem_cache_destroy()\n", s->name);
	stele_run_each(report_slab, &left);
	if (left.printed > REPORTED_OBJECTS)
		stele_say("stele: ... and %u more objects\n", left.printed - REPORTED_OBJECTS);
	stele_say(
		"stele: kmem_cache_destroy %s: Slab cache still has objects when called from %s\n",
		s->name, stele_os_place(caller, place));
}

/* No object is alive. */
static void report_in_hand(struct kmem_cache *s)
{
	stele_say("stele: kmem_cache_destroy %s: no object remains, but another thread has a slab "
		  "in its hands and does not go on; kept\n",
		  s->name);
}

/*
 * Empties a cache that no thread uses, as far as the system lets us. A slab without live objects
 * that is left is in the hands of another thread that retires it for us (slab/deferred.c): it will be
 * done soon, unless it was stopped for good, and then the cache must stay as well.
 */
static int empty_for_good(struct kmem_cache *s)
{
	int error;

	s->ending = true;
	error = stele_cache_empty(s);
	if (s->flags & SLAB_TYPESAFE_BY_RCU && stele_grace_runner)
		stele_grace_runner->barrier(stele_grace_of(s), s);
	/* ORDER(SLABS) acquire */
	for (int i = 0; !error && load_acquire(&s->slabs) && i < PATIENCE; i++) {
		if (live_objects(s))
			break;
		stele_os_nap();
		error = stele_cache_empty(s);
	}
	return error;
}

#define REMEMBERED                                                                                 \
	64u /* destroyed caches whose names debug builds know, until memory is asked back */

static _Atomic(struct kmem_cache *) remembered[REMEMBERED];

void stele_destroyed_forget(void)
{
	for (unsigned i = 0; i < REMEMBERED; i++) {
		/* ORDER(DESTROYED) acquire: the thread that destroyed it is done with it. */
		struct kmem_cache *s = exchange_acq_rel(&remembered[i], NULL);

		if (s)
			stele_cache_give(s);
	}
}

/* In debug builds: remembers it, every use of which goes the slow way. One that was kept long enough
 * comes out instead, or NULL. */
static struct kmem_cache *remember_for_a_while(struct kmem_cache *s)
{
	static _Atomic uint32_t next;

	s->destroyed = true;
	/* ORDER(DESTROYED) release: done with this one; acquire: with the one that comes out, too. */
	return exchange_acq_rel(&remembered[add_relaxed(&next, 1) % REMEMBERED], s);
}

static void release_cache(struct kmem_cache *s)
{
	uint64_t signals = stele_os_signals_hold();

	/* The slabs that others buried after the last look. */
	stele_slabs_tidy(s);
	stele_cache_free_parts(s);
	if (STELE_DEBUG)
		s = remember_for_a_while(s);
	if (s)
		stele_cache_give(s);
	stele_os_signals_release(signals);
}

/* A cache that is in no list any more. Waits with signals open. */
static void empty_and_release(struct kmem_cache *s, const void *caller)
{
	int error = empty_for_good(s);

	/* ORDER(SLABS) acquire */
	if (!load_acquire(&s->slabs))
		release_cache(s);
	else if (error)
		stele_say("stele: kmem_cache_destroy %s: the system refuses membarrier (error %d), "
			  "so free objects cannot be told from others; kept\n",
			  s->name, error);
	else if (live_objects(s))
		report_leftovers(s, caller);
	else
		report_in_hand(s);
}

/* Like stele_list_push(), for a cache that is in no list any more. */
static void put_off_emptying(struct kmem_cache *s, const void *caller)
{
	s->put_off_by = stele_thread_cpus();
	s->destroyed_from = caller;
	if (stele_lock(&stele_list_lock) != 0)
		return;
	s->next = load_relaxed(&put_off);
	/* ORDER(LIST) release: the child of a fork finds the list whole. */
	store_release(&put_off, s);
	stele_unlock(&stele_list_lock);
}

/* One that this thread has put off, or NULL. */
static struct kmem_cache *take_put_off(void)
{
	struct kmem_cache *s, *before = NULL;

	if (!load_relaxed(&put_off) || stele_lock(&stele_list_lock) != 0)
		return NULL;
	for (s = load_relaxed(&put_off); s && s->put_off_by != stele_thread_cpus(); s = s->next)
		before = s;
	if (s && before)
		before->next = s->next;
	else if (s)
		store_relaxed(&put_off, s->next);
	stele_unlock(&stele_list_lock);
	return s;
}

/* This thread has let go of the CPU set. */
void stele_cache_finish_put_off(void)
{
	struct kmem_cache *s;

	while ((s = take_put_off())) {
		if (stele_grace_used())
			stele_rcu_barrier(s);
		empty_and_release(s, s->destroyed_from);
	}
}

/* Emptying waits, for grace periods above all; a thread that holds the CPU set does it later. */
void stele_cache_finish(struct kmem_cache *s, const void *caller)
{
	if (stele_cpus_are_held())
		put_off_emptying(s, caller);
	else
		empty_and_release(s, caller);
}

/* A reference more, so that the cache stays what it is. False: it is not in the list. */
static bool pin(struct kmem_cache *s)
{
	bool listed;

	if (stele_lock(&stele_list_lock) != 0)
		return false;
	listed = stele_list_has(s);
	s->refcount += listed;
	stele_unlock(&stele_list_lock);
	return listed;
}

#define WALK_PATIENCE (5 * PATIENCE)

enum drop {
	DROPPED,
	DROPPED_LAST, /* it is in no list any more */
	DROP_LATER,   /* nothing was done: walks are at it */
	DROP_UNKNOWN  /* it is no cache, or no user has it any more */
};

/* Of two threads that walk, each could wait for the other: a walker leaves the cache to the walk. */
static enum drop drop_listed(struct kmem_cache *s, int n, bool patient)
{
	int walks = stele_list_walks_at(s), users = s->refcount - walks - n;

	if (users < 0) {
		s->refcount -= n - 1;
		return DROP_UNKNOWN;
	}
	s->awaited = walks && !users;
	if (s->awaited && !stele_list_walks_here()) {
		if (patient)
			return DROP_LATER;
		stele_say("stele: kmem_cache_destroy %s: a walk of another thread stays at it; "
			  "kept until the walk goes on\n",
			  s->name);
	}
	s->refcount -= n;
	if (s->refcount)
		return DROPPED;
	stele_list_remove(s);
	return DROPPED_LAST;
}

/* Takes @n references away. @patient: does nothing while walks of other threads alone would keep the
 * cache. */
static enum drop drop(struct kmem_cache *s, int n, bool patient)
{
	enum drop result = DROP_UNKNOWN;

	if (stele_lock(&stele_list_lock) != 0)
		return DROPPED;
	if (stele_list_has(s))
		result = drop_listed(s, n, patient);
	stele_unlock(&stele_list_lock);
	if (result != DROP_UNKNOWN)
		return result;
	if (STELE_DEBUG && stele_is_cache_memory(s) && s->destroyed)
		stele_report_destroyed((struct stele_call){ "kmem_cache_destroy", NULL }, s);
	else
		stele_say("stele: kmem_cache_destroy(%p): not a cache, or already destroyed\n",
			  (void *)s);
	return result;
}

/* Objects that were given to kfree_rcu() come back first. No lock is held: readers may take any. */
static int wait_for_readers(struct kmem_cache *s)
{
	if (!stele_grace_used() || stele_cpus_are_held() || !pin(s))
		return 1;
	stele_rcu_barrier(s);
	return 2;
}

/* Once the cache is in no list, the call waits for readers only. */
void kmem_cache_destroy(struct kmem_cache *s)
{
	enum drop result;
	int references;

	if (!s)
		return;
	references = wait_for_readers(s);
	for (int i = 0; (result = drop(s, references, i < WALK_PATIENCE)) == DROP_LATER; i++)
		stele_os_nap();
	if (result == DROPPED_LAST)
		stele_cache_finish(s, __builtin_return_address(0));
}
