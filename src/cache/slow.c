/* SPDX-License-Identifier: MIT */
/*
 * cache/slow.c - when the slot's sheaf is empty, full, or missing
 *
 * Idea      Detach, work, attach. No slot is ever locked: a sheaf is replaced in one step
 *           if the word still holds what was seen, and then belongs to the thread that replaced it.
 *           A handler that lands in between finds EMPTY or another sheaf and does the same.
 *           alloc: main -> spare -> full one from the barn -> refill from slabs -> one object
 *           free:  main -> spare -> empty one (barn, new), main to the barn -> to the slab
 *           A full and an empty sheaf in one slot are made two halves, so that at least
 *           half a sheaf of calls lies between two visits here.
 * States    a sheaf is in MAIN, in SPARE, in the barn, or in one thread's hands.
 * Nodes     each has a barn. A slot takes from its node's; a sheaf goes to the one whose memory it
 *           is itself, after its objects of other nodes went to their slabs. An object that is
 *           freed on another node than its own goes to its slab at once.
 * Order     SLOT, STACK.
 * Failure   a lost race or a busy slot: the sheaf in hand goes to the barn and the single
 *           object takes the next way; nothing waits.
 * Tests     tests/model/sheaf.c, tests/stress/
 */
#include "slab/slab.h"
#include "base/fmt.h"
#include "base/options.h"
#include "sync/ready.h"

/* Sheaves are objects of these, which have none themselves. */
static struct kmem_cache sheaf_caches[3];
static _Atomic uint32_t sheaf_caches_ready;

/* Empty sheaves kept in a barn: as many as there is room for full ones, within these. */
#define EMPTY_MIN 8u
#define EMPTY_MAX 128u

static struct kmem_cache *sheaf_cache(unsigned bytes)
{
	struct kmem_cache *s = &sheaf_caches[__builtin_ctz(bytes) - 8];

	/* ORDER(CACHE_BOOT) acquire: the caches are filled in. */
	if (stele_unlikely(!ready_look(&sheaf_caches_ready))) {
		/* Idempotent: two threads write the same values. */
		for (unsigned i = 0; i < 3; i++)
			stele_cache_boot(&sheaf_caches[i], "stele-sheaf", 256u << i, 256u << i,
					 SLAB_NO_MERGE | SLAB_NO_SHEAVES | SLAB_KEPT | SLAB_OWN);
		/* ORDER(CACHE_BOOT) release: they are filled in. */
		ready_say(&sheaf_caches_ready, 1);
	}
	return s;
}

int stele_sheaf_nodes_make(void)
{
	int error = 0;

	for (unsigned bytes = 256; !error && bytes <= 1024; bytes *= 2)
		error = stele_cache_nodes_make(sheaf_cache(bytes));
	return error;
}

bool stele_is_sheaf_cache(const struct kmem_cache *s)
{
	return s >= sheaf_caches && s < sheaf_caches + 3;
}

uint64_t stele_sheaf_new(struct kmem_cache *s)
{
	struct sheaf *sheaf =
		stele_slabs_take_bounded(sheaf_cache(s->sheaf_size), stele_node_here());

	if (!sheaf)
		return 0;
	sheaf->bottom = 0;
	memset(sheaf->entry, 0, s->capacity * sizeof(sheaf->entry[0]));
	sheaf->entry[s->capacity] = STELE_SHEAF_END;
	return sheaf_bottom(sheaf);
}

static void sheaf_destroy(struct kmem_cache *s, uint64_t top)
{
	uint64_t block = (uint64_t)(uintptr_t)sheaf_of(top, s->sheaf_size);

	stele_slabs_give(sheaf_cache(s->sheaf_size), &block, 1);
}

/* Returns what is in a sheaf to the slabs; its new top. */
static uint64_t sheaf_flush(struct kmem_cache *s, uint64_t top)
{
	struct sheaf *sheaf = sheaf_of(top, s->sheaf_size);
	unsigned n = sheaf_count(top, s->sheaf_size);

	stele_slabs_give(s, sheaf->entry, n);
	if (n)
		SHEAF_EVENT(SHEAF_FLUSH, "sheaf_flush", s, sheaf, n);
	return sheaf_bottom(sheaf);
}

/* ---- the barn ---- */

/* The barn of the node whose memory a sheaf is. */
static void put_empty(struct kmem_cache *s, uint64_t top)
{
	struct sheaf *sheaf = sheaf_of(top, s->sheaf_size);
	struct barn *barn = barn_for(s, sheaf);
	uint64_t limit = load_relaxed(&barn->limit), full = barn_depth(&barn->full);

	limit = STELE_MAX(limit > full ? limit - full : 0, (uint64_t)EMPTY_MIN);
	if (!barn_put(&barn->empty, sheaf, top, (uint32_t)STELE_MIN(limit, (uint64_t)EMPTY_MAX)))
		sheaf_destroy(s, top);
}

/* A sheaf that is not empty goes to the barn, or its objects to the slabs. */
static void put_filled(struct kmem_cache *s, uint64_t top)
{
	struct sheaf *sheaf = sheaf_of(top, s->sheaf_size);
	struct barn *barn = barn_for(s, sheaf);

	if (barn_put(&barn->full, sheaf, top, load_relaxed(&barn->limit))) {
		SHEAF_EVENT(BARN_PUT, "barn_put", s, sheaf, sheaf_count(top, s->sheaf_size));
		return;
	}
	store_relaxed(&barn->overflow, 1);
	put_empty(s, sheaf_flush(s, top));
}

/* Gives what a sheaf holds of other nodes than its own to their slabs; its new top. */
static uint64_t sort_out(struct kmem_cache *s, uint64_t top)
{
	struct sheaf *sheaf = sheaf_of(top, s->sheaf_size);
	unsigned node = node_at(sheaf), n = sheaf_count(top, s->sheaf_size), kept = 0;

	for (unsigned i = 0; i < n; i++) {
		uint64_t object = sheaf->entry[i];

		if (node_at((void *)(uintptr_t)object) != node)
			continue;
		sheaf->entry[i] = sheaf->entry[kept];
		sheaf->entry[kept++] = object;
	}
	if (kept < n)
		stele_slabs_give(s, sheaf->entry + kept, n - kept);
	return sheaf_bottom(sheaf) + kept * 8ul;
}

void stele_sheaf_put(struct kmem_cache *s, uint64_t top)
{
	if (nodes_several())
		top = sort_out(s, top);
	if (top == sheaf_bottom(sheaf_of(top, s->sheaf_size)))
		put_empty(s, top);
	else
		put_filled(s, top);
}

uint64_t stele_sheaf_get_empty(struct kmem_cache *s)
{
	uint64_t top = barn_get(&barn_here(s)->empty);

	return top ? top : stele_sheaf_new(s);
}

static void *take_one(struct kmem_cache *s, struct barn *barn)
{
	uint64_t top = s->capacity ? barn_get(&barn->full) : 0;
	void *p;

	if (stele_likely(!top))
		return NULL;
	top -= 8;
	p = *(void **)(uintptr_t)top;
	/* Where it came from: past a limit only if others were faster. */
	barn_put(sheaf_is_empty(top, s->sheaf_size) ? &barn->empty : &barn->full,
		 sheaf_of(top, s->sheaf_size), top, UINT32_MAX);
	return p;
}

void *stele_barn_take_one(struct kmem_cache *s)
{
	return take_one(s, barn_here(s));
}

void *stele_barns_take(struct kmem_cache *s)
{
	void *p = NULL;

	for (unsigned node = 0; !p && node < stele_nodes.count; node++)
		p = take_one(s, cache_barn(s, node));
	return p;
}

/* A miss after an overflow means that more depth would have served: deepen, within bounds. */
static uint64_t get_filled(struct kmem_cache *s)
{
	struct barn *barn = barn_here(s);
	uint64_t top = barn_get(&barn->full);
	uint32_t limit;

	if (top)
		SHEAF_EVENT(BARN_GET, "barn_get", s, sheaf_of(top, s->sheaf_size),
			    sheaf_count(top, s->sheaf_size));
	if (top || !load_relaxed(&barn->overflow))
		return top;
	store_relaxed(&barn->overflow, 0);
	limit = load_relaxed(&barn->limit);
	store_relaxed(&barn->limit, limit * 2 < s->barn_max ? limit * 2 : s->barn_max);
	return 0;
}

/* ---- attaching ---- */

/* Puts @top where it helps this slot next, else into the barn. */
static void stow(struct kmem_cache *s, uint64_t top)
{
	if (!stele_pcpu_cas(s->words, WORD_SPARE, 0, top))
		stele_sheaf_put(s, top);
}

/* Replaces MAIN, seen as @old, by @new; stows whichever is left over. */
static void attach(struct kmem_cache *s, uint64_t old, uint64_t new)
{
	if (!stele_pcpu_cas(s->words, WORD_MAIN, old, new))
		stow(s, new);
	else if (stele_is_sheaf(old))
		stow(s, old);
}

/* ---- alloc ---- */

/* An empty sheaf in hand: this slot's own if it is still there, else another. */
static uint64_t empty_in_hand(struct kmem_cache *s, uint64_t *main)
{
	if (stele_is_sheaf(*main) && stele_pcpu_cas(s->words, WORD_MAIN, *main, SHEAF_EMPTY)) {
		uint64_t top = *main;

		*main = SHEAF_EMPTY;
		return top;
	}
	return stele_sheaf_get_empty(s);
}

/* Fills a sheaf from the slabs and attaches it. */
static bool refill(struct kmem_cache *s, uint64_t main)
{
	uint64_t top = empty_in_hand(s, &main);
	unsigned n;

	if (!top)
		return false;
	STELE_POINT("sheaf:detached");
	n = stele_slabs_take(s, (uint64_t *)(uintptr_t)top, s->capacity);
	STELE_POINT("sheaf:refilled");
	SHEAF_EVENT(SHEAF_REFILL, "sheaf_refill", s, sheaf_of(top, s->sheaf_size), n);
	attach(s, main, top + n * 8ul);
	return n > 0;
}

/*
 * A full sheaf beside an empty one is where a program that frees and allocates in turn would
 * come here at every other call. Half of @full moves to @empty: the half that was freed last is
 * attached in place of EMPTY, the other put aside.
 */
static void attach_halves(struct kmem_cache *s, uint64_t full, uint64_t empty)
{
	uint64_t bytes = s->capacity / 2u * 8ul, rest = full - bytes;

	memcpy((void *)(uintptr_t)empty, (void *)(uintptr_t)rest, bytes);
	attach(s, SHEAF_EMPTY, empty + bytes);
	stow(s, rest);
}

/* MAIN, seen as @main, is empty or missing; @top was the spare and is in hand. */
static void attach_spare(struct kmem_cache *s, uint64_t main, uint64_t top)
{
	if (stele_is_sheaf(main) && sheaf_is_full(top, s->sheaf_size, s->capacity) &&
	    stele_pcpu_cas(s->words, WORD_MAIN, main, SHEAF_EMPTY))
		attach_halves(s, top, main);
	else
		attach(s, main, top);
}

/* Gives this slot a sheaf with objects. False: there is none to be had. */
static bool provide_filled(struct kmem_cache *s)
{
	uint64_t main = stele_pcpu_read(s->words, WORD_MAIN), top;

	if (!word_attachable_mend(main))
		return false;
	if (stele_is_sheaf(main) && !sheaf_is_empty(main, s->sheaf_size))
		return true; /* filled meanwhile, or another slot's */
	top = stele_pcpu_read(s->words, WORD_SPARE);
	if (stele_is_sheaf(top) && !sheaf_is_empty(top, s->sheaf_size) &&
	    stele_pcpu_cas(s->words, WORD_SPARE, top, 0)) {
		attach_spare(s, main, top);
		return true;
	}
	top = get_filled(s);
	if (top) {
		attach(s, main, top);
		return true;
	}
	return refill(s, main);
}

#define ROUNDS 4 /* others may empty what we provide; then one object is taken directly */

static void *alloc_any_way(struct kmem_cache *s)
{
	uint64_t object;
	void *last;

	for (int i = 0; s->capacity && i < ROUNDS; i++) {
		void *p;

		if (!provide_filled(s))
			break;
		p = stele_pcpu_pop(s->words);
		if (p)
			return p;
	}
	last = stele_barn_take_one(s);
	if (last)
		return last;
	if (stele_slabs_take(s, &object, 1))
		return (void *)(uintptr_t)object;
	last = s->capacity ? stele_pcpu_pop(s->words) : NULL;
	return last || !nodes_several() ? last : stele_barns_take(s);
}

/* A constructed object is what its constructor made it; zeroing one is a mistake to tell. */
void *stele_zero_object(struct kmem_cache *s, void *p)
{
	static _Atomic uint32_t warned;

	if (!s->ctor)
		memset(p, 0, load_relaxed(&s->object_size));
	else if (!stele_opt.quiet && !exchange_relaxed(&warned, 1))
		stele_say("stele: %s: __GFP_ZERO for a cache with a constructor; not zeroed\n",
			  s->name);
	return p;
}

void *stele_slab_alloc_slow(struct kmem_cache *s, gfp_t gfp)
{
	void *p = pcpu_pop_late(s->words);

	if (STELE_DEBUG && s->destroyed)
		return stele_report_destroyed("kmem_cache_alloc", s);
	if (stele_unlikely(stele_deferred_pending()))
		stele_deferred_drain(EFFORT_USUAL);
	if (!p)
		p = alloc_any_way(s);
	if (stele_unlikely(!p))
		p = stele_cache_alloc_short(s, alloc_any_way);
	if (p && gfp & __GFP_ZERO)
		stele_zero_object(s, p);
	return p;
}

/* Of @where: out of this slot's sheaves if that is here, and what they give is of it as well. */
static void *alloc_from(struct kmem_cache *s, unsigned where)
{
	uint64_t object;
	void *p;

	if (where_node(where) == stele_node_here()) {
		p = pcpu_pop_late(s->words);
		if (!p)
			p = alloc_any_way(s);
		if (!p || node_at(p) == where_node(where))
			return p;
		object = (uint64_t)(uintptr_t)p;
		stele_slabs_give(s, &object, 1);
	}
	if (stele_slabs_take_from(s, where, &object, 1))
		return (void *)(uintptr_t)object;
	return where & WHERE_ONLY ? NULL : alloc_any_way(s);
}

void *stele_slab_alloc_node(struct kmem_cache *s, gfp_t gfp, int node)
{
	unsigned where;
	void *p;

	if (node < 0 && !(gfp & __GFP_THISNODE))
		return stele_slab_alloc_slow(s, gfp);
	if (!stele_where(node, gfp, &where))
		return NULL;
	if (!nodes_several())
		return stele_slab_alloc_slow(s, gfp);
	if (stele_unlikely(stele_deferred_pending()))
		stele_deferred_drain(EFFORT_USUAL);
	p = alloc_from(s, where);
	if (p && gfp & __GFP_ZERO)
		stele_zero_object(s, p);
	return p;
}

void stele_cache_alloc_event(struct kmem_cache *s, void *p, gfp_t gfp, int node, const void *site)
{
	probe_kmem_cache_alloc(p, &s->name_at, &s->object_size, &s->size, gfp);
	TRACE(KMEM_CACHE_ALLOC, .call_site = site, .ptr = p, .name = s->name,
	      .bytes_req = load_relaxed(&s->object_size), .bytes_alloc = s->size, .gfp_flags = gfp,
	      .node = node);
}

void *stele_cache_alloc_slow(struct kmem_cache *s, gfp_t gfp, int node, const void *site)
{
	void *p = stele_slab_alloc_node(s, gfp, node);

	stele_cache_alloc_event(s, p, gfp, node, site);
	return p;
}

/* ---- free ---- */

/* Gives this slot a sheaf with room. False: it cannot have one now. */
static bool provide_room(struct kmem_cache *s)
{
	uint64_t main = stele_pcpu_read(s->words, WORD_MAIN), top;

	if (!word_attachable_mend(main))
		return false;
	if (stele_is_sheaf(main) && !sheaf_is_full(main, s->sheaf_size, s->capacity))
		return true;
	top = stele_pcpu_read(s->words, WORD_SPARE);
	if (stele_is_sheaf(top) && !sheaf_is_full(top, s->sheaf_size, s->capacity) &&
	    stele_pcpu_cas(s->words, WORD_SPARE, top, 0)) {
		attach(s, main, top);
		return true;
	}
	top = stele_sheaf_get_empty(s);
	if (!top)
		return false;
	attach(s, main, top);
	return true;
}

bool stele_slab_free_slow(struct kmem_cache *s, void *p)
{
	uint64_t object = (uint64_t)(uintptr_t)p;
	bool by_sheaf = s->capacity && !is_remote(p);

	if (stele_unlikely(stele_deferred_pending()))
		stele_deferred_drain(EFFORT_USUAL);
	for (int i = 0; by_sheaf && i < ROUNDS; i++) {
		if (!provide_room(s))
			break;
		if (stele_pcpu_push(s->words, p))
			return true;
	}
	stele_slabs_give(s, &object, 1);
	return true;
}

/* ---- emptying everything ---- */

static void flush_taken(uint64_t top, void *arg)
{
	struct kmem_cache *s = arg;

	sheaf_destroy(s, sheaf_flush(s, top));
}

void stele_sheaf_dissolve(struct kmem_cache *s, uint64_t top)
{
	flush_taken(top, s);
}

static void flush_stack(struct kmem_cache *s, struct stele_stack *stack)
{
	uint64_t top;

	while ((top = barn_get(stack)))
		flush_taken(top, s);
}

/* This slot's own sheaves need no barrier. */
static void flush_own(struct kmem_cache *s)
{
	uint64_t main = stele_pcpu_read(s->words, WORD_MAIN);
	uint64_t spare = stele_pcpu_read(s->words, WORD_SPARE);

	if (stele_is_sheaf(main) && stele_pcpu_cas(s->words, WORD_MAIN, main, SHEAF_EMPTY))
		flush_taken(main, s);
	if (stele_is_sheaf(spare) && stele_pcpu_cas(s->words, WORD_SPARE, spare, 0))
		flush_taken(spare, s);
}

int stele_slab_flush_all(struct kmem_cache *s, bool wait)
{
	int error;

	if (!s->capacity)
		return 0;
	error = stele_pcpu_take_all(s->words, wait, flush_taken, s);
	if (error)
		flush_own(s);
	for (unsigned node = 0; node < stele_nodes.count; node++) {
		flush_stack(s, &cache_barn(s, node)->full);
		flush_stack(s, &cache_barn(s, node)->empty);
	}
	return error;
}
