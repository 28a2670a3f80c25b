/* SPDX-License-Identifier: MIT */
/*
 * page/place.c - how large the arena is, and where it lies
 *
 * Place     below this thread's stack by a quarter more than all of it, and by 1/64 of the address
 *           space besides, 2 TiB: the system maps downwards from there, or upwards from far below.
 *           Where it begins may be 1 TiB below the stack, so a program may map 2 TiB before the two
 *           meet. ThreadSanitizer allows no mappings there, so the arena lies nearer in its programs.
 *           A small arena lies as far away as one of the usual size: close to the stack, the
 *           program's own mappings would soon take its addresses.
 * Nodes     several share the arena where each one's stretch is long enough.
 * Context   the thread that starts the heap; stele_heap_absurd(): any.
 * Failure   -ENOMEM: the smallest arena finds no place.
 * Tests     tests/unit/page/test_zones.c  tests/limits/no_maps.c  tests/limits/space.c
 */
#include "page/place.h"
#include "base/options.h"
#include "os/map.h"
#include "os/os.h"
#include "page/heap.h"
#include "percpu/system.h"
#include <errno.h>
#include <unistd.h>

/* A stack's index names 4 TiB from the base; maps and descriptors lie before the arena. */
#define ARENA_MAX ((uint64_t)STELE_ARENA_LARGEST)
#define ARENA_USUAL (1ull << 40)
#define ARENA_NODE (16ull << 30)
#define ARENA_MIN ((uint64_t)STELE_ARENA_SMALLEST)
_Static_assert(ARENA_MAX == (4ull << 40) - (64ull << 30), "what is left before the stacks' end");

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

/* ---- nodes ---- */

#define ZONE_LEAST (1ul << 30) /* a block lies in one zone */

/* Whether @count zones, each a power of two of areas long, are long enough, and those with memory
 * hold all of it or three quarters of the arena. */
static bool zone_has_room(size_t arena, unsigned count, uint64_t memory, uint64_t ram)
{
	size_t areas = arena / AREA_SIZE / count, each;

	each = areas ? AREA_SIZE << stele_ilog2(areas) : 0;
	return each >= ZONE_LEAST &&
	       each * stele_popcount(memory) >= STELE_MIN(ram, (uint64_t)arena / 4 * 3);
}

/* Nodes without memory get a zone only if each zone can hold all memory: one block can be that
 * large. */
unsigned stele_zones_fit(size_t arena, unsigned count, uint64_t memory, uint64_t ram)
{
	unsigned now = 64 - (unsigned)__builtin_clzll(memory);

	if (zone_has_room(arena, count, count > now ? 1 : memory, ram))
		return count;
	return zone_has_room(arena, now, memory, ram) ? now : 1;
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

/* ---- the place ---- */

#define PLACES 8u

extern void __tsan_acquire(void *) __attribute__((weak));

/* Near the stack's end of the address space, where the C library's threads have theirs, too. */
static uintptr_t highest_known(void)
{
	uintptr_t here = (uintptr_t)__builtin_frame_address(0), environment = (uintptr_t)environ;

	return STELE_MAX(here, environment);
}

/* How far below @top something that takes @size lies, at the least. */
static size_t below_top(uintptr_t top, size_t size)
{
	return (__tsan_acquire ? 0 : top / 64) + size + size / 4;
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
	size = stele_heap_lay_out(arena, slots);
	far = STELE_MAX(size, STELE_MIN(ARENA_USUAL, top / 8));
	for (unsigned i = 0; i < PLACES; i++) {
		size_t below = below_top(top, far) + i * (far / 8);
		int error = below < top ? stele_heap_map_at(top - below) : -EEXIST;

		if (error != -EEXIST)
			return error;
	}
	room = stele_os_find_room(size + AREA_SIZE);
	return room ? stele_heap_map_at((uintptr_t)room) : -ENOMEM;
}

int stele_heap_place(unsigned slots)
{
	size_t arena = STELE_MIN(wanted_arena(), highest_known() / 8 / AREA_SIZE * AREA_SIZE);

	for (; arena >= ARENA_MIN; arena = arena / 2 / AREA_SIZE * AREA_SIZE)
		if (settle(arena, slots) == 0) {
			stele_system_facts.arena_bytes = arena;
			return 0;
		}
	return -ENOMEM;
}

/* More than there is: refused as the system itself would refuse it, unless it is told not to. */
bool stele_heap_absurd(size_t bytes)
{
	uint64_t ram;

	if (bytes < 1ul << 30)
		return false;
	if (bytes > stele_system_facts.arena_bytes)
		return true;
	ram = stele_os_ram_bytes();
	return ram && bytes > ram && stele_os_overcommit() != STELE_OS_OVERCOMMIT_ALWAYS;
}
