/* SPDX-License-Identifier: MIT */
/*
 * slab/give.c - gives objects back to the bitmaps of their slabs
 *
 * Idea      Objects of one slab go back together: one atomic operation for each word of its bitmap,
 *           and one for its state. The thread whose objects were the last ones owns the slab and
 *           retires it. A bounded call leaves that to others (slab/deferred.c).
 * Order     STACK, SLABBITS, SLABSTATE (slab/bitmap.h).
 * Failure   an object that is free already is reported, and nothing else happens to it.
 * Context   any.
 * Tests     tests/unit/slab/test_slabs.c  tests/death/
 */
#include "slab/bitmap.h"
#include "slab/parts.h"
#include "slab/slabs.h"
#include "slab/object.h"
#include "slab/checks.h"

/* Objects of one slab, collected by word. */
struct batch {
	struct run *run;
	uint64_t mask[8];
};

static __attribute__((noinline, cold)) void report_twice(const struct run *run, unsigned word,
							 uint64_t bits)
{
	for (; bits; bits &= bits - 1) {
		unsigned i = word * 64 + (unsigned)__builtin_ctzll(bits);

		stele_report_late(object_at(run, i), run_cache(run)->name);
	}
}

/* A slab whose objects are checked stays when it is empty, until its cache is shrunk. A late write
 * or a second free is found as long as the slab is there. */
static bool stays_watched(struct kmem_cache *s, struct run *run, unsigned n)
{
	bool idle;

	if (state_give_keep(&run->state, n, run->objects, &idle) == GIVE_LIST)
		cache_list_slab(s, run);
	return false;
}

/* @n bits were set. True: the slab is idle, and ours to retire. */
static bool give_count(struct kmem_cache *s, struct run *run, unsigned n)
{
	bool keep = s->flags & SLAB_KEPT, idle = false;
	enum give_result result;

	if (stele_unlikely(s->meta))
		return stays_watched(s, run, n);
	result = keep ? state_give_keep(&run->state, n, run->objects, &idle)
		      : state_give(&run->state, n, run->objects);

	if (result == GIVE_LIST)
		cache_list_slab(s, run);
	if (idle)
		stele_kept_idle(run);
	return result == GIVE_EMPTY;
}

/* True: the slab is idle, and ours to retire. */
static bool give_batch(struct kmem_cache *s, const struct batch *batch)
{
	struct run *run = batch->run;
	unsigned n = 0;

	for (unsigned w = 0; w < 8; w++) {
		uint64_t twice;

		if (!batch->mask[w])
			continue;
		twice = bits_give(&run->free[w], batch->mask[w]);
		n += stele_popcount(batch->mask[w] & ~twice);
		if (stele_unlikely(twice))
			report_twice(run, w, twice);
	}
	if (!n)
		return false;
	STELE_POINT("slabs:bits-given");
	return give_count(s, run, n);
}

static void report_gone(const struct kmem_cache *s, uint64_t p)
{
	stele_report_late((void *)(uintptr_t)p, s->name);
}

/* Whether @p can be given back to @s: an object freed twice may have lost its slab meanwhile. */
static struct run *run_for_give(const struct kmem_cache *s, uint64_t p)
{
	struct run *run = stele_run_of((void *)(uintptr_t)p);

	if (stele_likely(run && run->cache == s && run_has_object_at(run, (void *)(uintptr_t)p)))
		return run;
	report_gone(s, p);
	return NULL;
}

/*
 * Notes an object of the batch's slab, which may have come to lie elsewhere since it was freed. One
 * product has its number in the upper half, and tells by the lower one whether it starts there.
 */
static void batch_note(struct batch *batch, uint64_t p)
{
	const struct run *run = batch->run;
	unsigned __int128 product = (unsigned __int128)(p - run->first) * run->recip;
	uint64_t number = (uint64_t)(product >> 64), *word = &batch->mask[number / 64];
	uint64_t bit = 1ull << number % 64;

	if (stele_unlikely((uint64_t)product >= run->recip || number >= run->objects)) {
		report_gone(run_cache(run), p);
		return;
	}
	if (stele_unlikely(*word & bit))
		report_twice(run, (unsigned)number / 64, bit);
	*word |= bit;
}

/* Into @batch: all of [from, end) that are in its slab. Where those end that are left. */
static __attribute__((noinline)) uint64_t *batch_collect(struct batch *batch, uint64_t *from,
							 const uint64_t *end)
{
	const struct run *run = batch->run;
	uint64_t *left = from;

	for (; from < end; from++) {
		if (*from - run->base < run->bytes)
			batch_note(batch, *from);
		else
			*left++ = *from;
	}
	return left;
}

/*
 * Gives back all objects that lie in the same slab as objects[0]. *end then points behind the
 * remaining ones. Returns the slab if no object of it is in use any more: the caller retires it.
 * Out of line: the batch needs much stack, and retiring is deep.
 */
static __attribute__((noinline)) struct run *give_first(struct kmem_cache *s, uint64_t *objects,
							uint64_t **end)
{
	struct batch batch = { .run = run_for_give(s, objects[0]) };

	if (stele_unlikely(!batch.run)) {
		objects[0] = *--*end;
		return NULL;
	}
	*end = batch_collect(&batch, objects, *end);
	return give_batch(s, &batch) ? batch.run : NULL;
}

/* Runs that rested: one that does not any more was freed twice. */
static __attribute__((noinline)) void give_runs(const struct kmem_cache *s, const uint64_t *bases,
						unsigned n)
{
	for (unsigned i = 0; i < n; i++) {
		struct run *run = stele_run_of((void *)(uintptr_t)bases[i]);

		if (stele_unlikely(!run || !run_rests(run))) {
			report_gone(s, bases[i]);
			continue;
		}
		store_relaxed(&run->rests, 0);
		stele_large_free(run);
	}
}

void stele_slabs_give(struct kmem_cache *s, uint64_t *objects, unsigned n)
{
	uint64_t *end = objects + n;

	if (stele_unlikely(s->flags & SLAB_RUNS)) {
		give_runs(s, objects, n);
		return;
	}
	while (end > objects) {
		struct run *idle = give_first(s, objects, &end);

		if (idle)
			stele_slab_retire(s, idle, EFFORT_USUAL);
	}
}

/* The slab stays, if this was the last object of it, and is noted. */
static void give_count_bounded(struct kmem_cache *s, struct run *run)
{
	bool idle;

	if (state_give_keep(&run->state, 1, run->objects, &idle) == GIVE_LIST)
		cache_list_slab(s, run);
	if (idle)
		stele_deferred_note(run);
}

void stele_slabs_give_one(struct kmem_cache *s, void *p, enum effort effort)
{
	struct run *run = run_for_give(s, (uint64_t)(uintptr_t)p);
	unsigned i = run ? object_number(run, (uint64_t)(uintptr_t)p) % SLAB_OBJECTS_MAX : 0;
	uint64_t bit = 1ull << i % 64;

	if (stele_unlikely(!run))
		return;
	if (stele_unlikely(bits_give(&run->free[i / 64], bit))) {
		report_twice(run, i / 64, bit);
		return;
	}
	STELE_POINT("slabs:bits-given");
	if (effort == EFFORT_BOUNDED && !s->meta)
		give_count_bounded(s, run);
	else if (give_count(s, run, 1))
		stele_slab_retire(s, run, effort);
}
