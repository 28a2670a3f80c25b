/* SPDX-License-Identifier: MIT */
/*
 * cache/attach.c - one object by the sheaves of the slot, which are filled and emptied for it
 *
 * Idea      Detach, work, attach (cache/attach.h). A full and an empty sheaf in one slot are made two
 *           halves, so that at least half a sheaf of calls lies between two visits here.
 * Order     SLOT, STACK.
 * Context   any.
 * Failure   a lost race or a busy slot: the sheaf in hand goes to the barn, and the caller takes the
 *           next way; nothing waits.
 * Tests     tests/model/sheaf.c, tests/stress/, tests/contract/test_nolock.c
 */
#include "cache/attach.h"
#include "cache/sheaves.h"
#include "percpu/percpu.h"
#include "slab/slabs.h"
#include "slab/parts.h"
#include "sync/atomic.h"

/* How often a call provides a sheaf and tries again, as others may fill or empty that sheaf first.
 * Then one object goes to its slab, or comes from one. */
static int rounds(enum effort effort)
{
	return effort == EFFORT_BOUNDED ? 2 : 4;
}

static unsigned sheaf_fill(struct kmem_cache *s, uint64_t top)
{
	unsigned n = stele_slabs_take(s, stele_node_here(), (uint64_t *)(uintptr_t)top, s->capacity,
				      EFFORT_USUAL);

	SHEAF_EVENT(SHEAF_REFILL, "sheaf_refill", s, sheaf_of(top, s->sheaf_size), n);
	return n;
}

void *stele_sheaves_alloc(struct kmem_cache *s, enum effort effort)
{
	void *p = NULL;

	for (int i = rounds(effort); !p && s->capacity && i && slot_provide_filled(s, effort); i--)
		p = stele_pcpu_pop(s->words);
	return p ? p : stele_barn_take_one(s);
}

/* An empty sheaf for a bounded call, if the full one that it replaces has a place: the slot, or a barn
 * below its limit. */
static uint64_t empty_as_it_is(struct kmem_cache *s, uint64_t main)
{
	struct barn *barn = barn_here(s);
	uint64_t top;

	if (stele_is_sheaf(main) && stele_is_sheaf(stele_pcpu_read(s->words, WORD_SPARE)) &&
	    barn_depth(&barn->full) >= load_relaxed(&barn->limit))
		return 0;
	top = barn_get(&barn->empty);
	return top || stele_is_sheaf(main) ? top : stele_sheaf_new(s);
}

static uint64_t sheaf_with_room(struct kmem_cache *s, uint64_t main, enum effort effort)
{
	return effort == EFFORT_BOUNDED ? empty_as_it_is(s, main) : stele_sheaf_get_empty(s);
}

bool stele_sheaves_free(struct kmem_cache *s, void *p, enum effort effort)
{
	for (int i = rounds(effort); s->capacity && i && slot_provide_room(s, effort); i--)
		if (stele_pcpu_push(s->words, p))
			return true;
	return false;
}
