/* SPDX-License-Identifier: MIT */
/*
 * cache/rcu.c - sheaves of objects that readers may still look at
 *
 * Idea      kfree_rcu() pushes onto a third sheaf of the slot. A full one goes, whole, into the
 *           queue of sync/grace.h, and after the grace period, whole, into the barn: one step for
 *           all its objects each time. A slab of a type-stable cache goes the same way when it
 *           is empty (slab/retire.c).
 * States    an rcu sheaf is in a slot's RCU; in one thread's hands; waiting; then as any other.
 *           Objects in it are allocated, as far as their slabs know.
 * Objects   a sheaf that waits: link and top are the queue's entry, depth has the cache and, in
 *           the top byte, how many objects. handing: the threads between detaching a sheaf and
 *           queueing it (sync/in_hand.h).
 * Order     GRACE with what was given away. HANDOVER: a thread enters its name before it detaches
 *           a sheaf, and leaves when the sheaf is queued; a barrier empties the slots, then waits
 *           for the names: a sheaf that was detached before is queued by then.
 * Context   pushing, and queueing: any. Flushing and barriers: ordinary threads. Signals
 *           are held back while a thread has a sheaf in hand, so no handler can leave there. It
 *           costs two system calls per full sheaf.
 * Failure   no sheaf, or a busy slot: false, the caller has another way (rcu/free.c).
 * Tests     tests/contract/test_typesafe.c  tests/model/handover.pml  tests/stress/rcu.c
 */
#include "cache/rcu.h"
#include "cache/sheaves.h"
#include "cache/broken.h"
#include "cache/object.h"
#include "os/os.h"
#include "percpu/cpus.h"
#include "percpu/percpu.h"
#include "percpu/system.h"
#include "slab/slabs.h"
#include "sync/grace.h"
#include "sync/in_hand.h"
#include <stele/cpu.h>

static struct names handing = { .is_gone = stele_thread_is_gone };
static _Atomic uint64_t sheaves; /* that wait */

uint64_t stele_rcu_sheaves(void)
{
	return load_relaxed(&sheaves);
}

#define COUNT_SHIFT 56
#define TO_SLABS 128u /* added to the count: not into the barn */

_Static_assert(offsetof(struct sheaf, link) == 0 &&
		       offsetof(struct sheaf, top) == offsetof(struct stele_grace_call, done) &&
		       sizeof(struct stele_grace_call) == offsetof(struct sheaf, depth),
	       "a queue's entry lies over the link and the top of a sheaf");

/* ---- sheaves ---- */

/* They were freed by fast steps; no reader has them any more. */
static void clear_objects(const struct kmem_cache *s, const uint64_t *object, uint64_t count)
{
	for (uint64_t i = 0; i < count; i++)
		clear_freed(s, (void *)(uintptr_t)object[i]);
}

/* The grace period is over. */
static uint64_t sheaf_done(struct stele_grace_call *call)
{
	struct sheaf *sheaf = (struct sheaf *)call;
	uint64_t depth = load_relaxed(&sheaf->depth);
	struct kmem_cache *s = (struct kmem_cache *)(depth & ((1ull << COUNT_SHIFT) - 1));
	uint64_t count = depth >> COUNT_SHIFT & ~TO_SLABS, bytes = count * s->size;
	uint64_t top = sheaf_bottom(sheaf) + count * 8;

	store_relaxed(&call->done, NULL);
	STELE_POINT("rcu:sheaf-done");
	sub_relaxed(&sheaves, 1);
	if (clears_freed(s))
		clear_objects(s, (const uint64_t *)(uintptr_t)sheaf_bottom(sheaf), count);
	if (depth >> COUNT_SHIFT & TO_SLABS)
		stele_sheaf_dissolve(s, top);
	else
		stele_sheaf_put(s, top, EFFORT_USUAL);
	stele_rcu_uncount(s);
	return bytes;
}

/* Puts a sheaf with objects in it where it waits. @how: TO_SLABS or 0. */
static void queue_sheaf(struct kmem_cache *s, uint64_t top, uint64_t how)
{
	struct sheaf *sheaf = sheaf_of(top, s->sheaf_size);
	uint64_t count = sheaf_count(top, s->sheaf_size);

	add_relaxed(&sheaves, 1);
	stele_rcu_count(s);
	store_relaxed(&sheaf->depth, (uint64_t)(uintptr_t)s | (count | how) << COUNT_SHIFT);
	stele_grace_call(stele_grace_of(s), (struct stele_grace_call *)sheaf, sheaf_done,
			 count * s->size);
}

/* A barrier that begins after the objects were given sees this: the program orders the two calls. */
static void note_giving(struct kmem_cache *s)
{
	if (stele_unlikely(!load_relaxed(&s->gives)))
		store_relaxed(&s->gives, true);
}

bool stele_rcu_has_given(struct kmem_cache *s)
{
	return load_relaxed(&s->gives) || load_relaxed(&s->idle_kept);
}

/* Replaces RCU, seen as @old, by the empty sheaf @new; @old then waits for readers. */
static void replace_rcu(struct kmem_cache *s, uint64_t old, uint64_t new)
{
	uint64_t signals = stele_os_signals_hold();
	/* ORDER(HANDOVER): a barrier that finds the sheaf gone sees the name. */
	struct name name;
	bool named = in_hand_enter(&handing, stele_thread_name(), &name);

	note_giving(s);
	if (!named || !stele_pcpu_cas(s->words, WORD_RCU, old, new)) {
		stele_sheaf_put(s, new, EFFORT_USUAL);
	} else if (stele_is_sheaf(old)) {
		STELE_POINT("rcu:detached");
		queue_sheaf(s, old, 0);
	}
	/* ORDER(HANDOVER): the sheaf is queued. */
	in_hand_leave(&name);
	stele_os_signals_release(signals);
}

/* Gives this slot an rcu sheaf with room. False: it cannot have one now. */
static bool provide_rcu_room(struct kmem_cache *s)
{
	uint64_t old = stele_pcpu_read(s->words, WORD_RCU), new;

	if (!word_attachable_mend(old))
		return false;
	if (stele_is_sheaf(old) && !sheaf_is_full(old, s->sheaf_size, s->capacity))
		return true;
	new = stele_sheaf_get_empty(s);
	if (!new)
		return false;
	replace_rcu(s, old, new);
	return true;
}

#define ROUNDS 4 /* others may fill what we provide */

bool stele_rcu_push(struct kmem_cache *s, void *p)
{
	stele_grace_use();
	for (int i = 0; s->capacity && i < ROUNDS; i++) {
		if (stele_pcpu_push_rcu(s->words, p))
			return true;
		if (!provide_rcu_room(s))
			return false;
	}
	return false;
}

static void queue_taken(uint64_t top, void *arg)
{
	struct kmem_cache *s = arg;

	if (sheaf_count(top, s->sheaf_size))
		queue_sheaf(s, top, TO_SLABS);
	else
		stele_sheaf_put(s, top, EFFORT_USUAL);
}

bool stele_rcu_hold(struct name *name)
{
	return in_hand_enter(&handing, stele_thread_name(), name);
}

void stele_rcu_let_go(const struct name *name)
{
	in_hand_leave(name);
}

void stele_rcu_give_sheaf(struct kmem_cache *s, uint64_t top)
{
	queue_taken(top, s);
}

/* A thread takes from its own slot by a step, and needs no membarrier for that. */
static void queue_own_slot(struct kmem_cache *s)
{
	uint64_t top = stele_pcpu_read(s->words, WORD_RCU);

	if (stele_is_sheaf(top) && stele_pcpu_cas(s->words, WORD_RCU, top, SHEAF_EMPTY))
		queue_taken(top, s);
}

/* A handler that never comes back would take the sheaves with it: signals are held back. Another
 * barrier that finds the slots empty meanwhile waits for this one. */
static int empty_slots(struct kmem_cache *s)
{
	uint64_t signals = STELE_BROKEN_FLUSH_UNHELD ? stele_os_signals_hold()
						     : stele_cpus_read_held();
	struct name name;
	int error;

	while (!stele_rcu_hold(&name))
		stele_os_nap();
	error = stele_pcpu_take_rcu(s->words, queue_taken, s);
	if (error)
		queue_own_slot(s);
	STELE_POINT("rcu:flushed");
	stele_rcu_let_go(&name);
	if (!STELE_BROKEN_FLUSH_UNHELD)
		stele_cpus_let_go();
	stele_os_signals_release(signals);
	stele_cpus_catch_up();
	return error;
}

/* Empty slabs that the cache kept because no thread waited for readers: one does now, if any can. */
static void give_kept(struct kmem_cache *s)
{
	uint64_t signals;

	if (stele_likely(!load_relaxed(&s->idle_kept)) || !stele_grace_runner)
		return;
	stele_grace_runner->serve(stele_grace_of(s));
	signals = stele_os_signals_hold();
	store_relaxed(&s->idle_kept, false);
	stele_slabs_tidy(s);
	stele_os_signals_release(signals);
}

int stele_rcu_flush(struct kmem_cache *s)
{
	int error;

	give_kept(s);
	if (!s->capacity)
		return 0;
	error = empty_slots(s);
	/* ORDER(HANDOVER) acquire: the slots were empty, so each object of theirs is in hand or queued. */
	fence_acquire();
	in_hand_wait(&handing, stele_thread_name(), stele_thread_nap, PATIENCE);
	return error;
}

int stele_rcu_barrier(struct kmem_cache *s)
{
	int error = stele_rcu_flush(s), late;

	late = stele_grace_runner ? stele_grace_runner->barrier(stele_grace_of(s), s) : 0;
	return error ? error : late;
}

void stele_rcu_after_fork(void)
{
	names_after_fork(&handing);
}
