/* SPDX-License-Identifier: MIT */
/*
 * slab/dead.c - descriptors of slabs that are gone, on partial stacks
 *
 * Idea      A slab that becomes empty gives its frames back wherever it is on its cache's partial
 *           stack, and its descriptor waits there, DEAD, until it comes to the top. Two things bring
 *           it back. A thread that buries a slab pops the dead ones on top of that stack. And when no
 *           new descriptor can be had, the cache floor (cache/short.c) sweeps the stacks of
 *           all caches: a sweep pops what is on top, frees the descriptors of the dead, and pushes
 *           the others back. The steps are in slab/sweep.h.
 * Objects   waiting: dead descriptors on stacks. A thread that stops for ever between burying and
 *           counting leaves it too low by one; it only decides whether a sweep is tried.
 * Order     SLABHEAD (slab/partial.h), STACK, SLABSTATE.
 * Context   any. A sweep holds signals back while it has slabs in hand. If its thread never comes
 *           back, the cache does not find these slabs any more; each gives its frames back when its
 *           last object is freed.
 * Bound     burying pops TOP_MOST dead slabs at most. A sweep of one stack frees DEAD_MOST descriptors
 *           and passes over LIVE_MOST other slabs at most.
 * Limits    A sweep reaches no dead slab that lies on its stack below LIVE_MOST slabs in use.
 * Tests     tests/unit/cache/test_short.c  tests/model/partial.c
 */
#include "slab/slabs.h"
#include "page/run.h"
#include "os/os.h"
#include "percpu/percpu.h"
#include "slab/kmem_cache.h"
#include "slab/parts.h"
#include "slab/sweep.h"

#define TOP_MOST 8u
#define DEAD_MOST 64u
#define LIVE_MOST 4096u

static _Atomic uint64_t waiting;

bool stele_dead_waiting(void)
{
	return load_relaxed(&waiting) != 0;
}

void stele_dead_return(struct run *run)
{
	sub_relaxed(&waiting, 1);
	stele_run_return_descriptor(run);
}

static struct run *run_of_partial(struct partial *slab)
{
	return run_of_link(&slab->link);
}

/* False: there is none on top. */
static bool drop_top(struct stele_stack *stack)
{
	struct partial *slab = sweep_top(stack, stele_hot.base);

	if (slab)
		stele_dead_return(run_of_partial(slab));
	return slab != NULL;
}

void stele_dead_buried(struct stele_stack *stack)
{
	add_relaxed(&waiting, 1);
	for (unsigned i = 0; i < TOP_MOST && drop_top(stack); i++)
		;
}

/* ---- sweeping ---- */

static void return_dead(struct partial *slab)
{
	stele_dead_return(run_of_partial(slab));
}

static unsigned sweep_stack(struct stele_stack *stack)
{
	struct swept swept = { 0 };

	sweep_pop(&swept, stack, stele_hot.base, DEAD_MOST, LIVE_MOST, return_dead);
	sweep_push_back(&swept, stack, stele_hot.base);
	return swept.dead;
}

unsigned stele_dead_sweep(struct kmem_cache *s)
{
	uint64_t signals = stele_os_signals_hold();
	unsigned n = 0;

	for (unsigned node = 0; node < stele_nodes.count; node++)
		if (cache_has_node(s, node))
			n += sweep_stack(cache_partial(s, node));
	stele_os_signals_release(signals);
	return n;
}
