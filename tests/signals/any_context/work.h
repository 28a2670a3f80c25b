/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/work.h - what both programs do at every instruction: make, drop, give,
 * count
 *
 * Idea      slab_calls.c and malloc_calls.c go through the same parts of the data path by other
 *           calls. A program says how an object is made, resized and dropped by each of its ways,
 *           and how much memory is in use; here is the work that takes no more than that: what a
 *           handler does, the parts that phases are made of, and the count at the end.
 * Nothing lost: settle() frees all that waits in a basket; as much is in use as at the start.
 * Included  by one file of a program, which has main().
 */
#ifndef TESTS_ANY_CONTEXT_WORK_H
#define TESTS_ANY_CONTEXT_WORK_H

#include "areas.h"
#include "objects.h"
#include "others.h"

#define MANY_MAX 1300

/* Filled in by the program. The ways are its own numbers. */
static bool make(unsigned way, size_t size, struct object *o); /* false: frames are refused */
static void resize_to(struct object *o, size_t size);
static void drop(const struct object *o);
static void refill(void);     /* through the sheaves, the barn and the slabs, and back */
static uint64_t in_use(void); /* bytes */
static void in_handler(void);

static struct basket for_handler, from_handler;
static struct object many[MANY_MAX];
static int *page_fail;
static struct areas areas;
static struct others others;
static unsigned turn;
static uint64_t at_start; /* in use */

static void nothing(const char *point)
{
	(void)point;
}

/* After trap_prepare(). */
static inline void find_library(void)
{
	page_fail = trap_symbol("stele_inject_page_fail");
	areas = areas_find();
	others = others_find();
	if (trap_symbol_if("stele_inject"))
		*(void (**)(const char *))trap_symbol("stele_inject") = nothing;
}

/* Frames may be refused while a phase says so. */
static inline bool may_fail(void)
{
	return *page_fail != 0;
}

/* ---- the handler ---- */

/* Two objects; @other: the first is resized to that. */
static inline void two_objects(unsigned way, size_t size, size_t other)
{
	struct object first, second;

	if (!make(way, size, &first))
		return;
	if (!make(way, size, &second)) {
		drop(&first);
		return;
	}
	if (other)
		resize_to(&first, other);
	drop(&first);
	object_check(&second);
	if (trap_depth() > 1 || !basket_put(&from_handler, second))
		drop(&second);
}

static inline void drop_gift(void)
{
	struct object gift;

	if (trap_depth() <= 1 && basket_take(&for_handler, &gift))
		drop(&gift);
}

static inline void give_to_handler(unsigned ways, size_t size)
{
	struct object o;

	for (unsigned way = 0; way < ways; way++)
		if (make(way, size, &o) && !basket_put(&for_handler, o))
			drop(&o);
}

/* ---- what the phases do ---- */

static inline unsigned make_many(unsigned way, size_t size, unsigned count)
{
	unsigned made = 0;

	while (made < count && make(way, size, &many[made]))
		made++;
	return made;
}

/* @count of them, freed first to last or last to first. */
static inline void many_of(unsigned way, size_t size, unsigned count, bool backward)
{
	unsigned made = make_many(way, size, count);

	for (unsigned i = 0; i < made; i++)
		drop(&many[backward ? made - 1 - i : i]);
}

/* Every third, then the rest: slabs are partial, listed, unlisted, dead in the list. */
static inline void drop_by_thirds(unsigned made)
{
	for (unsigned first = 0; first < 3; first++)
		for (unsigned i = first; i < made; i += 3)
			drop(&many[i]);
}

/* In place, shrinking, growing, with its neighbour free or not. */
static inline void resize_in_row(struct object *o, unsigned way, const unsigned of_eight[],
				 unsigned n)
{
	size_t size = o->size;
	struct object neighbour;

	for (unsigned i = 0; i < n; i++) {
		bool beside = i % 3 && make(way, size, &neighbour);

		resize_to(o, size / 64 * of_eight[i] * 8);
		if (beside)
			drop(&neighbour);
	}
	drop(o);
}

/* Blocks of half an area, until one more had to be opened. */
static inline void open_area(unsigned way, size_t size)
{
	unsigned made = 0;
	uint32_t before;

	areas_lower(&areas);
	before = areas_opened(&areas);
	while (made < MANY_MAX && areas_opened(&areas) == before)
		if (make(way, size, &many[made]))
			made++;
	while (made)
		drop(&many[--made]);
}

/* A foreign mapping lies in the way of blocks in an area, and of a block of areas. */
static inline void meet(unsigned way)
{
	for (unsigned i = 0; i < 2; i++) {
		void *other;

		areas_lower(&areas);
		other = areas_map_in_the_way(&areas);
		if (i)
			many_of(way, 9u << 20, 1, true);
		else
			open_area(way, 1000 << 10);
		areas_unmap_from_the_way(&areas, other);
	}
}

static inline void open_descriptors(unsigned way, size_t size)
{
	uint64_t hidden = areas_hide_descriptors(&areas);

	many_of(way, size, 2, true);
	areas_show_descriptors(&areas, hidden);
}

/* Four blocks of areas: one in the way of another, and in place of one that was used. */
static inline bool four_huge(unsigned way, size_t size, struct object row[4])
{
	for (unsigned i = 0; i < 4; i++)
		if (!make(way, size, &row[i]))
			return false;
	/* There is room behind it, but not enough. */
	drop(&row[1]);
	resize_to(&row[0], size * 4);
	if (!make(way, size, &row[1]))
		return false;
	for (unsigned i = 0; i < 4; i++) {
		resize_to(&row[i], size * (i % 2 ? 3 : 2));
		resize_to(&row[i], row[i].size - (100 << 10));
	}
	for (unsigned i = 0; i < 4; i++)
		resize_to(&row[i], size + (i << 20) / 2);
	return true;
}

/* Every second block is freed and purged, then another size is wanted, then the rest is freed. */
static inline void with_holes(unsigned way)
{
	struct object row[8];
	unsigned made = 0;

	while (made < 8 && make(way, 300 << 10, &row[made]))
		made++;
	areas_keep_nothing(&areas);
	for (unsigned i = 0; i < made; i += 2)
		drop(&row[i]);
	areas_keep_nothing(&areas);
	many_of(way, 1500 << 10, 1, true);
	refill();
	for (unsigned i = 1; i < made; i += 2)
		drop(&row[i]);
}

/* Another thread holds each of the two locks that the data path tries to enter. @first comes before
 * that: it may wait for them. */
static inline void beside_others_of(void (*first)(void), void (*work)(void), unsigned way)
{
	struct stele_mutex *const held[] = { others.list, others.taking };

	for (unsigned i = 0; i < 2; i++) {
		if (first)
			first();
		other_enters(&others, &held[i]->word);
		work();
		other_leaves(&held[i]->word);
	}
	with_holes(way);
}

/* A child of a fork that struck while others were inside, taking the sheaves of the cache with
 * these @words, or of none. */
static inline void inherit(uint64_t words)
{
	other_enters(&others, &others.taking->word);
	other_enters(&others, &others.list->word);
	if (words)
		others_mark(&others, words);
	others_fork(&others, words != 0);
}

/* ---- nothing lost ---- */

static inline void empty(struct basket *basket)
{
	struct object o;

	while (basket_take(basket, &o))
		drop(&o);
}

static void between(void)
{
	empty(&from_handler);
	empty(&for_handler);
}

/* A handler may leave objects while those that were left are freed. */
static void settle(void)
{
	uint64_t bytes;

	do {
		between();
		bytes = in_use();
	} while (for_handler.count || from_handler.count);
	MUST_HOLD(bytes == at_start);
}

/* ---- the program ---- */

/* Fills in the part of a plan that both programs share; @plan has the library, the phases and how
 * to run one. */
static inline void prepare(struct trap_plan *plan, int argc, char **argv)
{
	plan->table = argc > 1 ? argv[1] : "";
	plan->between = between;
	plan->handler = in_handler;
	plan->settle = settle;
	plan->share = 90;
	trap_prepare(plan);
	find_library();
}

#endif
