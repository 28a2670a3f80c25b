/* SPDX-License-Identifier: MIT */
/*
 * page/heap.c - the parts of the heap, and how much of each is mapped
 *
 * Idea      Everything Stele knows lies at an offset from one base:
 *             base          descriptor of "not ours", sentinels, size table, facts, slots[]
 *             +896 KiB      page map, for each 4 KiB of the arena: tags, 8 bytes
 *             then          and references, 4 bytes
 *             then          area counts, areas, bits of areas, slots, descriptors
 *             then          the arena, 2 MiB aligned
 *           These addresses are chosen at start (page/place.c), and nothing but the first piece of
 *           each part is mapped: a part is enlarged when it is used up (sync/stretch.h), areas are
 *           mapped as they are wanted (page/areas.c). So limits, core files and mlockall() see what
 *           is in use. Mappings of other code in between stay as they are.
 * Order     SPAN: the page map is mapped as far as `span` before `span` says so; never less later.
 * Limits    with several nodes the tables are mapped read-only as a whole, since each node's stretch
 *           of the arena has its part of them, and are made writable as areas are opened.
 * Context   any, once the heap has started; before, one thread.
 * Tests     tests/unit/page/test_zones.c  tests/unit/page/test_areas.c
 */
#include "page/heap.h"
#include "os/map.h"
#include "page/marks.h"
#include "page/open.h"
#include "page/place.h"
#include "page/run.h"
#include "page/tables.h"
#include "percpu/percpu.h"
#include <errno.h>

struct stele_heap stele_heap;
struct stele_stretch stele_tables[TABLES];

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

size_t stele_heap_lay_out(size_t arena, unsigned slots)
{
	struct stele_heap *h = &stele_heap;
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
		size_t mapped = load_acquire(&stele_tables[table].mapped);
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
		char *start = stele_tables[table].start;
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
		if (stretch_reach(&stele_tables[table], table_size(table, need),
				  table_size(table, want)) != 0)
			return -ENOMEM;
	raise_span(areas_covered());
	return 0;
}

/* ---- the start ---- */

static void set_table(enum stele_table table, size_t at, size_t room)
{
	struct stele_stretch *t = &stele_tables[table];

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
		return stele_tables[TABLE_BITS].room;
	return STELE_MAX(table_size(table, STELE_MIN(COVER_STEP, stele_heap.areas_max)),
			 (size_t)STELE_MAP_UNIT);
}

static int map_table(enum stele_table table)
{
	struct stele_stretch *t = &stele_tables[table];
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
			struct stele_stretch *t = &stele_tables[table];

			if (load_relaxed(&t->mapped))
				stele_os_unmap(t->start, load_relaxed(&t->mapped));
		}
		return error;
	}
	return 0;
}

int stele_heap_map_at(uintptr_t base)
{
	stele_heap.base = (char *)STELE_ALIGN_UP(base, AREA_SIZE);
	set_tables();
	return map_tables();
}

void stele_heap_begin(unsigned slots)
{
	stele_hot.base = stele_heap.base;
	stele_hot.refs = stele_heap.base + stele_heap.refs_at;
	stele_hot.first = stele_heap.base + stele_heap.arena_at;
	stele_pcpu_init(stele_heap.base + stele_heap.slots_at, slots);
	stele_slot_room = &stele_tables[TABLE_SLOTS];
	store_relaxed(&stele_heap.next_descriptor, stele_heap.descriptors_at);
	raise_span(areas_covered());
}

/* From the linker: the first and the last byte of the file in memory. */
extern const char __ehdr_start[] __attribute__((visibility("hidden")));
extern const char _end[] __attribute__((visibility("hidden")));

/* The library may lie in the arena itself, in an area that no thread has tried to open. */
static bool is_static(const void *p)
{
	return (uintptr_t)p - (uintptr_t)__ehdr_start < (uintptr_t)_end - (uintptr_t)__ehdr_start;
}

bool stele_is_never_given(const void *p)
{
	uintptr_t offset = (uintptr_t)p - (uintptr_t)area_memory(0);
	uint32_t count;

	if (offset >= stele_span_now() || is_static(p))
		return true;
	count = load_relaxed(area_count(area_of((uintptr_t)p)));
	return count == AREA_KEPT || count == AREA_FOREIGN;
}
