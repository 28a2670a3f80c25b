/* SPDX-License-Identifier: MIT */
/*
 * Tests of slab/take.c, give.c, new.c, retire.c and geometry.c: objects come from slabs and go back
 * to them, and an empty slab is gone.
 */
#include "page/run.h"
#include "percpu/percpu.h"
#include "slab/geometry.h"
#include "slab/kmem_cache.h"
#include "slab/object.h"
#include "slab/slabs.h"

#include "../base/stderr_of.h"
#include "../unit.h"

#include <stdio.h>

#define SIZE 96u
#define MANY 4096u

static struct kmem_cache cache;
static uint64_t objects[MANY];

static int setup(void **state)
{
	(void)state;
	if (stele_heap_start() != 0)
		return -1;
	stele_slab_boot(&cache, "slabs", SIZE, 32, SLAB_NO_MERGE | SLAB_NO_SHEAVES);
	return 0;
}

static unsigned take_here(struct kmem_cache *s, uint64_t *out, unsigned n)
{
	return stele_slabs_take(s, stele_node_here(), out, n, EFFORT_USUAL);
}

static uint64_t slabs_now(void)
{
	return load_relaxed(&cache.slabs);
}

/* cmocka teardown: everything was given back, so no slab is left. */
static int no_slab_left(void **state)
{
	(void)state;
	stele_inject_page_fail = 0;
	return slabs_now() || stele_page_stats().used ? -1 : 0;
}

static unsigned take(uint64_t *out, unsigned n)
{
	unsigned got = 0, more;

	while (got < n && (more = take_here(&cache, out + got, n - got)))
		got += more;
	return got;
}

static int by_address(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

static void objects_are_apart_aligned_and_found(void **state)
{
	(void)state;
	assert_int_equal(take(objects, MANY), MANY);
	assert_int_equal(slabs_now(), (MANY + cache.objects - 1) / cache.objects);
	qsort(objects, MANY, sizeof(objects[0]), by_address);
	for (unsigned i = 0; i < MANY; i++) {
		const struct run *run = stele_run_of((void *)objects[i]);

		assert_int_equal(objects[i] % 32, 0);
		assert_true(i == 0 || objects[i] >= objects[i - 1] + SIZE);
		assert_non_null(run);
		assert_ptr_equal(run->cache, &cache);
		assert_true(run_has_object_at(run, (void *)objects[i]));
		assert_false(run_has_object_at(run, (void *)(objects[i] + 1)));
		assert_false(run_has_object_at(run, (void *)(objects[i] + 32)));
		assert_false(object_is_free(run, (void *)objects[i]));
		memset((void *)objects[i], 0xab, SIZE);
	}
	stele_slabs_give(&cache, objects, MANY);
}

static void free_objects_are_taken_before_new_slabs(void **state)
{
	unsigned per = cache.objects;
	uint64_t again[8];

	(void)state;
	assert_int_equal(take(objects, 3 * per), 3 * per);
	qsort(objects, 3 * per, sizeof(objects[0]), by_address);
	for (unsigned i = 0; i < 8; i++)
		again[i] = objects[per / 2 + i];
	stele_slabs_give(&cache, again, 8);
	assert_int_equal(take(again, 8), 8);
	assert_int_equal(slabs_now(), 3);
	qsort(again, 8, sizeof(again[0]), by_address);
	for (unsigned i = 0; i < 8; i++)
		assert_int_equal(again[i], objects[per / 2 + i]);
	stele_slabs_give(&cache, objects, 3 * per);
}

static bool fast_test_says(const struct kmem_cache *s, uint64_t last, uint64_t p)
{
	return tag_has_object_at(tag_make(s->words, last), (void *)p, s->fast_recip, s->fast_limit);
}

/* Every address of a slab; the low 32 bits wrap inside of it. */
static void assert_fast_test_is_exact(const struct kmem_cache *s)
{
	uint64_t base = (1ull << 40) - 4096, bytes = s->frames * FRAME_SIZE, right = 0;
	uint64_t last = base + (s->objects - 1ul) * s->size;

	for (uint64_t offset = 0; offset < bytes; offset++)
		right += fast_test_says(s, last, base + offset) ==
			 (s->fast_limit && offset % s->size == 0 && offset / s->size < s->objects);
	assert_int_equal(right, bytes);
}

static void the_fast_test_knows_every_start_of_an_object(void **state)
{
	(void)state;
	for (uint32_t size = 8; size <= 32768; size += 8) {
		struct kmem_cache s = { 0 };

		stele_slab_boot(&s, "sizes", size, 8, SLAB_NO_MERGE);
		s.words = stele_pcpu_alloc();
		assert_int_not_equal(s.words, 0);
		stele_slab_facts(&s);
		/* Exact up to 20 KiB, and for the sizes of kmalloc's buckets. */
		if (size <= 20480 || !(size % (1u << (stele_ilog2(size) - 3))))
			assert_int_not_equal(s.fast_limit, 0);
		if (size <= 512 || size % 1000 == 0 || size >= 32760)
			assert_fast_test_is_exact(&s);
		stele_pcpu_free(s.words);
	}
}

static void the_lowest_address_is_the_last_of_a_batch(void **state)
{
	unsigned n = take_here(&cache, objects, 16);

	(void)state;
	assert_true(n > 1);
	for (unsigned i = 1; i < n; i++)
		assert_true(objects[i] < objects[i - 1]);
	stele_slabs_give(&cache, objects, n);
}

static void an_empty_slab_is_gone_at_once_wherever_it_was(void **state)
{
	unsigned per = cache.objects;

	(void)state;
	assert_int_equal(take(objects, 4 * per), 4 * per);
	qsort(objects, 4 * per, sizeof(objects[0]), by_address);
	/* One object of each: all are on the stack now; then the second, then the rest. */
	for (unsigned slab = 0; slab < 4; slab++) {
		uint64_t one = objects[slab * per];

		stele_slabs_give(&cache, &one, 1);
	}
	stele_slabs_give(&cache, &objects[per + 1], per - 1);
	assert_int_equal(slabs_now(), 3);
	assert_null(stele_run_of((void *)objects[per]));
	for (unsigned slab = 0; slab < 4; slab++)
		if (slab != 1)
			stele_slabs_give(&cache, &objects[slab * per + 1], per - 1);
	assert_int_equal(slabs_now(), 0);
}

static unsigned made, unmade;

static void make(void *p)
{
	*(uint64_t *)p = 0x1234;
	made++;
}

static void unmake(void *p)
{
	unmade += *(uint64_t *)p == 0x1234;
}

static void objects_are_made_with_their_slab_and_unmade_with_it(void **state)
{
	static struct kmem_cache constructed = { .ctor = make, .dtor = unmake };
	unsigned per;

	(void)state;
	stele_slab_boot(&constructed, "made", SIZE, 8, SLAB_NO_MERGE | SLAB_NO_SHEAVES);
	per = constructed.objects;
	for (unsigned i = 0; i < per * 2; i++)
		assert_int_equal(take_here(&constructed, &objects[i], 1), 1);
	assert_int_equal(made, 2 * per);
	for (unsigned i = 0; i < per * 2; i++)
		assert_int_equal(*(uint64_t *)objects[i], 0x1234);
	stele_slabs_give(&constructed, objects, per * 2);
	assert_int_equal(made, 2 * per);
	assert_int_equal(unmade, 2 * per);
	assert_int_equal(load_relaxed(&constructed.slabs), 0);
}

static void no_frames_means_no_objects_and_no_loss(void **state)
{
	unsigned n;

	(void)state;
	assert_int_equal(take_here(&cache, objects, 1), 1);
	stele_inject_page_fail = -1;
	n = 1 + take(objects + 1, MANY - 1);
	assert_int_equal(n, cache.objects);
	assert_int_equal(take_here(&cache, objects + n, 1), 0);
	stele_inject_page_fail = 0;
	stele_slabs_give(&cache, objects, n);
}

/* Gives a batch in which @bad was free before; that is told, once. */
static void give_and_be_told(uint64_t *batch, unsigned n, uint64_t bad)
{
	static struct stderr_text said;
	char expected[256];

	snprintf(expected, sizeof(expected),
		 "stele: free(%p): object was already free in cache 'slabs'; not freed\n",
		 (void *)bad);
	assert_true(stderr_begin(&said));
	stele_slabs_give(&cache, batch, n);
	stderr_end(&said);
	assert_string_equal(said.text, expected);
}

static void giving_twice_is_told_and_changes_nothing(void **state)
{
	uint64_t twice[2];

	(void)state;
	assert_int_equal(take(objects, 3), 3);
	twice[0] = objects[1];
	stele_slabs_give(&cache, twice, 1);
	twice[0] = objects[1];
	give_and_be_told(twice, 1, objects[1]);
	/* Both in one batch. */
	twice[0] = twice[1] = objects[0];
	give_and_be_told(twice, 2, objects[0]);
	assert_int_equal(slabs_now(), 1);
	twice[0] = objects[2];
	stele_slabs_give(&cache, twice, 1);
}

/* Freed twice; then its slab went, and came to lie a few frames on. The second is not another's. */
static void an_address_inside_an_object_is_not_given(void **state)
{
	uint64_t given[2];

	(void)state;
	assert_int_equal(take(objects, 3), 3);
	given[0] = objects[0];
	given[1] = objects[1] + 32;
	give_and_be_told(given, 2, given[1]);
	assert_false(object_is_free(stele_run_of((void *)objects[1]), (void *)objects[1]));
	stele_slabs_give(&cache, objects + 1, 2);
}

static void tidying_keeps_every_slab_and_drops_dead_ones(void **state)
{
	unsigned per = cache.objects;

	(void)state;
	assert_int_equal(take(objects, 6 * per), 6 * per);
	qsort(objects, 6 * per, sizeof(objects[0]), by_address);
	for (unsigned slab = 0; slab < 6; slab++) {
		uint64_t some[512];
		unsigned n = 1 + slab * (per - 2) / 6;

		memcpy(some, &objects[slab * per], n * sizeof(some[0]));
		stele_slabs_give(&cache, some, n);
	}
	stele_slabs_give(&cache, &objects[2 * per + 1 + 2 * (per - 2) / 6],
			 per - 1 - 2 * (per - 2) / 6);
	assert_int_equal(slabs_now(), 5);
	stele_slabs_tidy(&cache);
	assert_int_equal(slabs_now(), 5);
	for (unsigned slab = 0; slab < 6; slab++) {
		unsigned n = 1 + slab * (per - 2) / 6;

		if (slab != 2)
			stele_slabs_give(&cache, &objects[slab * per + n], per - n);
	}
	assert_int_equal(slabs_now(), 0);
}

#define THREADS 4
#define ROUNDS 3000
static _Atomic uint32_t wrong;

static void *take_sign_give(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg + 1, seed = me;
	uint64_t mine[96];

	for (int i = 0; i < ROUNDS; i++) {
		unsigned n = take_here(&cache, mine, 1 + unit_random(&seed) % 96);

		for (unsigned k = 0; k < n; k++)
			memset((void *)mine[k], (int)me, SIZE);
		sched_yield();
		for (unsigned k = 0; k < n; k++)
			if (!all_bytes((void *)mine[k], SIZE, (unsigned char)me))
				add_relaxed(&wrong, 1);
		stele_slabs_give(&cache, mine, n);
	}
	return NULL;
}

static void threads_never_share_an_object_and_leave_no_slab(void **state)
{
	(void)state;
	meet_inside_steps(true);
	in_threads(THREADS, take_sign_give);
	meet_inside_steps(false);
	assert_int_equal(load_relaxed(&wrong), 0);
	assert_int_equal(slabs_now(), 0);
}

#define slab_test(name) cmocka_unit_test_teardown(name, no_slab_left)

int main(void)
{
	const struct CMUnitTest tests[] = {
		slab_test(objects_are_apart_aligned_and_found),
		slab_test(free_objects_are_taken_before_new_slabs),
		slab_test(the_fast_test_knows_every_start_of_an_object),
		slab_test(the_lowest_address_is_the_last_of_a_batch),
		slab_test(an_empty_slab_is_gone_at_once_wherever_it_was),
		slab_test(objects_are_made_with_their_slab_and_unmade_with_it),
		slab_test(no_frames_means_no_objects_and_no_loss),
		slab_test(giving_twice_is_told_and_changes_nothing),
		slab_test(an_address_inside_an_object_is_not_given),
		slab_test(tidying_keeps_every_slab_and_drops_dead_ones),
		slab_test(threads_never_share_an_object_and_leave_no_slab),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
