/* SPDX-License-Identifier: MIT */
/*
 * slab/new.c - makes a slab
 *
 * Idea      The thread that makes it takes the objects it wants at once, and puts the slab on the
 *           partial stack with the rest.
 * Order     SLABSTATE, PAGEMAP: the bits and the descriptor are complete before others see it.
 * Context   any; a constructor of the user's runs here, perhaps in a signal handler.
 * Failure   no frames: no object.
 * Tests     tests/unit/slab/test_slabs.c
 */
#include "slab/bitmap.h"
#include "slab/parts.h"
#include "slab/slabs.h"
#include "slab/hooks.h"
#include "slab/checks.h"
#include "slab/object.h"
#include "slab/slab_look.h"
#include "slab/valid.h"

static void construct(const struct kmem_cache *s, const struct run *run)
{
	for (unsigned i = 0; s->ctor && i < run->objects; i++)
		s->ctor(object_at(run, i));
}

/* The bits of objects below @n in word @w. */
static uint64_t bits_below(unsigned n, unsigned w)
{
	if (n <= w * 64)
		return 0;
	return n - w * 64 < 64 ? (1ull << (n - w * 64)) - 1 : ~0ull;
}

/* Bits [from, objects) are set: objects below belong to the maker of the slab. */
static void start_bits(struct run *run, unsigned from)
{
	for (unsigned w = 0; w < 8; w++)
		store_relaxed(&run->free[w], bits_below(run->objects, w) & ~bits_below(from, w));
}

static struct run *take_run(struct kmem_cache *s, unsigned where)
{
	bool clean;

	if (s->flags & SLAB_KEPT)
		return stele_run_keep(where, s->frames, !(s->flags & SLAB_SPARABLE));
	return stele_run_take_from(where, s->frames, s->run_align, &clean);
}

unsigned stele_slab_new(struct kmem_cache *s, unsigned where, uint64_t *out, unsigned want)
{
	unsigned n = want < s->objects ? want : s->objects;
	struct run *run = take_run(s, where);

	if (!run)
		return 0;
	run->kind = RUN_SLAB;
	run->cache = s;
	run->recip = s->recip;
	run->objects = s->objects;
	run->size = s->size;
	run->first = run->base + s->first;
	if (stele_unlikely(s->meta)) {
		stele_layout_fill(s, run);
		slab_show(&run->watched, s);
	}
	if (s->fast_limit)
		run->tag = tag_make(s->words, (uintptr_t)object_at(run, s->objects - 1));
	construct(s, run);
	start_bits(run, n);
	add_relaxed(&s->slabs, 1);
	if (!(s->flags & SLAB_KEPT))
		slab_hooks()->grown(s->frames);
	state_start(&run->state, s->objects - n);
	stele_run_publish(run);
	STELE_SOUND(stele_slab_valid(run));
	STELE_POINT("slabs:new");
	stele_pages_taken((void *)run->base, run->bytes, run->bytes, 0);
	CACHE_EVENT(SLAB_NEW, "slab_new", s, (void *)run->base, s->objects, run->bytes);
	for (unsigned i = 0; i < n; i++)
		out[i] = (uintptr_t)object_at(run, n - 1 - i);
	if (n < s->objects)
		cache_list_slab(s, run);
	return n;
}
