/* SPDX-License-Identifier: MIT */
/*
 * slab/valid.c - whether a cache's geometry, a slab and its bitmap, and partial stacks hold together
 *
 * Rules     Of a cache: the numbers that are computed from its size are those of its size.
 *           A slab has the sizes and numbers that its cache says. The count of free objects is at
 *           most the number of bits that are set, and that is at most the number of objects. A
 *           thread that left in the middle of a call has claimed objects for good, so more bits may
 *           be set than are counted.
 *           A partial stack has slabs of its cache that know of it, and descriptors of dead ones.
 * Context   ordinary threads; see valid.h.
 * Tests     tests/unit/slab/test_valid.c
 */
#include "slab/valid.h"
#include "slab/bitmap.h"
#include "slab/checks.h"
#include "slab/object.h"
#include "slab/partial.h"
#include "slab/parts.h"
#include <string.h>

/* ---- a cache's geometry ---- */

#define FLAGS_KNOWN                                                                                \
	(SLAB_FLAGS_PERMITTED | SLAB_FAILSLAB | SLAB_NO_SHEAVES | SLAB_OWN | SLAB_KEPT |           \
	 SLAB_RUNS | SLAB_SPARABLE | SLAB_SHORT)

static const char *lies_as_laid_out(const struct kmem_cache *s)
{
	STELE_HOLDS(s->align && !(s->align & (s->align - 1)),
		    "cache: the alignment is no power of two");
	STELE_HOLDS(s->size && s->size % s->align == 0 && s->size >= cache_object_size(s),
		    "cache: the distance of objects does not fit their size and alignment");
	STELE_HOLDS(s->recip == ~0ull / s->size + 1,
		    "cache: the reciprocal is not that of its size");
	STELE_HOLDS(!s->meta == !(s->flags & SLAB_LAYOUT_FLAGS),
		    "cache: objects have records that are not asked for, or lack them");
	STELE_HOLDS(s->meta < s->size && s->first % s->align == 0 && (s->meta || !s->first),
		    "cache: the first object, or its record, lies where none does");
	return NULL;
}

/* Both are 0 where a fast free cannot tell the objects; else as in stele_slab_facts(). */
static const char *fast_facts_agree(const struct kmem_cache *s)
{
	uint64_t e = (uint64_t)s->fast_recip * s->size - (1ull << 32);
	const struct object_facts *facts = facts_at(s->words);

	if (!s->fast_recip && !s->fast_limit)
		return NULL;
	STELE_HOLDS(s->words && e < s->size && s->fast_limit == (s->objects - 1) * e + 1,
		    "cache: the facts of fast frees are not those of its size");
	STELE_HOLDS(facts->recip == s->fast_recip && facts->limit == s->fast_limit &&
			    facts->size == s->size,
		    "cache: the facts beside its words are another cache's");
	return NULL;
}

const char *stele_geometry_valid(const struct kmem_cache *s)
{
	const char *fault;

	STELE_HOLDS(s->name_at == s->name && memchr(s->name, 0, sizeof(s->name)),
		    "cache: the name is not its own, or has no end");
	STELE_HOLDS(!(s->flags & ~FLAGS_KNOWN), "cache: a flag is unknown");
	fault = lies_as_laid_out(s);
	if (fault)
		return fault;
	STELE_HOLDS(s->frames && s->frames <= AREA_FRAMES && s->run_align &&
			    s->run_align <= AREA_FRAMES / 2,
		    "cache: no area has room for its slabs");
	STELE_HOLDS(s->objects && s->objects <= SLAB_OBJECTS_MAX &&
			    s->objects == (s->frames * FRAME_SIZE - s->first) / s->size,
		    "cache: a slab has room for more objects, or for fewer");
	return fast_facts_agree(s);
}

/* ---- a slab ---- */

static unsigned bits_of(const struct run *run, unsigned *highest)
{
	unsigned n = 0;

	*highest = 0;
	for (unsigned i = 0; i < 8; i++) {
		uint64_t word = load_relaxed(&((struct run *)run)->free[i]);

		n += stele_popcount(word);
		if (word)
			*highest = i * 64 + 63 - (unsigned)__builtin_clzll(word);
	}
	return n;
}

static const char *is_like_its_cache(const struct run *run)
{
	const struct kmem_cache *s = run->cache;

	STELE_HOLDS(run->kind == RUN_SLAB && s, "slab: it is none");
	STELE_HOLDS(run->size == s->size && run->objects == s->objects && run->recip == s->recip,
		    "slab: its objects are not those of its cache");
	STELE_HOLDS(run->frames == s->frames,
		    "slab: it is longer or shorter than those of its cache");
	STELE_HOLDS(!run->tag || tag_words(run->tag) == s->words,
		    "slab: the tag leads to another cache");
	return NULL;
}

const char *stele_slab_valid(const struct run *run)
{
	uint64_t state = load_relaxed(&((struct run *)run)->state);
	const char *fault = is_like_its_cache(run);
	unsigned highest, bits;

	if (fault)
		return fault;
	bits = bits_of(run, &highest);
	STELE_HOLDS(!(state & STATE_DEAD), "slab: it is dead, and has frames");
	STELE_HOLDS((state & STATE_FREE) <= bits, "slab: more objects are counted free than are");
	STELE_HOLDS(bits <= run->objects && highest < run->objects,
		    "slab: more objects are free than there are");
	return stele_run_valid(run);
}

/* ---- partial stacks ---- */

/* One without a reciprocal has given its frames back: it is dead, or its thread left in between. */
static const char *is_listed(const struct kmem_cache *s, const struct run *run)
{
	uint64_t state = load_relaxed(&((struct run *)run)->state);

	STELE_HOLDS(run->kind == RUN_SLAB, "partial: a descriptor on the stack is no slab's");
	if (!run->recip)
		return NULL;
	STELE_HOLDS(run->cache == s, "partial: a slab of another cache is on the stack");
	STELE_HOLDS(state & STATE_LISTED, "partial: a slab on the stack says that it is on none");
	return NULL;
}

static const char *partial_fault(const struct kmem_cache *s, struct stele_stack *stack)
{
	struct stack_walk walk = stack_walk_from_top(stack);
	struct stele_link *link;
	const char *fault = NULL;

	while (!fault && (link = stack_walk_node(&walk, stele_hot.base))) {
		fault = is_listed(s, run_of_link(link));
		stack_walk_down(&walk, stele_hot.base);
	}
	return fault || !stack_walk_met_a_circle(&walk) ? fault : "partial: the stack is a circle";
}

const char *stele_partial_valid(struct kmem_cache *s)
{
	const char *fault = NULL;

	for (unsigned node = 0; !fault && node < stele_nodes.count; node++)
		fault = partial_fault(s, cache_partial(s, node));
	return fault;
}

/* ---- all ---- */

/* One without a reciprocal has given its frames back, and waits on a stack. */
static STELE_RACY_LOOK void look_at_slab(struct run *run, void *fault)
{
	const char **first = fault;

	if (!*first && run->kind == RUN_SLAB && run->recip)
		*first = stele_slab_valid(run);
}

const char *stele_slabs_valid(void)
{
	const char *fault = stele_heap_valid();

	if (!fault && stele_heap_started())
		stele_run_each(look_at_slab, &fault);
	return fault;
}
