/* SPDX-License-Identifier: MIT */
/*
 * cache/resting.c - page runs that rest in a slot: the kernel's per_cpu_pages
 *
 * Idea      A block with pages of its own that is freed stays whole, its page map entries included,
 *           in a list of this CPU's slot; the next block of exactly as many frames takes it from
 *           there. Such a list is a sheaf of run addresses. Each doubling of sizes has one, and a
 *           cache without slabs stands behind it. So the steps are those of every sheaf, and all that
 *           empties sheaves (shrink, trim, decay, slots that go or grow cold, a shortage) empties
 *           these lists too: stele_slabs_give() returns their runs to the page floor.
 *           take: main's top; else the first one in main that fits; else NULL, to the page floor
 *           put:  onto main; a full one gives the older half of its runs up first
 * Sizes     A size begins to rest when it is wanted soon after a run of that size went to the page
 *           floor. Every MISSES-th request that finds nothing drops the run that rests longest, and its
 *           size rests no more. So where sizes seldom repeat, next to nothing rests (decision 0014).
 * States    a run is a block, rests (run->rests), or is no run. It rests from before it is pushed
 *           until after it was popped, so a block that is freed twice is told from one in use.
 * Objects   resting, freed_last, misses: advice, shared by all slots. A lost update costs nothing but
 *           a run that rests, or does not.
 * Bound     REST_MAX bytes of each list, but REST_LEAST runs at least; no spare, no barn. With LISTS
 *           lists that is 4.5 MiB of a slot.
 * Order     SLOT. PAGEMAP: `rests` is cleared before the address is told again.
 * Context   any. A handler that finds main in another's hands goes to the page floor.
 * Failure   A run that can rest nowhere is the caller's to free. A lost race for main gives its runs
 *           up.
 * Unlike    the kernel, no refill in batches: a run costs the page floor the same one by one.
 * Tests     tests/contract/test_resting.c
 */
#include "cache/resting.h"
#include "base/fmt.h"
#include "cache/caches.h"
#include "cache/sheaves.h"
#include "page/run.h"
#include "page/where.h"
#include "percpu/percpu.h"
#include "percpu/step.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"
#include "slab/slabs.h"
#include "slab/checks.h"
#include "trace/trace.h"
#include <string.h>

#define LISTS 5u /* up to 64 KiB, 128 KiB, ... */
#define REST_MAX (512u << 10)
#define REST_LEAST 2u
#define REST_MOST 8u
#define MISSES 4u

_Static_assert((REST_FRAMES_LEAST - 1) * FRAME_SIZE == KMALLOC_MAX_CACHE_SIZE, "buckets end there");

static struct kmem_cache lists[LISTS];

_Atomic uint16_t stele_resting_words[REST_FRAMES_MOST + 1];
/* The sizes, in frames, that were freed to the page floor last; one entry for each list. */
static _Atomic uint32_t freed_last[LISTS];
/* Requests that went there. */
static _Atomic uint32_t misses[LISTS];

/* The list of runs of so many frames. */
static unsigned list_of(size_t frames)
{
	return stele_ilog2(frames - 1) - stele_ilog2(REST_FRAMES_LEAST - 1);
}

static inline bool run_fits(const struct run *run, size_t frames, size_t align)
{
	return run->frames == frames && stele_is_aligned(run->base, align);
}

/* ---- the sizes that rest ---- */

/* A run of so many frames goes to the page floor. */
static void note_freed(size_t frames)
{
	_Atomic uint32_t *last = &freed_last[list_of(frames)];
	uint32_t seen = load_relaxed(last);

	if ((seen & 0xffff) != frames)
		store_relaxed(last, seen << 16 | (uint32_t)frames);
}

/* Nothing wanted this run: its size rests no more. */
static void note_useless(uint64_t base)
{
	store_relaxed(&stele_resting_words[stele_run_of((void *)(uintptr_t)base)->frames], 0);
}

/* ---- the slow ways: main in hand ---- */

/* Puts the main sheaf back, with the runs that it holds now. If the slot has another sheaf by now,
 * this one goes to the barn. */
static void attach_main(struct kmem_cache *s, uint64_t top)
{
	if (!stele_pcpu_cas(s->words, WORD_MAIN, SHEAF_EMPTY, top))
		stele_sheaf_put(s, top, EFFORT_USUAL);
}

/* Of the @n runs at @entry: the newest one that fits goes out, and @other takes its place. */
static void *exchange_in(uint64_t *entry, unsigned n, void *other, size_t frames, size_t align)
{
	while (n-- > 0) {
		void *p = (void *)(uintptr_t)entry[n];

		if (!run_fits(stele_run_of(p), frames, align))
			continue;
		entry[n] = (uint64_t)(uintptr_t)other;
		return p;
	}
	return NULL;
}

/* @other was on top of main and does not fit: a run from below it does, or none. */
static void *take_from_below(struct kmem_cache *s, void *other, size_t frames, size_t align)
{
	uint64_t main = stele_pcpu_read(s->words, WORD_MAIN), out = (uint64_t)(uintptr_t)other;
	unsigned n = stele_is_sheaf(main) ? sheaf_count(main, s->sheaf_size) : 0;
	void *p = NULL;

	if (n && stele_pcpu_cas(s->words, WORD_MAIN, main, SHEAF_EMPTY)) {
		STELE_POINT("resting:detached");
		p = exchange_in((uint64_t *)(uintptr_t)main - n, n, other, frames, align);
		attach_main(s, main);
	}
	if (!p && !stele_pcpu_push(s->words, other))
		stele_slabs_give(s, &out, 1);
	return p;
}

/* Gives up the @n oldest runs of a sheaf in hand; its new top. */
static uint64_t give_oldest(struct kmem_cache *s, uint64_t top, unsigned n)
{
	uint64_t oldest[REST_MOST], *entry = (uint64_t *)(uintptr_t)top;
	unsigned count = sheaf_count(top, s->sheaf_size);

	entry -= count;
	memcpy(oldest, entry, n * sizeof(*entry));
	memmove(entry, entry + n, (count - n) * sizeof(*entry));
	for (unsigned i = 0; i < n; i++)
		note_useless(oldest[i]);
	stele_slabs_give(s, oldest, n);
	return top - n * sizeof(*entry);
}

/* One run less rests here. */
static void drop_oldest(struct kmem_cache *s)
{
	uint64_t main = stele_pcpu_read(s->words, WORD_MAIN);

	if (stele_is_sheaf(main) && !sheaf_is_empty(main, s->sheaf_size) &&
	    stele_pcpu_cas(s->words, WORD_MAIN, main, SHEAF_EMPTY))
		attach_main(s, give_oldest(s, main, 1));
}

/*
 * A request for @frames goes to the page floor. If a run of that size went there lately, the next
 * one rests. Every MISSES-th such request drops the run that rests longest.
 */
static __attribute__((noinline)) void note_wanted(size_t frames)
{
	unsigned list = list_of(frames);
	uint32_t seen = load_relaxed(&freed_last[list]), n = load_relaxed(&misses[list]) + 1;

	if (!lists[list].words || resting_is_watched())
		return;
	if ((seen & 0xffff) == frames || seen >> 16 == frames)
		store_relaxed(&stele_resting_words[frames], (uint16_t)lists[list].words);
	store_relaxed(&misses[list], n);
	if (!(n % MISSES))
		drop_oldest(&lists[list]);
}

/* @p was on top, or NULL: the fast step failed. */
static __attribute__((noinline)) void *take_slow(void *p, size_t frames, size_t align)
{
	struct kmem_cache *s = &lists[list_of(frames)];

	if (!p)
		p = pcpu_pop_late(s->words);
	if (p && !run_fits(stele_run_of(p), frames, align))
		p = take_from_below(s, p, frames, align);
	if (p)
		return resting_out(p);
	note_wanted(frames);
	return NULL;
}

void *stele_resting_take_late(void *p, size_t bytes, size_t align)
{
	size_t frames = frames_for(bytes);

	if (p || (resting_words(frames) && !resting_is_watched()))
		return take_slow(p, frames, align);
	if (may_rest(frames))
		note_wanted(frames);
	return NULL;
}

void *stele_resting_take(size_t bytes, size_t align)
{
	size_t frames = frames_for(bytes);
	void *p = resting_pop(frames);

	if (stele_likely(p) && resting_fits(p, frames) && stele_is_aligned((uintptr_t)p, align))
		return resting_out(p);
	return stele_resting_take_late(p, bytes, align);
}

/* There is no main, or it is full. False: this slot can have none now. */
static bool put_in_room(struct kmem_cache *s, void *p)
{
	uint64_t main = stele_pcpu_read(s->words, WORD_MAIN), top = main;

	if (!word_attachable_mend(main))
		return false;
	if (!stele_is_sheaf(main))
		top = stele_sheaf_get_empty(s);
	else if (!stele_pcpu_cas(s->words, WORD_MAIN, main, SHEAF_EMPTY))
		return false;
	if (!top)
		return false;
	STELE_POINT("resting:room");
	if (sheaf_is_full(top, s->sheaf_size, s->capacity))
		top = give_oldest(s, top, (s->capacity + 1u) / 2);
	*(uint64_t *)(uintptr_t)top = (uint64_t)(uintptr_t)p;
	attach_main(s, top + 8);
	return true;
}

/* The fast step failed. */
static __attribute__((noinline)) bool put_slow(struct run *run)
{
	struct kmem_cache *s = &lists[list_of(run->frames)];
	void *p = (void *)run->base;

	if (pcpu_push_late(s->words, p) || put_in_room(s, p))
		return true;
	store_relaxed(&run->rests, 0);
	return false;
}

bool stele_resting_free(void *p)
{
	struct run *run = in_heap(p) ? stele_run_of(p) : NULL;
	unsigned words;

	if (!run || run->kind != RUN_LARGE || run->base != (uintptr_t)p || !may_rest(run->frames) ||
	    run_rests(run) || run_is_given(run))
		return false;
	words = load_relaxed(&stele_resting_words[run->frames]);
	if (stele_unlikely(!words || resting_is_watched() || is_remote(p))) {
		note_freed(run->frames);
		return false;
	}
	store_relaxed(&run->rests, 1);
	return stele_likely(pcpu_push(words, p)) || put_slow(run);
}

/* ---- blocks with pages of their own ---- */

/* Runs that rest here are of this thread's node; where memory has one node, it is number 0. */
static bool may_be_from_here(gfp_t gfp, int node)
{
	return node < 0 || (!nodes_several() && (node == 0 || !(gfp & __GFP_THISNODE)));
}

void *stele_block_take(size_t bytes, size_t align, gfp_t gfp, int node)
{
	void *p = may_be_from_here(gfp, node) ? stele_resting_take(bytes, align) : NULL;

	if (!p)
		return stele_large_take(bytes, align, gfp, node);
	if (gfp & __GFP_ZERO)
		memset(p, 0, stele_large_usable(stele_run_of(p)));
	return p;
}

/* ---- start ---- */

void stele_resting_boot(void)
{
	for (unsigned i = 0; i < LISTS; i++) {
		struct kmem_cache *s = &lists[i];
		uint32_t size = 2 * KMALLOC_MAX_CACHE_SIZE << i;
		struct stele_out out;
		char name[32];

		stele_out_init(&out, name, sizeof(name));
		stele_fmt(&out, "stele-runs-%uk", size / 1024);
		stele_cache_boot(s, name, size, FRAME_SIZE,
				 SLAB_NO_MERGE | SLAB_RUNS |
					 (stele_watch_large() ? SLAB_NO_SHEAVES : 0));
		if (s->capacity)
			s->capacity = (uint16_t)STELE_MAX(REST_MAX / size, REST_LEAST);
		s->barn_max = 0;
		stele_barns_limit(s, 0);
	}
}

void stele_resting_list(void)
{
	stele_cache_list(lists, LISTS);
}
