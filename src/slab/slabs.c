/* SPDX-License-Identifier: MIT */
/*
 * slab/slabs.c - slabs: taking objects from bitmaps, giving them back, new and gone
 *
 * Idea      The partial stack's top is looked at, not popped: a taker claims from it while
 *           it stays where it is, so no thread has objects in hand. Only a slab found without free
 *           objects is popped. A slab that becomes empty gives its frames back at once, wherever it
 *           is on the stack; only its descriptor waits there (DEAD, slab/dead.c).
 * Order     STACK, SLABBITS, SLABSTATE (slab/bitmap.h), SLABHEAD (slab/partial.h).
 * Nodes     each has a partial stack, of slabs in its memory. A taker begins with the node it
 *           wants: its partial slabs, then a new one; then come the others, the nearest first.
 *           A cache that has nothing for a node yet keeps that node's slabs on node 0's stack.
 * Failure   no frames: fewer objects, or none.
 * Tests     tests/model/partial.c, tests/unit/slab/
 */
#include "slab/slab.h"
#include "slab/bitmap.h"
#include "slab/dead.h"
#include "slab/partial.h"

_Static_assert(offsetof(struct run, state) ==
		       offsetof(struct run, link) + offsetof(struct partial, state),
	       "a descriptor's link and state are a struct partial");

static struct run *run_of_link(struct stele_link *link)
{
	return STELE_CONTAINER_OF(link, struct run, link);
}

static void list(struct kmem_cache *s, struct run *run)
{
	stack_push(cache_partial(s, node_at((void *)run->base)), stele_hot.base, &run->link);
}

/* ---- taking ---- */

/* Writes the objects of @bits so that the lowest address ends on top. */
static unsigned emit(const struct kmem_cache *s, const struct run *run, unsigned word,
		     uint64_t bits, uint64_t *out)
{
	uint64_t base = run->base + (uint64_t)word * 64 * s->size;
	unsigned n = 0;

	while (bits) {
		unsigned bit = 63 - (unsigned)__builtin_clzll(bits);

		out[n++] = base + (uint64_t)bit * s->size;
		bits &= ~(1ull << bit);
	}
	return n;
}

/* Finds @n objects that were claimed. They are there; others only move them about. */
static void take_claimed(struct kmem_cache *s, struct run *run, uint64_t *out, unsigned n)
{
	unsigned words = (run->objects + 63) / 64;

	for (unsigned w = 0; n; w = w + 1 == words ? 0 : w + 1) {
		unsigned got = emit(s, run, w, bits_take(&run->free[w], n), out);

		out += got;
		n -= got;
	}
}

/* The top slab has nothing: takes it off the stack unless that changed. */
static void pop_exhausted(struct kmem_cache *s, struct stele_stack *stack, struct run *run,
			  const struct partial_look *look)
{
	switch (partial_pop(stack, stele_hot.base, look)) {
	case UNLIST_DEAD:
		stele_dead_return(run);
		break;
	case UNLIST_RELIST:
		list(s, run);
		break;
	case UNLIST_DONE:
	case UNLIST_LOST:
		break;
	}
}

#define ANY_NUMBER ~0u

/* Some objects from the top of a partial stack; 0 when it is empty, or @pops slabs had none. */
static unsigned take_listed(struct kmem_cache *s, struct stele_stack *stack, uint64_t *out,
			    unsigned want, unsigned pops)
{
	for (;;) {
		struct partial_look look = partial_look(stack, stele_hot.base);
		struct run *run;
		unsigned n;

		if (!look.slab)
			return 0;
		run = run_of_link(&look.slab->link);
		if (!(look.state & STATE_FREE)) {
			if (!pops--)
				return 0;
			pop_exhausted(s, stack, run, &look);
			continue;
		}
		n = state_claim(&run->state, look.state, want);
		if (n) {
			take_claimed(s, run, out, n);
			return n;
		}
	}
}

/* The same of a node's stack, where also slabs of others may be (see Nodes): these do not count. */
static unsigned take_partial(struct kmem_cache *s, unsigned where, uint64_t *out, unsigned want,
			     unsigned pops)
{
	unsigned node = where_node(where);
	unsigned n = take_listed(s, cache_partial(s, node), out, want, pops);

	if (stele_likely(!n || !(where & WHERE_ONLY) || node_at((void *)(uintptr_t)*out) == node))
		return n;
	while (n)
		stele_slabs_give_bounded(s, (void *)(uintptr_t)out[--n]);
	return 0;
}

/* ---- new slabs ---- */

static void each_object(const struct kmem_cache *s, const struct run *run, void (*call)(void *))
{
	for (unsigned i = 0; call && i < run->objects; i++)
		call((void *)(run->base + (uint64_t)i * s->size));
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

/* A new slab; up to @want of its objects go to @out, the rest to the partial stack. */
static unsigned take_new(struct kmem_cache *s, unsigned where, uint64_t *out, unsigned want)
{
	unsigned n = want < s->objects ? want : s->objects;
	bool clean;
	struct run *run = s->flags & SLAB_KEPT
				  ? stele_run_keep(where, s->frames, !stele_is_sheaf_cache(s))
				  : stele_run_take_from(where, s->frames, s->run_align, &clean);

	if (!run)
		return 0;
	run->kind = RUN_SLAB;
	run->cache = s;
	run->objects = s->objects;
	run->size = s->size;
	run->recip = s->recip;
	if (s->fast_limit)
		run->tag = tag_make(s->words, run->base + (s->objects - 1ul) * s->size);
	each_object(s, run, s->ctor);
	start_bits(run, n);
	add_relaxed(&s->slabs, 1);
	if (!(s->flags & SLAB_KEPT))
		stele_decay_grown(s->frames);
	state_start(&run->state, s->objects - n);
	stele_run_publish(run);
	STELE_POINT("slabs:new");
	stele_pages_taken((void *)run->base, run->bytes, run->bytes, 0);
	CACHE_EVENT(SLAB_NEW, "slab_new", s, (void *)run->base, s->objects, run->bytes);
	for (unsigned i = 0; i < n; i++)
		out[i] = run->base + (uint64_t)(n - 1 - i) * s->size;
	if (n < s->objects)
		list(s, run);
	return n;
}

/* The node has nothing: the others, the nearest first. */
static unsigned take_elsewhere(struct kmem_cache *s, unsigned where, uint64_t *out, unsigned want)
{
	unsigned node = where_node(where), which = 0, n = 0;
	int other;

	if (where & WHERE_ONLY)
		return 0;
	while (!n && (other = stele_node_farther(node, &which)) >= 0) {
		n = take_partial(s, (unsigned)other, out, want, ANY_NUMBER);
		if (!n)
			n = take_new(s, (unsigned)other | WHERE_ONLY, out, want);
	}
	return n;
}

/* Once more after slabs that no thread has retired yet: they may be of another cache. */
static unsigned take_from_deferred(struct kmem_cache *s, unsigned where, uint64_t *out, unsigned n,
				   enum effort effort)
{
	unsigned got;

	if (stele_likely(!stele_deferred_pending()))
		return 0;
	stele_deferred_drain(effort);
	got = take_partial(s, where, out, n, ANY_NUMBER);
	return got ? got : take_new(s, where, out, n);
}

unsigned stele_slabs_take_from(struct kmem_cache *s, unsigned where, uint64_t *out, unsigned n)
{
	unsigned got = 0;

	while (got < n) {
		unsigned more = take_partial(s, where, out + got, n - got, ANY_NUMBER);

		/* A new slab only for the first object: after that, fewer than @n will do. */
		if (!more && got)
			break;
		if (!more)
			more = take_new(s, where | WHERE_ONLY, out + got, n - got);
		if (!more)
			more = take_elsewhere(s, where, out + got, n - got);
		if (!more)
			more = take_from_deferred(s, where, out + got, n - got, EFFORT_USUAL);
		if (!more)
			break;
		got += more;
	}
	return got;
}

#define FEW_POPS 8 /* spent slabs on top of the stack that a bounded call takes off it */

void *stele_slabs_take_bounded(struct kmem_cache *s, unsigned where)
{
	uint64_t object;

	if (take_partial(s, where, &object, 1, FEW_POPS) ||
	    take_new(s, where | WHERE_ONLY, &object, 1) ||
	    /* There is no memory: now it may take longer. */
	    take_partial(s, where, &object, 1, ANY_NUMBER) ||
	    take_elsewhere(s, where, &object, 1) ||
	    take_from_deferred(s, where, &object, 1, EFFORT_BOUNDED))
		return (void *)(uintptr_t)object;
	return NULL;
}

/* ---- giving back ---- */

static void retire_now(struct kmem_cache *s, struct run *run, enum effort effort)
{
	struct stele_stack *stack = cache_partial(s, node_at((void *)run->base));
	unsigned frames = s->frames;
	uint64_t one = s->flags & SLAB_TYPESAFE_BY_RCU ? SLAB_DYING + 1 : 1;

	CACHE_EVENT(SLAB_FREE, "slab_free", s, (void *)run->base, s->objects, run->bytes);
	stele_pages_given((void *)run->base, run->bytes);
	each_object(s, run, s->dtor);
	run->recip = 0;
	stele_run_return_frames(run, effort);
	if (state_bury(&run->state))
		stele_run_return_descriptor(run);
	else
		stele_dead_buried(stack);
	/* ORDER(SLABS) release: done with the cache. A thread that destroys it waits for this, no
	 * longer. */
	atomic_fetch_sub_explicit(&s->slabs, one, memory_order_release);
	if (effort == EFFORT_BOUNDED)
		stele_decay_lowered(frames);
	else
		stele_decay_shrunk(frames);
}

/* Ready for the next allocation, as if its last object had just come back. */
static void keep_idle(struct kmem_cache *s, struct run *run)
{
	bool idle;

	store_relaxed(&s->idle_kept, true);
	if (state_give_keep(&run->state, run->objects, run->objects, &idle) == GIVE_LIST)
		list(s, run);
}

/*
 * The slab has no owner any more; those of a type-stable cache only when its readers have left. In
 * a process where no thread waits for readers, such as a child of fork() that has not started one,
 * no thread would ever end them: the cache keeps them and uses them again, until it is shrunk or
 * destroyed, or a barrier is waited for.
 */
static void retire(struct kmem_cache *s, struct run *run, enum effort effort)
{
	if (s->flags & SLAB_KEPT)
		stele_kept_park(s, run, effort);
	else if (stele_likely(!(s->flags & SLAB_TYPESAFE_BY_RCU)))
		retire_now(s, run, effort);
	/* ORDER(RUNNER) acquire: a thread serves, and its flavour is set. */
	else if (s->ending || load_acquire(&stele_grace_of(s)->served))
		stele_rcu_retire(s, run);
	else
		keep_idle(s, run);
}

void stele_slab_retire(struct kmem_cache *s, struct run *run)
{
	retire_now(s, run, EFFORT_USUAL);
}

bool stele_slab_take_idle(struct run *run)
{
	return state_take_idle(&run->state, false);
}

void stele_slab_retire_taken(struct run *run, enum effort effort)
{
	retire(run_cache(run), run, effort);
}

static unsigned object_number(const struct run *run, uint64_t p)
{
	/* (p - base) / size: the high half of the product that run_has_object_at() looks at. */
	return (unsigned)(((unsigned __int128)(p - run->base) * run->recip) >> 64);
}

bool stele_object_is_free(const struct run *run, const void *p)
{
	/* A run that is another one by now gives any number. */
	unsigned i = object_number(run, (uint64_t)(uintptr_t)p) % SLAB_OBJECTS_MAX;

	return load_relaxed(&((struct run *)run)->free[i / 64]) >> i % 64 & 1;
}

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

		stele_report_free("free", (void *)(run->base + (uint64_t)i * run->size),
				  "object was already free", run_cache(run)->name);
	}
}

/* @n bits were set. True: the slab is idle, and ours to retire. */
static bool give_count(struct kmem_cache *s, struct run *run, unsigned n)
{
	bool keep = s->flags & SLAB_KEPT, idle = false;
	enum give_result result = keep ? state_give_keep(&run->state, n, run->objects, &idle)
				       : state_give(&run->state, n, run->objects);

	if (result == GIVE_LIST)
		list(s, run);
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
		n += (unsigned)__builtin_popcountll(batch->mask[w] & ~twice);
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
	stele_report_free("free", (void *)(uintptr_t)p, "object was already free", s->name);
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
static void note(struct batch *batch, uint64_t p)
{
	const struct run *run = batch->run;
	unsigned __int128 product = (unsigned __int128)(p - run->base) * run->recip;
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
static __attribute__((noinline)) uint64_t *collect(struct batch *batch, uint64_t *from,
						   const uint64_t *end)
{
	const struct run *run = batch->run;
	uint64_t *left = from;

	for (; from < end; from++) {
		if (*from - run->base < run->bytes)
			note(batch, *from);
		else
			*left++ = *from;
	}
	return left;
}

/*
 * Gives what is of the slab of the first one; *end moves to where those end that are left. Returns
 * the slab when that was the last of it: it is the caller's to retire. Out of line, so that
 * retiring, which is deep, does not stand on the room for a batch.
 */
static __attribute__((noinline)) struct run *give_first(struct kmem_cache *s, uint64_t *objects,
							uint64_t **end)
{
	struct batch batch = { .run = run_for_give(s, objects[0]) };

	if (stele_unlikely(!batch.run)) {
		objects[0] = *--*end;
		return NULL;
	}
	*end = collect(&batch, objects, *end);
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
			retire(s, idle, EFFORT_USUAL);
	}
}

void stele_slabs_give_bounded(struct kmem_cache *s, void *p)
{
	struct run *run = run_for_give(s, (uint64_t)(uintptr_t)p);
	unsigned i = run ? object_number(run, (uint64_t)(uintptr_t)p) % SLAB_OBJECTS_MAX : 0;
	uint64_t bit = 1ull << i % 64;
	bool idle;

	if (stele_unlikely(!run))
		return;
	if (stele_unlikely(bits_give(&run->free[i / 64], bit))) {
		report_twice(run, i / 64, bit);
		return;
	}
	STELE_POINT("slabs:bits-given");
	if (state_give_keep(&run->state, 1, run->objects, &idle) == GIVE_LIST)
		list(s, run);
	if (idle)
		stele_defer(run);
}

/* ---- tidying ---- */

static void tidy_slab(struct partial *slab, enum tidied what, void *cache)
{
	struct run *run = run_of_link(&slab->link);

	if (what == TIDY_RETURN)
		stele_dead_return(run);
	else if (what == TIDY_RETIRE)
		retire(cache, run, EFFORT_USUAL);
	else
		list(cache, run);
}

void stele_slabs_tidy(struct kmem_cache *s)
{
	for (unsigned node = 0; node < stele_nodes.count; node++)
		if (cache_has_node(s, node))
			partial_tidy(cache_partial(s, node), stele_hot.base, s->objects, tidy_slab,
				     s);
}
