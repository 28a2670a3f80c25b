/* SPDX-License-Identifier: MIT */
/*
 * page/heap.c - the one reservation and what lies where in it
 *
 * Idea      Everything Stele knows lies at an offset from one base:
 *             base          descriptor of "not ours", sentinels, size table, facts, slots[]
 *             +1 MiB        page map, for each 4 KiB of the whole reservation: tags, 8 bytes
 *             then          and references, 4 bytes
 *             then          slots, area counts, areas, descriptors
 *             then          the arena, 2 MiB aligned
 *           All of it is address space only; pages appear by touching.
 * Limits    RLIMIT_AS: all but a quarter of what is left is taken; above 1 GiB all but 256
 *           MiB, above 2 GiB all but an eighth. RLIMIT_DATA and
 *           overcommit 2: the range is opened in steps as it is used.
 * Context   any; the first caller starts the heap, others wait for it and lend it their
 *           priority. Signals are held back meanwhile; a call from within the start gets -ENOMEM.
 */
#include "page/heap.h"
#include "base/options.h"
#include "os/os.h"
#include "page/run.h"
#include "percpu/system.h"
#include "sync/inject.h"
#include "sync/mutex.h"
#include "sync/racy.h"
#include <errno.h>
#include <unistd.h>

struct stele_heap stele_heap;

enum { HEAP_NONE, HEAP_READY, HEAP_FAILED };
static _Atomic uint32_t heap_state;
/* A child that finds it abandoned starts anew. */
static struct stele_mutex starting = STELE_MUTEX(HEAP);

/* A stack's index names 4 TiB from the base; maps and descriptors lie before the arena. */
#define ARENA_MAX ((uint64_t)STELE_ARENA_LARGEST)
#define ARENA_USUAL (1ull << 40)
#define ARENA_MIN ((uint64_t)STELE_ARENA_SMALLEST)
_Static_assert(ARENA_MAX == (4ull << 40) - (64ull << 30), "what is left before the stacks' end");

static size_t round_page(size_t n)
{
	return STELE_ALIGN_UP(n, (size_t)65536);
}

/* A power of two of areas each, so that an address tells its node by a shift. */
static void set_zones(struct stele_heap *h, uint32_t areas)
{
	unsigned n = stele_nodes.count;
	uint32_t each = n > 1 ? 1u << stele_ilog2(areas / n) : areas;

	h->areas_max = n * each;
	h->zone_shift = n > 1 ? stele_ilog2(each) : 31;
	for (unsigned node = 0; node < n; node++) {
		struct stele_zone *zone = &h->zones[node];

		zone->first = node * each;
		zone->end = zone->first + each;
		store_relaxed(&zone->high, zone->first);
		store_relaxed(&zone->low, zone->first);
	}
}

/* Fills in offsets for an arena of @arena bytes; returns the whole size. */
static size_t lay_out(struct stele_heap *h, size_t arena, unsigned slots)
{
	size_t areas = arena / AREA_SIZE, at = STELE_TAGS_OFFSET, rest, map;
	size_t descriptors = arena / 32 < (16ull << 30) ? arena / 32 : 16ull << 30;

	rest = round_page((size_t)slots * STELE_SLOT_SIZE) + round_page(areas * 4) +
	       round_page(areas * sizeof(struct area)) + round_page(descriptors);
	map = round_page((STELE_TAGS_OFFSET + rest + arena + 2 * AREA_SIZE) / FRAME_SIZE * 4);
	map += round_page(map / 256); /* the map's own frames */
	h->tags_bytes = 2 * map;
	at += h->tags_bytes;
	h->refs_at = at;
	h->refs_bytes = map;
	at += map;
	h->slots_at = at;
	at += round_page((size_t)slots * STELE_SLOT_SIZE);
	h->counts_at = at;
	at += round_page(areas * 4);
	h->areas_at = at;
	at += round_page(areas * sizeof(struct area));
	h->descriptors_at = at;
	at += round_page(descriptors);
	h->descriptors_end = at;
	h->arena_at = STELE_ALIGN_UP(at, AREA_SIZE);
	set_zones(h, (uint32_t)areas);
	return h->arena_at + arena;
}

/* What to take of @limit: the rest is for stacks, mappings and this heap's own tables. */
static size_t share_of(size_t limit)
{
	size_t rest = STELE_MIN(limit / 4, (size_t)256 << 20);

	return limit - STELE_MAX(rest, limit / 8);
}

static size_t wanted_arena(void)
{
	size_t limit = stele_os_address_limit(), ram = stele_os_ram_bytes() * 4;
	size_t size = (ram > ARENA_USUAL ? ram : ARENA_USUAL) * stele_nodes.count;

	if (stele_opt.arena_size)
		size = stele_opt.arena_size;
	if (size > ARENA_MAX)
		size = ARENA_MAX;
	if (limit != SIZE_MAX && size > share_of(limit))
		size = share_of(limit);
	return size / AREA_SIZE * AREA_SIZE;
}

int stele_heap_commit(const void *p, size_t size)
{
	uintptr_t page = stele_system_facts.page_size - 1;
	uintptr_t from = (uintptr_t)p & ~page, to = ((uintptr_t)p + size + page) & ~page;

	return stele_os_commit(&stele_heap.range, (void *)from, to - from);
}

static unsigned zones_in(size_t arena)
{
	unsigned count = stele_nodes.count;

	if (stele_nodes.pretended)
		return arena / count < AREA_SIZE ? 1 : count;
	return stele_zones_fit(arena, count, load_relaxed(&stele_nodes.memory),
			       stele_os_ram_bytes());
}

static void divide(size_t arena)
{
	unsigned count = zones_in(arena);

	if (count < stele_nodes.count)
		stele_nodes_keep(count);
}

static int reserve(unsigned slots)
{
	struct stele_heap *h = &stele_heap;
	size_t arena = wanted_arena();

	for (; arena >= ARENA_MIN; arena = arena / 2 / AREA_SIZE * AREA_SIZE) {
		size_t size;

		if (nodes_several())
			divide(arena);
		size = lay_out(h, arena, slots);
		if (stele_os_reserve(&h->range, size, AREA_SIZE) == 0) {
			stele_system_facts.arena_bytes = arena;
			return 0;
		}
	}
	return -ENOMEM;
}

/* Stepwise: what is read before anything is allocated must be there. */
static int open_metadata(unsigned slots)
{
	struct stele_heap *h = &stele_heap;

	if (!h->range.stepwise)
		return 0;
	if (stele_heap_commit(h->range.base, STELE_TAGS_OFFSET) != 0)
		return -ENOMEM;
	if (stele_os_readable(h->range.base + STELE_TAGS_OFFSET, h->tags_bytes + h->refs_bytes) !=
	    0)
		return -ENOMEM;
	return stele_heap_commit(h->range.base + h->slots_at, (size_t)slots * STELE_SLOT_SIZE);
}

static int start(void)
{
	struct stele_system *facts = &stele_system_facts;

	stele_options_parse(environ);
	facts->page_size = stele_opt.page_size > stele_os_page_size() ? stele_opt.page_size
								      : stele_os_page_size();
	stele_system_choose();
	stele_nodes_start();
	STELE_POINT("heap:starting");
	if (reserve(facts->slots) != 0)
		return -ENOMEM;
	facts->stepwise = stele_heap.range.stepwise;
	if (open_metadata(facts->slots) != 0)
		return -ENOMEM;
	if (!stele_opt.thp)
		stele_os_no_hugepage(stele_heap.range.base, stele_heap.range.size);
	stele_zones_bind();
	stele_hot.base = stele_heap.range.base;
	stele_hot.refs = stele_heap.range.base + stele_heap.refs_at;
	stele_pcpu_init(stele_heap.range.base + stele_heap.slots_at, facts->slots);
	atomic_store(&stele_heap.next_descriptor, stele_heap.descriptors_at);
	stele_hot.span = stele_heap.range.size;
	/* ORDER(START) a barrier in every thread: the fast paths read these facts plainly. */
	stele_os_membarrier();
	racy_ask(stele_is_never_given);
	return 0;
}

bool stele_heap_started(void)
{
	return load_acquire(&heap_state) == HEAP_READY;
}

bool stele_heap_failed(void)
{
	return load_relaxed(&heap_state) == HEAP_FAILED;
}

static void start_once(void)
{
	uint32_t now;

	if (stele_lock(&starting) != 0)
		return; /* something that the start itself calls */
	if (load_relaxed(&heap_state) == HEAP_NONE) {
		now = start() == 0 ? HEAP_READY : HEAP_FAILED;
		if (now == HEAP_FAILED && !stele_opt.quiet)
			stele_say("stele: no address space or memory to start with; "
				  "every allocation fails\n");
		/* ORDER(START) release: everything the heap set up is seen by who finds it ready. */
		store_release(&heap_state, now);
	}
	stele_unlock(&starting);
}

int stele_heap_start(void)
{
	if (stele_likely(stele_heap_started()))
		return 0;
	if (load_relaxed(&heap_state) == HEAP_NONE)
		start_once();
	return stele_heap_started() ? 0 : -ENOMEM;
}

size_t stele_page_size(void)
{
	stele_heap_start();
	return stele_system_facts.page_size;
}

const struct stele_system *stele_system(void)
{
	stele_heap_start();
	return &stele_system_facts;
}
