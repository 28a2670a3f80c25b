/* SPDX-License-Identifier: MIT */
/*
 * page/heap.c - where everything lies, and how much of it is mapped
 *
 * Idea      Everything Stele knows lies at an offset from one base:
 *             base          descriptor of "not ours", sentinels, size table, facts, slots[]
 *             +896 KiB      page map, for each 4 KiB of the arena: tags, 8 bytes
 *             then          and references, 4 bytes
 *             then          area counts, areas, bits of areas, slots, descriptors
 *             then          the arena, 2 MiB aligned
 *           These addresses are chosen at start, and nothing but the first piece of each part is
 *           mapped: a part is enlarged when it is used up (sync/stretch.h), areas are mapped as they
 *           are wanted (page/areas.c). So limits, core files and mlockall() see what is in use. Mappings
 *           of other code in between stay as they are.
 * Place     below this thread's stack by a quarter more than all of it: the system maps downwards
 *           from there, or upwards from far below, so both are long before they meet. A small
 *           arena lies as far away as one of the usual size: close to the stack, the program's own
 *           mappings would soon take its addresses.
 * Order     SPAN: the page map is mapped as far as `span` before `span` says so; never less later.
 * Limits    with several nodes the tables are mapped read-only as a whole, since each node's stretch
 *           of the arena has its part of them, and are made writable as areas are opened.
 * Context   any; the first caller starts the heap, others wait for it and lend it their
 *           priority. Signals are held back meanwhile; a call from within the start gets -ENOMEM.
 * Tests     tests/unit/page/test_zones.c  tests/limits/no_maps.c  tests/limits/space.c
 */
#include "page/heap.h"
#include "base/fmt.h"
#include "base/options.h"
#include "os/map.h"
#include "os/os.h"
#include "page/marks.h"
#include "page/run.h"
#include "percpu/percpu.h"
#include "percpu/system.h"
#include "sync/inject.h"
#include "sync/mutex.h"
#include "sync/racy.h"
#include "sync/ready.h"
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
#define ARENA_NODE (16ull << 30)
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
	}
}

_Static_assert(STELE_DUMMY_OFFSET + STELE_SLOT_SIZE + 2 * STELE_WORDS_SIZE <= STELE_STEPPED_OFFSET,
	       "the shared slot, then the one of threads that are stepped");

/* Nothing is ever mapped between two parts: each is a mapping of its own. */
#define PART_GAP STELE_MAP_UNIT

static size_t part(size_t *at, size_t size)
{
	size_t here = *at;

	*at += round_page(size) + PART_GAP;
	return here;
}

_Static_assert(MARKS_MAX >= ARENA_MAX / AREA_SIZE, "a mark for each area");

/*
 * Bits of @areas areas, from @at on: the words of hints, which have a bit for 64 areas; marks to purge,
 * upper words first (page/marks.h); hints (page/open.h); classes of 64 areas (page/rooms.h). Their end.
 */
static size_t lay_out_bits(struct stele_heap *h, size_t at, size_t areas)
{
	size_t words = STELE_ALIGN_UP(areas + 1, (size_t)64 * ROOM_FAN) / 64;

	h->bits_at = at;
	h->marks_at = h->bits_at + (size_t)MARKS_UPPER * 8;
	h->hints_at = h->marks_at + (size_t)MARKS_UPPER * 8 + words * 8;
	h->groups_at = h->hints_at + words * 8;
	return h->groups_at + words * 4;
}

/* Fills in offsets for an arena of @arena bytes; returns the whole size. */
static size_t lay_out(struct stele_heap *h, size_t arena, unsigned slots)
{
	size_t areas = arena / AREA_SIZE, at = 0;
	/* A run for each frame of the arena would need as much, up to the limit. */
	size_t descriptors = STELE_MIN(arena / 16, (size_t)16 << 30);

	part(&at, STELE_TAGS_OFFSET + areas * AREA_FRAMES * 8);
	h->refs_at = part(&at, areas * AREA_FRAMES * 4);
	h->counts_at = part(&at, areas * 4 * ROOM_STRIDE);
	h->areas_at = part(&at, areas * sizeof(struct area));
	h->bits_end = lay_out_bits(h, at, areas);
	part(&at, h->bits_end - at);
	h->slots_at = part(&at, (size_t)slots * STELE_SLOT_SIZE);
	h->slots_end = h->slots_at + (size_t)slots * STELE_SLOT_SIZE;
	h->descriptors_at = part(&at, descriptors);
	h->descriptors_end = h->descriptors_at + round_page(descriptors);
	h->arena_at = STELE_ALIGN_UP(at, AREA_SIZE);
	set_zones(h, (uint32_t)areas);
	return h->arena_at + arena;
}

/* ---- the tables ---- */

#define COVER_STEP 16u /* areas: a unit of tags */

/* The bytes that a table needs for the areas below @areas. */
static size_t table_size(enum stele_table table, size_t areas)
{
	switch (table) {
	case TABLE_TAGS:
		return STELE_TAGS_OFFSET + areas * AREA_FRAMES * 8;
	case TABLE_REFS:
		return areas * AREA_FRAMES * 4;
	case TABLE_COUNTS:
		return areas * 4 * ROOM_STRIDE;
	case TABLE_AREAS:
		return areas * sizeof(struct area);
	default:
		return 0;
	}
}

/* How many areas all of the tables reach over. */
static size_t areas_covered(void)
{
	size_t areas = stele_heap.areas_max;

	for (enum stele_table table = 0; table < TABLE_RUNS; table++) {
		/* ORDER(STRETCH) acquire */
		size_t mapped = load_acquire(&stele_heap.tables[table].mapped);
		size_t none = table_size(table, 0), each = table_size(table, 1) - none;

		areas = STELE_MIN(areas, (mapped - none) / each);
	}
	return areas;
}

static void raise_span(size_t areas)
{
	size_t seen = stele_span(), span = areas * AREA_SIZE;

	/* ORDER(SPAN) release: the page map is there. */
	while (seen < span && !__atomic_compare_exchange_n(&stele_hot.span, &seen, span, true,
							   __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
}

/* Where the tables are mapped as a whole. */
static int make_writable(uint32_t first, uint32_t n)
{
	for (enum stele_table table = 0; table < TABLE_RUNS; table++) {
		char *start = stele_heap.tables[table].start;
		size_t from = table_size(table, first) & ~(STELE_MAP_UNIT - 1);
		size_t to = round_page(table_size(table, first + n));

		if (stele_os_map_writable(start + from, to - from) != 0)
			return -ENOMEM;
	}
	return 0;
}

int stele_heap_cover(uint32_t first, uint32_t n)
{
	uint32_t need = first + n, want;

	if (stele_heap.whole)
		return make_writable(first, n);
	/* ORDER(SPAN) acquire: the tables reach as far. */
	if (__atomic_load_n(&stele_hot.span, __ATOMIC_ACQUIRE) >= (size_t)need * AREA_SIZE)
		return 0;
	want = STELE_MIN(STELE_ALIGN_UP(need + need / 8, COVER_STEP), stele_heap.areas_max);
	for (enum stele_table table = 0; table < TABLE_RUNS; table++)
		if (stretch_reach(&stele_heap.tables[table], table_size(table, need),
				  table_size(table, want)) != 0)
			return -ENOMEM;
	raise_span(areas_covered());
	return 0;
}

/* ---- where it all is ---- */

static size_t wanted_arena(void)
{
	size_t ram = stele_os_ram_bytes() * 4, limit = stele_os_address_limit();
	size_t size = ram > ARENA_USUAL ? ram : ARENA_USUAL;

	/* With several nodes the tables cost address space in proportion. */
	if (nodes_several())
		size = STELE_MIN(STELE_MAX(ram, ARENA_NODE) * stele_nodes.count, limit);
	if (stele_opt.arena_size)
		size = stele_opt.arena_size;
	return STELE_MIN(size, (size_t)ARENA_MAX) / AREA_SIZE * AREA_SIZE;
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

static void set_table(enum stele_table table, size_t at, size_t room)
{
	struct stele_stretch *t = &stele_heap.tables[table];

	t->start = stele_heap.base + at;
	t->room = round_page(room);
	store_relaxed(&t->mapped, 0);
}

static void set_tables(void)
{
	struct stele_heap *h = &stele_heap;

	set_table(TABLE_TAGS, 0, table_size(TABLE_TAGS, h->areas_max));
	set_table(TABLE_REFS, h->refs_at, table_size(TABLE_REFS, h->areas_max));
	set_table(TABLE_COUNTS, h->counts_at, table_size(TABLE_COUNTS, h->areas_max));
	set_table(TABLE_AREAS, h->areas_at, table_size(TABLE_AREAS, h->areas_max));
	set_table(TABLE_RUNS, h->descriptors_at, h->descriptors_end - h->descriptors_at);
	set_table(TABLE_SLOTS, h->slots_at, h->slots_end - h->slots_at);
	set_table(TABLE_BITS, h->bits_at, h->bits_end - h->bits_at);
}

/* The first piece. */
static size_t first_size(enum stele_table table)
{
	if (table == TABLE_SLOTS)
		return STELE_SLOT_SIZE;
	if (table == TABLE_BITS)
		return stele_heap.tables[TABLE_BITS].room;
	return STELE_MAX(table_size(table, STELE_MIN(COVER_STEP, stele_heap.areas_max)),
			 (size_t)STELE_MAP_UNIT);
}

static int map_table(enum stele_table table)
{
	struct stele_stretch *t = &stele_heap.tables[table];
	int error;

	if (!stele_heap.whole || table >= TABLE_RUNS)
		return stretch_begin(t, round_page(first_size(table)));
	error = stele_os_map_readable(t->start, t->room);
	if (error)
		return error;
	store_relaxed(&t->mapped, t->room);
	return table == TABLE_TAGS ? stele_os_map_writable(t->start, STELE_TAGS_OFFSET) : 0;
}

static int map_tables(void)
{
	for (enum stele_table table = 0; table < TABLES; table++) {
		int error = map_table(table);

		if (!error)
			continue;
		for (table = 0; table < TABLES; table++) {
			struct stele_stretch *t = &stele_heap.tables[table];

			if (load_relaxed(&t->mapped))
				stele_os_unmap(t->start, load_relaxed(&t->mapped));
		}
		return error;
	}
	return 0;
}

static int settle_at(uintptr_t base)
{
	stele_heap.base = (char *)STELE_ALIGN_UP(base, AREA_SIZE);
	set_tables();
	return map_tables();
}

#define PLACES 8u

/* Near the stack's end of the address space, where the C library's threads have theirs, too. */
static uintptr_t highest_known(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0), environment = (uintptr_t)environ;

	return STELE_MAX(here, environment);
}

/* Chooses where an arena of @arena bytes and all that belongs to it is. 0 or -errno. */
static int settle(size_t arena, unsigned slots)
{
	uintptr_t top = highest_known();
	size_t size, far;
	char *room;

	if (nodes_several())
		divide(arena);
	stele_heap.whole = nodes_several();
	size = lay_out(&stele_heap, arena, slots);
	far = STELE_MAX(size, STELE_MIN(ARENA_USUAL, top / 8));
	for (unsigned i = 0; i < PLACES; i++) {
		size_t below = far + far / 4 + i * (far / 8);
		int error = below < top ? settle_at(top - below) : -EEXIST;

		if (error != -EEXIST)
			return error;
	}
	room = stele_os_find_room(size + AREA_SIZE);
	return room ? settle_at((uintptr_t)room) : -ENOMEM;
}

static int choose_place(unsigned slots)
{
	size_t arena = STELE_MIN(wanted_arena(), highest_known() / 8 / AREA_SIZE * AREA_SIZE);

	for (; arena >= ARENA_MIN; arena = arena / 2 / AREA_SIZE * AREA_SIZE)
		if (settle(arena, slots) == 0) {
			stele_system_facts.arena_bytes = arena;
			return 0;
		}
	return -ENOMEM;
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
	if (choose_place(facts->slots) != 0)
		return -ENOMEM;
	stele_hot.base = stele_heap.base;
	stele_hot.refs = stele_heap.base + stele_heap.refs_at;
	stele_hot.first = stele_heap.base + stele_heap.arena_at;
	stele_pcpu_init(stele_heap.base + stele_heap.slots_at, facts->slots);
	stele_slot_room = &stele_heap.tables[TABLE_SLOTS];
	store_relaxed(&stele_heap.next_descriptor, stele_heap.descriptors_at);
	raise_span(areas_covered());
	/* ORDER(START) a barrier in every thread: the fast paths read these facts plainly. */
	stele_os_membarrier();
	racy_ask(stele_is_never_given);
	return 0;
}

bool stele_heap_started(void)
{
	/* ORDER(START) acquire: all that was set up is there. */
	return ready_look(&heap_state) == HEAP_READY;
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
		/* ORDER(START) release: a thread that finds it ready sees all that the heap set
		 * up. */
		ready_say(&heap_state, now);
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
