/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/left_others.h - the thread that goes on beside those that leave
 *
 * Idea      In its turn it makes each kind of call of the data path, and in every eighth turn those of
 *           the control path. Then it counts what was lost, and looks whether the heap holds
 *           together.
 * Included  by left_calls.c alone.
 */
#ifndef TESTS_ANY_CONTEXT_LEFT_OTHERS_H
#define TESTS_ANY_CONTEXT_LEFT_OTHERS_H

#include "left_phases.h"
#include "page/heap.h"
#include "page/run.h"

#include <semaphore.h>
#include <stele/stats.h>
#include <stdio.h>
#include <unistd.h>

#define ALL_EVERY 8 /* so many leavings apart the control path is tried, and what is lost counted */
#define SHEAF (32u << 10) /* bytes of the objects in one, at most */
#define SHEAVES 3	  /* of one thread */
#define SHEAF_LEAST 256u  /* bytes of a sheaf itself */
#define BLOCKS 2	  /* one that is resized, the old and the new one */

static unsigned long left; /* so often a handler did not come back */
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

static void use_data_path(void)
{
	void *p[60];

	for (unsigned round = 0; round < 3; round++) {
		for (unsigned i = 0; i < 60; i++)
			MUST(p[i] = round ? kmalloc(40u << round * 3, GFP_KERNEL)
					  : kmem_cache_alloc(cache, GFP_KERNEL));
		for (unsigned i = 0; i < 60; i++)
			kfree(p[i]);
	}
	MUST(p[0] = mempool_alloc(&pool, GFP_KERNEL));
	mempool_free(p[0], &pool);
	MUST(p[0] = kvmalloc(700 << 10, GFP_KERNEL));
	kvfree(p[0]);
}

static void use_control_path(void)
{
	struct kmem_cache *other = kmem_cache_create("after", 72, NULL, SLAB_NO_MERGE);
	void *p[20];

	MUST(other && kmem_cache_alloc_bulk(other, GFP_KERNEL, 20, p));
	kmem_cache_free_bulk(other, 20, p);
	MUST(kmem_cache_shrink(other) == 0);
	kmem_cache_destroy(other);
	kvfree_rcu_barrier();
	stele_deferred_barrier();
	stele_trim(0);
}

/* Bytes of objects that are in use, when no sheaf holds any. */
static uint64_t in_use(struct stele_stats *stats)
{
	stele_stats_read(stats);
	MUST_HOLD(stats->reports == 0);
	return stats->slab_bytes - stats->slab_free_bytes;
}

/* The library's own. */
static struct {
	const char *(*area)(uint32_t number), *(*run)(const struct run *run),
		*(*slab)(const struct run *run);
	void (*each)(void (*look)(struct run *run, void *arg), void *arg);
	const struct stele_heap *heap;
} valid;

/* A run in whose making or ending a call was left: the map does not lead to all of it. */
static void count_if_in_hand(struct run *run, void *in_hand)
{
	if (run->kind == RUN_NONE || (run->kind == RUN_SLAB && !run->recip))
		return;
	if (run->kind == RUN_SLAB && run->bytes > slab_most)
		slab_most = run->bytes;
	if (valid.run(run))
		++*(unsigned long *)in_hand;
	else if (run->kind == RUN_SLAB)
		must_be_valid(valid.slab(run));
}

/* All but what those that left had in hand, which is one run each. */
static void check_heap(void)
{
	unsigned long in_hand = 0;

	for (uint32_t i = 0; i < valid.heap->areas_max && i < valid.heap->zones[0].high; i++)
		must_be_valid(valid.area(i));
	valid.each(count_if_in_hand, &in_hand);
	MUST_HOLD(in_hand <= left);
	runs_lost = in_hand;
}

static void count_what_is_lost(void)
{
	static uint64_t bytes_before, blocks_before, sheaves_before, left_before;
	struct stele_stats stats;
	uint64_t bytes = in_use(&stats), n = left - left_before;
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

static void *be_others(void *arg)
{
	for (unsigned turn = 0;; turn++) {
		while (sem_wait(&others_turn) != 0)
			;
		use_data_path();
		if (turn % ALL_EVERY == 0) {
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
