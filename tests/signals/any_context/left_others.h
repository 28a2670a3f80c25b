/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/left_others.h - the thread that goes on beside those that leave
 *
 * Idea      In its turn this thread makes each kind of call of the data path, and in every eighth turn
 *           the calls of the control path too. Then it counts the memory that was lost, and looks
 *           whether the structures of the heap agree.
 *           Where handlers stay, a turn comes before the handler goes back, and one after the call:
 *           left_neighbour.h says what happens in between, and nothing at all may be lost.
 * Included  by left.h alone.
 */
#ifndef TESTS_ANY_CONTEXT_LEFT_OTHERS_H
#define TESTS_ANY_CONTEXT_LEFT_OTHERS_H

#include "left_neighbour.h"
#include "page/run.h"

#include <semaphore.h>
#include <stele/stats.h>
#include <stdio.h>
#include <unistd.h>

#define ALL_EVERY 8 /* the control path, and a count of what is lost, once in so many leavings */
#define SHEAF (32u << 10) /* bytes of the objects in one, at most */
#define SHEAVES 3	  /* of one thread */
#define SHEAF_LEAST 256u  /* bytes of a sheaf itself */
#define BLOCKS 2	  /* one that is resized, the old and the new one */

static unsigned long left; /* so often a handler did not come back, or (stays) came back late */
static bool stays;
static unsigned long lost_most, runs_lost, slab_most;

static void must_be_valid(const char *fault)
{
	if (!fault)
		return;
	dprintf(STDERR_FILENO, "  %s\n", fault);
	MUST_HOLD(!"the heap is valid");
}

/* ---- the others ---- */

static sem_t others_turn, own_turn;

/* Filled in by the program. */
static void use_data_path(void);
static void use_control_path(void); /* in the end no sheaf holds an object */

/* The library's own. The drop-in has of the first three only what its debug builds call. */
static struct {
	const char *(*area)(uint32_t number), *(*run)(const struct run *run),
		*(*slab)(const struct run *run);
	void (*each)(void (*look)(struct run *run, void *arg), void *arg);
	const struct stele_heap *heap;
	const struct stele_hot *hot;
	void (*stats)(struct stele_stats *stats);
} valid;

/* Bytes of objects that are in use, when no sheaf holds any. */
static uint64_t in_use(struct stele_stats *stats)
{
	valid.stats(stats);
	MUST_HOLD(stats->reports == 0);
	return stats->slab_bytes - stats->slab_free_bytes;
}

/* A run in whose making or ending a call was left: the map does not lead to all of it. */
static void count_if_in_hand(struct run *run, void *in_hand)
{
	if (run->kind == RUN_NONE || (run->kind == RUN_SLAB && !run->recip))
		return;
	if (run->kind == RUN_SLAB && run->bytes > slab_most)
		slab_most = run->bytes;
	if (valid.run && valid.run(run))
		++*(unsigned long *)in_hand;
	else if (valid.slab && run->kind == RUN_SLAB)
		must_be_valid(valid.slab(run));
}

/* Nobody has an area in hand now: signals are held back meanwhile. */
static bool is_in_hand(uint32_t number)
{
	char *counts = valid.hot->base + valid.heap->counts_at;
	uint32_t count = load_relaxed((_Atomic uint32_t *)counts + number * ROOM_STRIDE);

	return count == AREA_BUSY || count == AREA_SOON || count == AREA_NEW || count == AREA_MET;
}

/* All but the runs that the threads which left had in hand, one each. */
static void check_heap(void)
{
	unsigned long in_hand = 0;

	for (uint32_t i = 0; i < valid.heap->areas_max && i < valid.heap->zones[0].high; i++) {
		MUST_HOLD(!is_in_hand(i));
		if (valid.area)
			must_be_valid(valid.area(i));
	}
	valid.each(count_if_in_hand, &in_hand);
	MUST_HOLD(in_hand <= (stays ? 0 : left));
	runs_lost = in_hand;
}

static void count_what_is_lost(void)
{
	static uint64_t bytes_before, blocks_before, sheaves_before, left_before;
	struct stele_stats stats;
	uint64_t bytes = in_use(&stats), n = stays ? 0 : left - left_before;
	uint64_t lost = bytes > bytes_before ? bytes - bytes_before : 0;

	check_heap();
	if (left) {
		MUST_HOLD(lost <= n * (SHEAVES * SHEAF + slab_most));
		MUST_HOLD(stats.large_count <= blocks_before + n * BLOCKS);
		/* Or a slab of sheaves, in whose making the call was left. */
		MUST_HOLD(stats.sheaves_out <=
			  sheaves_before + n * (SHEAVES + slab_most / SHEAF_LEAST));
		lost_most = lost > lost_most ? lost : lost_most;
	}
	bytes_before = bytes;
	blocks_before = stats.large_count;
	sheaves_before = stats.sheaves_out;
	left_before = left;
}

static bool stands_still; /* a call does, in a handler that stays */

static void *be_others(void *arg)
{
	for (unsigned after = 0;;) {
		while (sem_wait(&others_turn) != 0)
			;
		if (stays && !stands_still)
			give_the_pages_back();
		use_data_path();
		if (stands_still) {
			take_the_pages();
		} else if (after++ % ALL_EVERY == 0) {
			use_control_path();
			count_what_is_lost();
		}
		sem_post(&own_turn);
	}
	return arg;
}

static void let_others_go_on(void)
{
	sem_post(&others_turn);
	while (sem_wait(&own_turn) != 0)
		;
}

#endif
