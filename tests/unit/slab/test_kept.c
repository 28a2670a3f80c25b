/* SPDX-License-Identifier: MIT */
/*
 * Tests of slab/kept.c: a slab of a cache that keeps its slabs gives its pages back when it is
 * empty, not its address; the cache uses it again before it takes another; a thread that comes in
 * between loses nothing.
 */
#include "page/heap.h"
#include "page/place.h"
#include "page/run.h"
#include "slab/slabs.h"
#include "slab/geometry.h"
#include "slab/kmem_cache.h"

#include "../unit.h"

#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#define SIZE 256u
#define SLABS 64u

static struct kmem_cache cache;
static uint64_t *objects, per_slab;

static unsigned take_of_node(struct kmem_cache *s, uint64_t *out, unsigned n)
{
	return stele_slabs_take(s, stele_node_here(), out, n, EFFORT_USUAL);
}

static int setup(void **state)
{
	(void)state;
	if (stele_heap_start() != 0)
		return -1;
	stele_slab_boot(&cache, "kept", SIZE, SIZE, SLAB_NO_MERGE | SLAB_NO_SHEAVES | SLAB_KEPT);
	per_slab = cache.objects;
	objects = calloc(SLABS * per_slab, sizeof(*objects));
	return objects ? 0 : -1;
}

static int teardown(void **state)
{
	(void)state;
	free(objects);
	return 0;
}

static uint64_t slabs_kept(void)
{
	return load_relaxed(&cache.slabs);
}

static void take_slabs(unsigned slabs)
{
	for (uint64_t i = 0; i < slabs * per_slab; i++) {
		assert_int_equal(take_of_node(&cache, &objects[i], 1), 1);
		memset((void *)(uintptr_t)objects[i], 0xa5, SIZE);
	}
}

static void give(unsigned slabs)
{
	stele_slabs_give(&cache, objects, (unsigned)(slabs * per_slab));
}

struct resident {
	size_t bytes, of;
};

static void add_resident(struct run *run, void *arg)
{
	struct resident *sum = arg;
	unsigned char pages[64];
	size_t page = stele_page_size(), n = run->bytes / page;

	if (run->kind != RUN_SLAB || run->cache != &cache)
		return;
	assert_true(n && n <= sizeof(pages));
	assert_int_equal(mincore((void *)run->base, run->bytes, pages), 0);
	for (size_t i = 0; i < n; i++)
		sum->bytes += pages[i] & 1 ? page : 0;
	sum->of += run->bytes;
}

/* Bytes of the cache's slabs that have memory behind them. */
static struct resident resident(void)
{
	struct resident sum = { 0, 0 };

	stele_run_each(add_resident, &sum);
	return sum;
}

static void an_emptied_slab_gives_its_pages_back_and_is_used_again(void **state)
{
	struct resident full, few, none;
	uint64_t slabs;

	(void)state;
	take_slabs(SLABS);
	slabs = slabs_kept();
	full = resident();
	assert_int_equal(full.bytes, full.of);
	give(SLABS);
	few = resident();
	assert_true(few.bytes <= full.bytes / 8); /* those that may be needed at once */
	assert_int_equal(few.of, full.of);
	stele_kept_purge();
	none = resident();
	assert_int_equal(none.bytes, 0);
	assert_int_equal(none.of, full.of);
	assert_int_equal(slabs_kept(), slabs);
	take_slabs(SLABS);
	assert_int_equal(slabs_kept(), slabs);
	give(SLABS);
}

/* No slab goes to and fro between the system and a cache that needs it now and then. */
static void a_slab_that_is_needed_again_at_once_keeps_its_pages(void **state)
{
	(void)state;
	stele_kept_purge();
	for (int i = 0; i < 20; i++) {
		take_slabs(1);
		give(1);
		assert_true(resident().bytes > 0);
	}
	stele_kept_purge();
	assert_int_equal(resident().bytes, 0);
}

static void a_program_never_gets_a_kept_page(void **state)
{
	(void)state;
	take_slabs(SLABS);
	for (uint64_t i = 0; i < SLABS * per_slab; i++)
		assert_true(stele_is_never_given((void *)(uintptr_t)objects[i]));
	give(SLABS);
}

/* A bounded call, which may make no system call, leaves the slab to the next ordinary one. */
static void a_bounded_call_leaves_the_pages_to_others(void **state)
{
	(void)state;
	stele_kept_purge();
	take_slabs(1);
	for (uint64_t i = 0; i < per_slab; i++)
		stele_slabs_give_one(&cache, (void *)(uintptr_t)objects[i], EFFORT_BOUNDED);
	assert_true(resident().bytes > 0);
	stele_deferred_retire_all();
	assert_int_equal(resident().bytes, 0);
	take_slabs(1);
	give(1);
	stele_kept_purge();
}

static void pages_that_are_locked_stay_until_they_are_not(void **state)
{
	uint64_t slabs;
	struct run *run;

	(void)state;
	stele_kept_purge();
	take_slabs(1);
	run = stele_run_of((void *)(uintptr_t)objects[0]);
	/* By the system call: sanitizers make nothing of the function. */
	assert_int_equal(syscall(SYS_mlock, run->base, run->bytes), 0);
	slabs = slabs_kept();
	give(1);
	stele_kept_purge();
	assert_int_equal(resident().bytes, run->bytes);
	take_slabs(1); /* it serves all the same */
	assert_int_equal(slabs_kept(), slabs);
	give(1);
	assert_int_equal(syscall(SYS_munlock, run->base, run->bytes), 0);
	stele_kept_purge();
	assert_int_equal(resident().bytes, 0);
}

/* ---- several at once ---- */

#define MINE 100u
#define ROUNDS 3000

static _Atomic uint32_t wrong;

static bool sign_all(uint64_t *mine, unsigned n, uint64_t owner)
{
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < SIZE / 8; k++)
			((uint64_t *)(uintptr_t)mine[i])[k] = owner ^ mine[i] ^ k;
	sched_yield();
	for (unsigned i = 0; i < n; i++)
		for (unsigned k = 0; k < SIZE / 8; k++)
			if (((uint64_t *)(uintptr_t)mine[i])[k] != (owner ^ mine[i] ^ k))
				return false;
	return true;
}

/* Empties slabs all the time, and asks for their pages. */
static void *use_and_empty(void *number)
{
	uint64_t mine[MINE], owner = (uint64_t)(uintptr_t)number + 1;
	uint32_t seed = (uint32_t)owner;

	for (int round = 0; round < ROUNDS; round++) {
		unsigned n = 1 + unit_random(&seed) % MINE, got = 0, more;

		while (got < n && (more = take_of_node(&cache, mine + got, n - got)))
			got += more;
		if (got < n || !sign_all(mine, n, owner << 32))
			add_relaxed(&wrong, 1);
		stele_slabs_give(&cache, mine, got);
		if (unit_random(&seed) % 8 == 0)
			stele_kept_purge();
	}
	return NULL;
}

/* Free objects of all slabs: those that are listed have as many bits as they say. */
static void count_free(struct run *run, void *arg)
{
	if (run->kind != RUN_SLAB || run->cache != &cache)
		return;
	for (unsigned w = 0; w < 8; w++)
		*(uint64_t *)arg += (unsigned)__builtin_popcountll(load_relaxed(&run->free[w]));
}

static void threads_that_empty_and_use_lose_nothing(void **state)
{
	uint64_t free_now = 0, slabs;

	(void)state;
	meet_inside_steps(true);
	in_threads(4, use_and_empty);
	meet_inside_steps(false);
	assert_int_equal(wrong, 0);
	stele_kept_purge();
	slabs = slabs_kept();
	stele_run_each(count_free, &free_now);
	assert_int_equal(free_now, slabs * per_slab);
	assert_int_equal(resident().bytes, 0);
	/* All of them are found. */
	for (uint64_t i = 0; i < slabs * per_slab; i++) {
		uint64_t object;

		assert_int_equal(take_of_node(&cache, &object, 1), 1);
	}
	assert_int_equal(slabs_kept(), slabs);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_emptied_slab_gives_its_pages_back_and_is_used_again),
		cmocka_unit_test(a_slab_that_is_needed_again_at_once_keeps_its_pages),
		cmocka_unit_test(a_program_never_gets_a_kept_page),
		cmocka_unit_test(a_bounded_call_leaves_the_pages_to_others),
		cmocka_unit_test(pages_that_are_locked_stay_until_they_are_not),
		cmocka_unit_test(threads_that_empty_and_use_lose_nothing),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
