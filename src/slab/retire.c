/* SPDX-License-Identifier: MIT */
/*
 * slab/retire.c - ends a slab that became empty, and tidies the partial stacks
 *
 * Idea      A slab that becomes empty gives its frames back at once, wherever it is on the stack;
 *           only its descriptor waits there (DEAD, dead.c). A slab of a type-stable cache waits until its
 *           readers have left: its objects are not in use, its memory may still be read. Where no
 *           thread can be made that waits for readers, the cache keeps such slabs.
 * Order     STACK, SLABSTATE, SLABS; GRACE with what was given away.
 * Context   retiring: any; it calls the cache's destructor. Tidying: ordinary threads.
 * Tests     tests/unit/slab/  tests/contract/test_typesafe.c
 */
#include "page/run.h"
#include "slab/slabs.h"
#include "page/where.h"
#include "percpu/percpu.h"
#include "slab/hooks.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"
#include "slab/partial.h"
#include "slab/parts.h"
#include "slab/checks.h"
#include "sync/grace.h"

struct stele_grace *stele_grace_of(const struct kmem_cache *s)
{
	return s->grace ? s->grace : &stele_graces[0];
}

static void destruct(const struct kmem_cache *s, const struct run *run)
{
	for (unsigned i = 0; s->dtor && i < run->objects; i++)
		s->dtor(object_at(run, i));
}

static void retire_now(struct kmem_cache *s, struct run *run, enum effort effort)
{
	struct stele_stack *stack = cache_partial(s, node_at((void *)run->base));
	unsigned frames = s->frames;
	uint64_t one = s->flags & SLAB_TYPESAFE_BY_RCU ? SLAB_DYING + 1 : 1;

	CACHE_EVENT(SLAB_FREE, "slab_free", s, (void *)run->base, s->objects, run->bytes);
	stele_pages_given((void *)run->base, run->bytes);
	destruct(s, run);
	run->recip = 0;
	stele_run_return_frames(run, effort);
	if (state_bury(&run->state))
		stele_run_return_descriptor(run);
	else
		stele_dead_buried(stack);
	/* ORDER(SLABS) release: done with the cache. A thread that destroys it waits for this, no
	 * longer. */
	atomic_fetch_sub_explicit(&s->slabs, one, memory_order_release);
	slab_hooks()->shrunk(frames, effort);
}

/* The grace period of its readers is over. */
static uint64_t readers_left(struct stele_grace_call *call)
{
	struct run *run = STELE_CONTAINER_OF(call, struct run, grace);
	struct kmem_cache *s = run->cache;
	uint64_t bytes = run->bytes;

	store_relaxed(&call->done, NULL);
	STELE_POINT("rcu:slab-done");
	retire_now(s, run, EFFORT_USUAL);
	return bytes;
}

static void retire_after_readers(struct kmem_cache *s, struct run *run)
{
	add_relaxed(&s->slabs, SLAB_DYING);
	stele_grace_call(stele_grace_of(s), &run->grace, readers_left, run->bytes);
}

/* Ready for the next allocation, as if its last object had just come back. */
static void keep_idle(struct kmem_cache *s, struct run *run)
{
	bool idle;

	store_relaxed(&s->idle_kept, true);
	if (state_give_keep(&run->state, run->objects, run->objects, &idle) == GIVE_LIST)
		cache_list_slab(s, run);
}

/*
 * Whether the slab, which has no owner any more, may end now or after its readers. In a process
 * where no thread waits for readers, such as a child of fork() that has not started one, no thread
 * would ever end a slab of a type-stable cache. The cache keeps it and uses it again, until it is
 * shrunk or destroyed, or a barrier is waited for. A checked cache keeps a slab while a thread
 * validates.
 */
static bool may_end(struct kmem_cache *s, struct run *run)
{
	/* ORDER(RUNNER) acquire: a thread serves, and its flavour is set. */
	if (stele_unlikely(s->flags & SLAB_TYPESAFE_BY_RCU) && !s->ending &&
	    !load_acquire(&stele_grace_of(s)->served))
		return false;
	/* Last, as it hides the slab from threads that validate. */
	return stele_likely(!s->meta) || stele_watch_may_end(s, run);
}

void stele_slab_retire(struct kmem_cache *s, struct run *run, enum effort effort)
{
	if (s->flags & SLAB_KEPT)
		stele_kept_park(s, run, effort);
	else if (stele_unlikely(!may_end(s, run)))
		keep_idle(s, run);
	else if (stele_likely(!(s->flags & SLAB_TYPESAFE_BY_RCU)))
		retire_now(s, run, effort);
	else
		retire_after_readers(s, run);
}

/* ---- tidying ---- */

/* Slabs whose objects are checked end here only. */
static void end_idle(struct kmem_cache *s, struct run *run)
{
	if (s->meta)
		stele_watch_last_look(s, run);
	stele_slab_retire(s, run, EFFORT_USUAL);
}

static void tidy_slab(struct partial *slab, enum tidied what, void *cache)
{
	struct run *run = run_of_link(&slab->link);

	if (what == TIDY_RETURN)
		stele_dead_return(run);
	else if (what == TIDY_RETIRE)
		end_idle(cache, run);
	else
		cache_list_slab(cache, run);
}

void stele_slabs_tidy(struct kmem_cache *s)
{
	if (s->meta)
		stele_watch_forget_the_gone(s);
	for (unsigned node = 0; node < stele_nodes.count; node++)
		if (cache_has_node(s, node))
			partial_tidy(cache_partial(s, node), stele_hot.base, s->objects, tidy_slab,
				     s);
}
