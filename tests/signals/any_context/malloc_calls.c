/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/malloc_calls.c - TABLE: malloc and its family at every instruction
 *
 * Idea      As slab_calls.c, for the drop-in: this program's malloc is the drop-in's. The handler
 *           uses malloc, calloc, realloc, aligned_alloc and free with the sizes that the phase is
 *           busy with.
 * Nothing lost: as there; the drop-in's own count is asked through its hidden functions.
 */
#include "work.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <stele/stats.h>
#include <stele/trace.h>
#include <string.h>

enum { PLAIN, ZEROED, ALIGNED, RESIZED, WAYS };

#define ALIGNMENT 256

struct phase {
	void (*run)(void);
	size_t size;
	unsigned events; /* a callback is registered for these */
};

static const struct phase *now;
static void (*read_stats)(struct stele_stats *);

/* A call returns NULL only with ENOMEM, and only while frames are refused. Puts errno back to
 * @saved. */
static void *checked(void *p, int saved)
{
	if (p)
		return p;
	MUST(may_fail() && errno == ENOMEM);
	errno = saved;
	return NULL;
}

static void *call_alloc(unsigned way, size_t size)
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

static bool make(unsigned way, size_t size, struct object *o)
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
	int saved = errno;
	void *p = checked(realloc(o->p, size), saved);

	if (!p)
		return;
	o->p = p;
	object_check_to(o, size < o->size ? size : o->size - 8);
	*o = object_signed(p, size, RESIZED);
}

/* ---- the handler ---- */

static void in_handler(void)
{
	size_t other = now->size > 256 ? now->size / 2 : now->size * 2;

	for (unsigned way = 0; way < WAYS; way++) {
		two_objects(way, now->size, way == RESIZED ? other : 0);
		drop_gift();
	}
	other_waits(&others, others.taking);
	other_waits(&others, others.list);
}

/* ---- what the phases do ---- */

static void pairs(void)
{
	volatile size_t zero = 0, two = 2, no_power = 48;
	struct object o;

	for (unsigned way = 0; way < WAYS; way++)
		for (int i = 0; i < 2; i++)
			if (make(way, now->size, &o))
				drop(&o);
	free(NULL);
	free(malloc(0));
	MUST(!realloc(malloc(now->size), zero));
	free(reallocarray(NULL, two, now->size));
	free(memalign(no_power, now->size));
	MUST(malloc_usable_size(NULL) == 0);
}

static void refill(void)
{
	many_of(PLAIN, now->size, 120, true);
	many_of(ALIGNED, now->size, 120, false);
}

static void partial(void)
{
	unsigned made = 0;

	while (made < 90 && make(turn++ % 2 ? PLAIN : ZEROED, now->size, &many[made]))
		made++;
	drop_by_thirds(made);
}

static void shrink(void)
{
	many_of(PLAIN, now->size, 60, true);
	malloc_trim(1 << 20);
	many_of(PLAIN, now->size, 3, true);
}

static void resized(void)
{
	static const unsigned of_eight[] = { 4, 8, 12, 7, 16, 20, 22, 3, 30, 24 };
	struct object o;

	if (make(RESIZED, now->size, &o))
		resize_in_row(&o, PLAIN, of_eight, 10);
}

static void large(void)
{
	for (unsigned way = 0; way < WAYS; way++)
		many_of(way, now->size, 2, turn++ % 2);
	resized();
}

static void new_area(void)
{
	open_area(PLAIN, now->size);
}

/* The memory in slabs rises by more than 2 MiB and falls to nothing. */
static void decay(void)
{
	many_of(PLAIN, now->size, MANY_MAX, false);
}

/* More than there is: NULL and ENOMEM. */
static void refused(void)
{
	volatile size_t absurd = SIZE_MAX / 4, no_power = 24;
	int saved = errno;
	void *p;

	MUST(!malloc(absurd) && errno == ENOMEM);
	MUST(!calloc(absurd, 8) && !reallocarray(NULL, absurd, 8) && !realloc(NULL, absurd));
	MUST(!aligned_alloc(no_power, 64) && errno == EINVAL);
	MUST(!aligned_alloc(64, absurd) && errno == ENOMEM);
	MUST(posix_memalign(&p, no_power, 64) == EINVAL);
	MUST(posix_memalign(&p, 64, absurd) == ENOMEM);
	errno = saved;
}

static void new_descriptors(void)
{
	open_descriptors(PLAIN, now->size);
	open_descriptors(PLAIN, 2200 << 10);
}

static void huge(void)
{
	struct object row[4];

	if (!four_huge(PLAIN, now->size, row))
		return;
	for (unsigned left = 4; left;) {
		drop(&row[--left]);
		if (left)
			resize_to(&row[left - 1], now->size * 2);
	}
	many_of(ZEROED, 5u << 20, 1, true);
}

/* Blocks so large that a free returns them to the system at once, and that the library asks the
 * system how much memory there is. */
static void vast(void)
{
	struct object o;
	void *p = NULL;

	many_of(PLAIN, 34u << 20, 1, true);
	many_of(PLAIN, 1u << 30, 1, true);
	if (!make(PLAIN, 3u << 20, &o))
		return;
	resize_to(&o, 1u << 30);
	drop(&o);
	MUST(may_fail() || posix_memalign(&p, 4u << 20, 100) == 0);
	free(p);
}

static void in_the_way(void)
{
	meet(PLAIN);
}

/* More areas come free at once than may stay mapped. */
static void burst(void)
{
	for (unsigned i = 0; i < 2; i++) {
		areas_keep_nothing(&areas);
		many_of(PLAIN, 31u << 20, 4, i);
	}
}

/* ---- others ---- */

static void trim(void)
{
	malloc_trim(1 << 20);
}

static void beside_others(void)
{
	beside_others_of(trim, decay, PLAIN);
}

static uint64_t words_of(size_t size)
{
	return ((uint16_t *)(others.hot->base + STELE_SIZES_OFFSET))[size];
}

static void inherited(void)
{
	trim();
	inherit(0);
	decay();
	trim();
	inherit(words_of(1000));
	many_of(PLAIN, 1000, 1, true);
}

/* ---- events ---- */

/* Runs in the middle of any call: allocates, writes, frees. */
static void on_event(const struct stele_trace_event *event, void *arg)
{
	struct object o;

	(void)arg;
	MUST(event->event & STELE_TRACE_ALL);
	errno = EDOM;
	if (trap_depth() || !make(PLAIN, now->size, &o))
		return;
	drop(&o);
}

static void all_of_it(void)
{
	pairs();
	refused();
	refill();
	partial();
	resized();
	shrink();
}

static void no_frames(void)
{
	for (int nth = 1; nth <= 6; nth++) {
		malloc_trim(1 << 20);
		*page_fail = nth;
		many_of(PLAIN, now->size, 30, true);
		many_of(ZEROED, now->size, 30, true);
		many_of(PLAIN, now->size * 8, 2, true);
		resized();
		*page_fail = 0;
	}
}

#define ALL STELE_TRACE_ALL

/* The quick ones first: an instruction is tried in the first phase that runs it. */
static const struct phase phases[] = {
	{ pairs, 64, 0 },
	{ pairs, 1024, 0 },
	{ pairs, 2000, 0 },
	{ refill, 1024, 0 },
	{ refill, 4096, 0 },
	{ partial, 72, 0 },
	{ partial, 1536, 0 },
	{ shrink, 640, 0 },
	{ resized, 512, 0 },
	{ resized, 4096, 0 },
	{ refused, 64, 0 },
	{ refill, 16384, 0 },
	{ large, 65536, 0 },
	{ no_frames, 1024, 0 },
	{ large, 300 << 10, 0 },
	{ no_frames, 48 << 10, 0 },
	{ decay, 4096, 0 },
	{ large, 600 << 10, 0 },
	{ new_area, 1000 << 10, 0 },
	{ no_frames, 1060 << 10, 0 },
	{ new_descriptors, 40 << 10, 0 },
	{ huge, 2200 << 10, 0 },
	{ beside_others, 4096, 0 },
	{ inherited, 4096, 0 },
	{ all_of_it, 512, ALL },
	{ all_of_it, 96, ALL | STELE_TRACE_NESTED },
	{ all_of_it, 1024, STELE_TRACE_KFREE },
	{ all_of_it, 1024, STELE_TRACE_KMALLOC },
	{ large, 600 << 10, ALL },
	{ huge, 3 << 20, ALL },
	{ vast, 64, 0 },
	{ burst, 64, 0 },
	{ in_the_way, 64, 0 },
};
#define PHASES (sizeof(phases) / sizeof(phases[0]))
#define CHEAP 10

static void run(unsigned number)
{
	now = &phases[number];
	give_to_handler(WAYS, now->size);
	if (now->events)
		MUST(stele_malloc_trace_register(now->events, on_event, NULL) == 0);
	now->run();
	if (now->events)
		MUST(stele_malloc_trace_unregister(on_event, NULL) == 0);
}

static uint64_t in_use(void)
{
	struct stele_stats stats;

	malloc_trim(0);
	read_stats(&stats);
	MUST_HOLD(stats.reports == 0);
	return stats.slab_bytes + stats.large_bytes;
}

int main(int argc, char **argv)
{
	struct trap_plan plan = {
		.name = "libstele-malloc",
		.function = (const void *)malloc,
		.function_name = "malloc",
		.phases = PHASES,
		.cheap = CHEAP,
		.phase = run,
	};

	prepare(&plan, argc, argv);
	read_stats = (void (*)(struct stele_stats *))trap_symbol("stele_stats_read");
	at_start = in_use();
	trap_run();
	return 0;
}
