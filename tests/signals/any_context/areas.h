/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/areas.h - as if the last areas had never been opened
 *
 * Idea      A phase that opens an area must find all of them full, and would grow by one each
 *           time it runs. So it first lowers the mark over the areas at the end that are empty
 *           and clean. Right only while nothing else runs.
 */
#ifndef TESTS_ANY_CONTEXT_AREAS_H
#define TESTS_ANY_CONTEXT_AREAS_H

#include "page/areas.h"
#include "page/counts.h"
#include "sync/stack.h"
#include "trap.h"

#include <sys/mman.h>

struct areas {
	struct stele_heap *heap;
	struct stele_hot *hot;
	struct stele_counts *counts;
	struct stele_stack *descriptors; /* free ones */
};

static inline struct areas areas_find(void)
{
	return (struct areas){ trap_symbol("stele_heap"), trap_symbol("stele_hot"),
			       trap_symbol("stele_counts"), trap_symbol("free_descriptors") };
}

static inline uint32_t *areas_count(const struct areas *areas, uint32_t number)
{
	return (uint32_t *)(areas->hot->base + areas->heap->counts_at) + number * ROOM_STRIDE;
}

static inline bool area_is_unused(const struct areas *areas, uint32_t number)
{
	const struct area *area =
		(const struct area *)(areas->hot->base + areas->heap->areas_at) + number;

	for (unsigned w = 0; w < AREA_WORDS; w++)
		if (area->dirty[w])
			return false;
	return area_is_whole(*areas_count(areas, number));
}

/* It is not mapped any more, and its count is as it was at first. */
static inline void area_make_new(const struct areas *areas, uint32_t number)
{
	uint32_t *count = areas_count(areas, number);

	if (*count == AREA_OPEN) {
		munmap(areas->hot->base + areas->heap->arena_at + (size_t)number * AREA_SIZE,
		       AREA_SIZE);
		areas->heap->mapped--;
		areas->heap->empty--;
	}
	*count = AREA_CLOSED;
}

/* Of each memory node. */
#define FOR_EACH_ZONE(areas, zone)                                                                 \
	for (struct stele_zone *zone = (areas)->heap->zones;                                       \
	     zone < (areas)->heap->zones + STELE_NODES_MAX && zone->end; zone++)

static inline uint32_t areas_opened(const struct areas *areas)
{
	uint32_t n = 0;

	FOR_EACH_ZONE(areas, zone)
	n += zone->high - zone->first;
	return n;
}

static inline void areas_lower(const struct areas *areas)
{
	FOR_EACH_ZONE(areas, zone)
	while (zone->high > zone->first + 1 && area_is_unused(areas, zone->high - 1))
		area_make_new(areas, --zone->high);
}

/* Something else is mapped where the next area would be opened. NULL: it cannot be. */
static inline void *areas_map_in_the_way(const struct areas *areas)
{
	char *at = areas->hot->base + areas->heap->arena_at +
		   (size_t)areas->heap->zones[0].high * AREA_SIZE;
	void *p =
		mmap(at, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);

	return p == MAP_FAILED ? NULL : p;
}

/* It is not there any more, and as if no thread had met it. */
static inline void areas_unmap_from_the_way(const struct areas *areas, void *p)
{
	if (p)
		munmap(p, 4096);
	FOR_EACH_ZONE(areas, zone)
	for (uint32_t i = zone->first; i < zone->high; i++) {
		if (*areas_count(areas, i) != AREA_FOREIGN)
			continue;
		*areas_count(areas, i) = AREA_CLOSED;
		areas->heap->foreign--;
	}
	areas_lower(areas);
}

/* As if no descriptor had ever been used: until they are shown again, each run needs a new one. */
static inline uint64_t areas_hide_descriptors(const struct areas *areas)
{
	return atomic_exchange(&areas->descriptors->head, 0);
}

static inline void areas_show_descriptors(const struct areas *areas, uint64_t hidden)
{
	areas->descriptors->head = hidden;
}

/* As if nothing had ever been faulted in again: nothing is kept for the next block. */
static inline void areas_keep_nothing(const struct areas *areas)
{
	areas->counts->wanted = 0;
	areas->counts->gone = 0;
}

#endif
