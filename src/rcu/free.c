/* SPDX-License-Identifier: MIT */
/*
 * rcu/free.c - kfree_rcu() and its kin
 *
 * Idea      The fast path is kfree()'s, with another word of the slot: address -> tag -> push onto
 *           the rcu sheaf. Where that is not possible:
 *             large block        its descriptor is queued; nothing of the block is touched
 *             no sheaf to be had the object is linked through the word its user gave for it; the
 *                                base is found again from that word's address
 *             and no such word   (mightsleep) a grace period here and now, then kfree()
 * Context   kfree_rcu(): as ordinary code, holding locks or reading; in a signal handler when the
 *           process has used RCU before. kfree_rcu_nolock(): any; it starts no thread, waits for
 *           nothing, and holds no caller back. The mightsleep forms and barriers: ordinary threads.
 * Failure   a bad pointer is reported under the name of the call, and kept. Freed twice: seen when
 *           it is the last that was given here, when its slab has it free, and for large blocks
 *           always; else when its sheaf comes back to its slab.
 * Promise   contract 32 (docs/contract.md)
 * Tests     tests/contract/test_rcu_free.c  tests/death/
 */
#include "base/basics.h"
#include "rcu/rcu.h"
#include "cache/fast.h"
#include "cache/object.h"
#include "cache/rcu.h"
#include "page/run.h"
#include "percpu/percpu.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"
#include "slab/checks.h"
#include "slab/slabs.h"
#include "sync/grace.h"
#include "trace/trace.h"
#include <errno.h>

/* A call's facts besides the pointer, and its outcome. */
struct giving {
	struct stele_call call;
	struct stele_grace_link *head; /* NULL: the object has no word for it */
	struct stele_grace *grace;     /* whose readers are waited for; NULL: reported */
	bool no_place;		       /* it waits nowhere: the caller has to */
};

static bool reported(struct stele_call call, const void *p, const char *what, const char *cache)
{
	stele_report_free(call, p, what, cache);
	return true;
}

/* ---- large blocks ---- */

static uint64_t large_done(struct stele_grace_call *call)
{
	struct run *run = STELE_CONTAINER_OF(call, struct run, grace);
	uint64_t bytes = run->bytes;

	/* The block still counts as given here, so a second free of it is reported. */
	probe_kfree((void *)run->base);
	if (!watching() || stele_watch_large_give((struct stele_call){ "kfree_rcu", NULL }, run))
		stele_large_free(run);
	return bytes;
}

static void give_large(struct giving *giving, struct run *run)
{
	/* One of two wins; the queue orders the block's contents for the runner. */
	if (exchange_relaxed(&run->grace.done, large_done)) {
		reported(giving->call, (void *)run->base, STELE_GIVEN, NULL);
		return;
	}
	giving->grace = &stele_graces[0];
	stele_grace_call(giving->grace, &run->grace, large_done, run->bytes);
}

/* ---- objects of slabs ---- */

/* Links the object through its own word. False: it has none. */
static bool give_head(const struct giving *giving, const struct run *run)
{
	struct stele_grace *g = stele_grace_of(run_cache(run));

	if (!giving->head)
		return false;
	if (load_relaxed(&g->heads.first) == giving->head)
		return reported(giving->call, run_start_of(run, giving->head), STELE_GIVEN,
				run_cache(run)->name);
	stele_rcu_count(run_cache(run));
	stele_grace_head(g, giving->head, run->size);
	return true;
}

/* Whether the object at @p can be given; reported if not. */
static bool may_give(const struct giving *giving, const struct run *run, void *p)
{
	const struct kmem_cache *s = run_cache(run);

	if (!run_has_object_at(run, p))
		return !reported(giving->call, p, "not the start of an object", s->name);
	if (stele_pcpu_on_top_rcu(s->words, p))
		return !reported(giving->call, p, STELE_GIVEN, s->name);
	if (stele_seen_free(run, p))
		return !reported(giving->call, p, "object was already free", s->name);
	return true;
}

static void give_object(struct giving *giving, struct run *run, void *p)
{
	struct kmem_cache *s;

	if (!may_give(giving, run, p))
		return;
	s = run_cache(run);
	giving->grace = stele_grace_of(s);
	giving->no_place = !stele_rcu_push(s, p) && !give_head(giving, run);
}

/* ---- any pointer ---- */

/* For pointers that the fast path could not take. Any context. */
static void give_any(struct giving *giving, void *p)
{
	struct run *run;

	if (ZERO_OR_NULL_PTR(p) || slab_free_by(stele_pcpu_push_rcu, p))
		return;
	run = stele_heap_started() ? stele_run_of(p) : NULL;
	if (stele_refuse_own(giving->call.name, p, giving->call.site))
		return;
	if (!run || run->kind == RUN_NONE || run_rests(run))
		reported(giving->call, p, STELE_NOT_OURS, NULL);
	else if (run->kind == RUN_SLAB)
		give_object(giving, run, p);
	else if (run_is_pages(run))
		reported(giving->call, p, "pages of alloc_pages()", NULL);
	else if (run->base != (uintptr_t)p)
		reported(giving->call, p, "not the start of an object", NULL);
	else
		give_large(giving, run);
}

/* Neither a sheaf nor a word of its own: a grace period here and now. */
static void wait_and_free(const struct giving *giving, void *p)
{
	if (stele_runner_synchronize(giving->grace) == 0)
		stele_free(giving->call.name, p, NULL);
	else
		reported(giving->call, p, "no grace period to be had", NULL);
}

static __attribute__((noinline)) void give_slow(struct stele_call call, void *p, void *head,
						bool sleepable)
{
	struct giving giving = { .call = call, .head = head };

	give_any(&giving, p);
	if (!giving.grace)
		return;
	if (stele_rcu_serve(giving.grace) == -EINVAL)
		stele_rcu_say_no_flavor();
	else if (giving.no_place)
		wait_and_free(&giving, p);
	else
		stele_runner_hold_back(giving.grace, sleepable);
}

void stele_kfree_rcu(void *p, void *head)
{
	if (stele_unlikely(!slab_free_by(pcpu_push_rcu, p)))
		give_slow((struct stele_call){ "kfree_rcu", STELE_CALLER }, p, head, false);
}

static __attribute__((noinline)) void give_nolock(void *p, void *head, const void *site)
{
	struct giving giving = { .call = { "kfree_rcu_nolock", site }, .head = head };

	give_any(&giving, p);
}

STELE_NEVER_WAITS void stele_kfree_rcu_nolock(void *p, void *head)
{
	if (stele_unlikely(!slab_free_by(pcpu_push_rcu, p)))
		give_nolock(p, head, STELE_CALLER);
}

void kvfree_rcu_mightsleep(const void *p)
{
	if (!slab_free_by(pcpu_push_rcu, (void *)p))
		give_slow((struct stele_call){ "kfree_rcu_mightsleep", STELE_CALLER }, (void *)p,
			  NULL, true);
}
