/* SPDX-License-Identifier: MIT */
/*
 * cache/valid.c - whether caches, barns and the words of slots hold together
 *
 * Rules     of a cache: it has words and sheaves, or none of them. A sheaf has room for as many objects
 *           as the cache says. A cache that lost its sheaves, as it checks its objects now, keeps
 *           their size, which nothing reads.
 *           of a barn: the full stack has sheaves with objects, the empty one has sheaves without.
 *           Each says how many lie there, at least itself. That number is a hint (barn_depth()): two
 *           threads may put sheaves on the same one, so it is not compared with the stack.
 *           of a slot: each word is a mark that it may have, or a sheaf of the cache. Once the slot is
 *           shown, each word of the cache was filled in.
 * Context   see valid.h.
 * Tests     tests/unit/cache/test_valid.c; all stress tests and storms, at their ends.
 */
#include "cache/valid.h"
#include "cache/caches.h"
#include "cache/sheaves.h"
#include "page/run.h"
#include "percpu/percpu.h"
#include "percpu/system.h"
#include "slab/parts.h"
#include "slab/valid.h"

/* ---- a cache ---- */

static const char *has_no_sheaves(const struct kmem_cache *s)
{
	STELE_HOLDS(!s->words && !s->fast_recip && !s->fast_limit,
		    "cache: it has words or facts, and no sheaves");
	return NULL;
}

static const char *has_sheaves(const struct kmem_cache *s)
{
	STELE_HOLDS(s->words && s->words % STELE_WORDS_SIZE == 0 && s->words < STELE_SLOT_SIZE,
		    "cache: it has sheaves, and its words are in no slot");
	STELE_HOLDS(!(s->flags & (SLAB_NO_SHEAVES | SLAB_DEBUG_FLAGS)),
		    "cache: it has sheaves against its flags");
	STELE_HOLDS(s->sheaf_size == 256 || s->sheaf_size == 512 || s->sheaf_size == 1024,
		    "cache: no sheaf is of that size");
	STELE_HOLDS(s->capacity <= s->sheaf_size / 8u - SHEAF_OVERHEAD,
		    "cache: a sheaf has no room for that many objects");
	STELE_HOLDS(s->barn_max || s->flags & SLAB_RUNS, "cache: its barns may keep no sheaf");
	return NULL;
}

const char *stele_cache_valid(const struct kmem_cache *s)
{
	uint64_t slabs = load_relaxed(&((struct kmem_cache *)s)->slabs);
	const char *fault = stele_geometry_valid(s);

	if (!fault)
		fault = s->capacity ? has_sheaves(s) : has_no_sheaves(s);
	if (fault)
		return fault;
	STELE_HOLDS(s->refcount >= 0, "cache: it has fewer users than none");
	STELE_HOLDS(slabs >> 32 <= (uint32_t)slabs,
		    "cache: more slabs wait for readers than there are");
	return NULL;
}

/* ---- a barn ---- */

static const char *sheaf_in_barn(const struct kmem_cache *s, struct sheaf *sheaf, bool filled)
{
	uint64_t depth = load_relaxed(&sheaf->depth);
	const char *fault;

	STELE_HOLDS(sheaf_of(sheaf->top, s->sheaf_size) == sheaf,
		    "barn: the top of a sheaf is in another one");
	fault = stele_sheaf_valid(s, sheaf->top);
	if (fault)
		return fault;
	STELE_HOLDS(sheaf_is_empty(sheaf->top, s->sheaf_size) != filled,
		    "barn: a sheaf lies on the wrong stack");
	STELE_HOLDS(depth && depth <= UINT32_MAX, "barn: the depth of a sheaf is none");
	return NULL;
}

static const char *barn_fault(const struct kmem_cache *s, struct stele_stack *stack, bool filled)
{
	struct stack_walk walk = stack_walk_from_top(stack);
	struct stele_link *link;
	const char *fault = NULL;

	while (!fault && (link = stack_walk_node(&walk, stele_hot.base))) {
		fault = sheaf_in_barn(s, (struct sheaf *)link, filled);
		if (!fault)
			stack_walk_down(&walk, stele_hot.base);
	}
	return fault || !stack_walk_met_a_circle(&walk) ? fault : "barn: the stack is a circle";
}

const char *stele_barn_valid(struct kmem_cache *s, struct barn *barn)
{
	const char *fault;

	STELE_HOLDS(load_relaxed(&barn->limit) <= s->barn_max,
		    "barn: it may keep too many sheaves");
	STELE_HOLDS(load_relaxed(&barn->overflow) <= 1, "barn: the overflow is no yes or no");
	STELE_HOLDS(s->capacity || (!barn_has(&barn->full) && !barn_has(&barn->empty)),
		    "barn: it has a sheaf of a cache without sheaves");
	fault = barn_fault(s, &barn->full, true);
	return fault ? fault : barn_fault(s, &barn->empty, false);
}

/* ---- a slot ---- */

const char *stele_cache_slot_valid(struct kmem_cache *s, unsigned slot)
{
	const char *fault = NULL;
	uint64_t found[3];

	if (!s->capacity || !stele_slot_words(slot, s->words, found))
		return NULL;
	STELE_HOLDS((found[0] && found[2]) || !stele_slot_is_shown(slot),
		    "slot: it is shown, and a word of the cache was not filled in");
	for (unsigned i = 0; !fault && i < 3; i++)
		if (stele_is_sheaf(found[i]))
			fault = stele_sheaf_valid(s, found[i]);
	return fault;
}

/* ---- all ---- */

const char *stele_cache_whole(struct kmem_cache *s)
{
	const char *fault = stele_cache_valid(s);

	if (!fault)
		fault = stele_partial_valid(s);
	for (unsigned node = 0; !fault && node < stele_nodes.count; node++)
		fault = stele_barn_valid(s, cache_barn(s, node));
	return fault;
}

static const char *in_all_slots(struct kmem_cache *s)
{
	const char *fault = NULL;

	for (unsigned slot = 0; !fault && slot <= stele_system_facts.slots; slot++)
		fault = stele_cache_slot_valid(s, slot);
	return fault;
}

/* Without the list's lock: a debugger may ask while a thread has it. */
const char *stele_listed_valid(void)
{
	const char *fault = NULL;

	if (!stele_heap_started())
		return NULL;
	for (unsigned slot = 0; !fault && slot <= stele_system_facts.slots; slot++)
		fault = stele_slot_valid(slot, true);
	for (struct kmem_cache *s = stele_caches; !fault && s; s = s->next) {
		fault = stele_cache_whole(s);
		if (!fault)
			fault = in_all_slots(s);
	}
	return fault;
}

const char *stele_caches_valid(void)
{
	const char *fault = stele_slabs_valid();

	return fault ? fault : stele_listed_valid();
}
