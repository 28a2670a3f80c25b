/* SPDX-License-Identifier: MIT */
/*
 * tests/any_context/malloc_calls.c - TABLE: malloc and its family at every instruction
 *
 * Idea      As slab_calls.c, for the drop-in: this program's malloc is the drop-in's. The handler
 *           uses malloc, calloc, realloc, aligned_alloc and free with the sizes that the phase is
 *           busy with.
 * Nothing lost: as there; the drop-in's own count is asked through its hidden functions.
 */
#include "areas.h"
#include "objects.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <stele/stats.h>
#include <string.h>

enum way { PLAIN, ZEROED, ALIGNED, RESIZED, WAYS };

#define MANY_MAX 700
#define ALIGNMENT 256

struct phase {
	void (*run)(void);
	size_t size;
};

static const struct phase *now;
static struct basket for_handler, from_handler;
static int *page_fail;
static struct areas areas;
static void (*read_stats)(struct stele_stats *);
static unsigned turn;

static bool may_fail(void)
{
	return *page_fail != 0;
}

/* NULL only with ENOMEM, and only where frames are refused; errno is as before then, too. */
static void *checked(void *p, int saved)
{
	if (p)
		return p;
	MUST(may_fail() && errno == ENOMEM);
	errno = saved;
	return NULL;
}

static void *call_alloc(enum way way, size_t size)
{
	int saved = errno;
	void *p;

	switch (way) {
	case ZEROED:
		return checked(calloc(size / 8, 8), saved);
	case ALIGNED:
		p = checked(aligned_alloc(ALIGNMENT, size), saved);
		MUST_HOLD((uintptr_t)p % ALIGNMENT == 0);
		return p;
	case RESIZED:
		return checked(realloc(NULL, size), saved);
	default:
		return checked(malloc(size), saved);
	}
}

static void check_zero(const void *p, size_t size)
{
	for (size_t at = 0; at < size; at += sign_step(size))
		MUST_HOLD(*(const uint64_t *)((const char *)p + at) == 0);
}

static bool make(enum way way, size_t size, struct object *o)
{
	void *p = call_alloc(way, size);

	if (!p)
		return false;
	if (way == ZEROED)
		check_zero(p, size);
	*o = object_signed(p, size, way);
	return true;
}

static void drop(const struct object *o)
{
	object_check(o);
	*last_word(o) = 0;
	MUST_HOLD(malloc_usable_size(o->p) >= o->size);
	free(o->p);
}

static void resize_to(struct object *o, size_t size)
{
	void *p = checked(realloc(o->p, size), errno);

	if (!p)
		return;
	o->p = p;
	object_check_to(o, size < o->size ? size : o->size - 8);
	*o = object_signed(p, size, RESIZED);
}

/* ---- the handler ---- */

static void work_one_way(enum way way)
{
	struct object first, second;

	if (!make(way, now->size, &first))
		return;
	if (!make(way, now->size, &second)) {
		drop(&first);
		return;
	}
	if (way == RESIZED)
		resize_to(&first, now->size > 256 ? now->size / 2 : now->size * 2);
	drop(&first);
	object_check(&second);
	if (trap_depth() > 1 || !basket_put(&from_handler, second))
		drop(&second);
}

static void in_handler(void)
{
	struct object gift;

	for (enum way way = 0; way < WAYS; way++) {
		work_one_way(way);
		if (trap_depth() <= 1 && basket_take(&for_handler, &gift))
			drop(&gift);
	}
}

/* ---- what the phases do ---- */

static struct object many[MANY_MAX];

static void many_of(enum way way, size_t size, unsigned count, bool backward)
{
	unsigned made = 0;

	while (made < count && make(way, size, &many[made]))
		made++;
	for (unsigned i = 0; i < made; i++)
		drop(&many[backward ? made - 1 - i : i]);
}

static void pairs(void)
{
	struct object o;

	for (enum way way = 0; way < WAYS; way++)
		for (int i = 0; i < 2; i++)
			if (make(way, now->size, &o))
				drop(&o);
	free(NULL);
	free(malloc(0));
}

/* Through the sheaves, the barn and the slabs, and back. */
static void refill(void)
{
	many_of(PLAIN, now->size, 120, true);
	many_of(ALIGNED, now->size, 120, false);
}

/* Every third is freed, then the rest: slabs are partial, listed, unlisted, dead in the list. */
static void partial(void)
{
	unsigned made = 0;

	while (made < 90 && make(turn++ % 2 ? PLAIN : ZEROED, now->size, &many[made]))
		made++;
	for (unsigned first = 0; first < 3; first++)
		for (unsigned i = first; i < made; i += 3)
			drop(&many[i]);
}

static void shrink(void)
{
	many_of(PLAIN, now->size, 60, true);
	malloc_trim(1 << 20);
	many_of(PLAIN, now->size, 3, true);
}

static void resized(void)
{
	static const unsigned of_eight[] = { 4, 8, 12, 7, 16, 20, 8, 3, 30, 24 };
	struct object o, neighbour;

	if (!make(RESIZED, now->size, &o))
		return;
	for (unsigned i = 0; i < 10; i++) {
		bool beside = i % 3 && make(PLAIN, now->size, &neighbour);

		resize_to(&o, now->size / 64 * of_eight[i] * 8);
		if (beside)
			drop(&neighbour);
	}
	drop(&o);
}

static void large(void)
{
	for (enum way way = 0; way < WAYS; way++)
		many_of(way, now->size, 2, turn++ % 2);
	resized();
}

/* Blocks of half an area, until one more had to be opened. */
static void new_area(void)
{
	unsigned made = 0;
	uint32_t before;

	areas_lower(&areas);
	before = areas_opened(&areas);
	while (made < MANY_MAX && areas_opened(&areas) == before)
		if (make(PLAIN, now->size, &many[made]))
			made++;
	while (made)
		drop(&many[--made]);
}

/* The memory in slabs rises by more than 2 MiB and falls to nothing. */
static void decay(void)
{
	many_of(PLAIN, now->size, 600, false);
}

/* More than there is: NULL and ENOMEM. */
static void refused(void)
{
	volatile size_t absurd = SIZE_MAX / 4, no_power = 24;
	int saved = errno;

	MUST(!malloc(absurd) && errno == ENOMEM);
	MUST(!calloc(absurd, 8) && !reallocarray(NULL, absurd, 8) && !realloc(NULL, absurd));
	MUST(!aligned_alloc(no_power, 64) && errno == EINVAL);
	errno = saved;
}

/* Blocks of areas: one in the way of another, one so large that it goes back at once. */
static void huge(void)
{
	struct object row[4];
	unsigned made = 0;
	void *p = NULL;

	while (made < 4 && make(PLAIN, now->size, &row[made]))
		made++;
	for (unsigned i = 0; i < made; i++)
		resize_to(&row[i], now->size * (i % 2 ? 3 : 2));
	for (unsigned i = 0; i < made; i++)
		resize_to(&row[i], now->size + (i << 20));
	for (unsigned i = 0; i < made; i++)
		drop(&row[i]);
	many_of(PLAIN, 34u << 20, 1, true);
	many_of(ZEROED, 5u << 20, 1, true);
	many_of(PLAIN, 1u << 30, 1, true);
	MUST(may_fail() || posix_memalign(&p, 4u << 20, 100) == 0);
	free(p);
	refused();
}

static void no_frames(void)
{
	for (int nth = 1; nth <= 6; nth++) {
		malloc_trim(1 << 20);
		*page_fail = nth;
		many_of(PLAIN, now->size, 30, true);
		many_of(ZEROED, now->size, 30, true);
		resized();
		*page_fail = 0;
	}
}

/* The quick ones first: an instruction is tried in the first phase that runs it. */
static const struct phase phases[] = {
	{ pairs, 64 },
	{ pairs, 1024 },
	{ pairs, 2000 },
	{ refill, 1024 },
	{ refill, 4096 },
	{ partial, 72 },
	{ partial, 1536 },
	{ shrink, 640 },
	{ resized, 512 },
	{ resized, 4096 },
	{ refill, 16384 },
	{ large, 65536 },
	{ no_frames, 1024 },
	{ large, 300 << 10 },
	{ no_frames, 48 << 10 },
	{ decay, 4096 },
	{ large, 600 << 10 },
	{ new_area, 1000 << 10 },
	{ no_frames, 1060 << 10 },
	{ huge, 1060 << 10 },
};
#define PHASES (sizeof(phases) / sizeof(phases[0]))
#define CHEAP 10

static void empty(struct basket *basket)
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

static void run(unsigned number)
{
	struct object o;

	now = &phases[number];
	for (enum way way = 0; way < WAYS; way++)
		if (make(way, now->size, &o) && !basket_put(&for_handler, o))
			drop(&o);
	now->run();
}

static uint64_t in_use(void)
{
	struct stele_stats stats;

	malloc_trim(0);
	read_stats(&stats);
	MUST_HOLD(stats.reports == 0);
	return stats.slab_bytes + stats.large_bytes;
}

static uint64_t at_start;

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

static void nothing(const char *point)
{
	(void)point;
}

int main(int argc, char **argv)
{
	const struct trap_plan plan = {
		.name = "libstele-malloc",
		.table = argc > 1 ? argv[1] : "",
		.function = (const void *)malloc,
		.function_name = "malloc",
		.phases = PHASES,
		.cheap = CHEAP,
		.phase = run,
		.between = between,
		.handler = in_handler,
		.settle = settle,
		.share = 90,
	};

	trap_prepare(&plan);
	page_fail = trap_symbol("stele_inject_page_fail");
	areas = areas_find();
	read_stats = (void (*)(struct stele_stats *))trap_symbol("stele_stats_read");
	if (trap_symbol_if("stele_inject"))
		*(void (**)(const char *))trap_symbol("stele_inject") = nothing;
	at_start = in_use();
	trap_run();
	return 0;
}
