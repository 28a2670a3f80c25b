/* SPDX-License-Identifier: MIT */
/*
 * slab/valid.c - whether a slab, its cache and its bitmap hold together
 *
 * Rules     A slab has the sizes and numbers that its cache says. The count of free objects is at
 *           most the number of bits that are set, and that is at most the number of objects. A
 *           thread that left in the middle of a call has claimed objects for good, so more bits may
 *           be set than are counted.
 * Context   ordinary threads; see valid.h.
 * Tests     tests/unit/slab/test_valid.c
 */
#include "slab/valid.h"
#include "slab/bitmap.h"
#include "slab/object.h"

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
