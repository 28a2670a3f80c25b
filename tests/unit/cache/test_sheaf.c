/* SPDX-License-Identifier: MIT */
/*
 * Tests of cache/sheaves.h: one word names a sheaf and the number of its objects; a barn keeps sheaves
 * whole, and no more of them than it may.
 */
#include "page/run.h"
#include "cache/sheaves.h"
#include "percpu/step.h"
#include "slab/object.h"

#include "../unit.h"

#define BYTES 256u
#define CAPACITY 20u
#define SHEAVES 16u

static struct sheaf *sheaves[SHEAVES]; /* in the heap: a barn names them by offset */
static struct stele_stack stack;

static uint64_t fill_sheaf(unsigned i, unsigned n)
{
	struct sheaf *sheaf = sheaves[i];

	sheaf->bottom = 0;
	memset(sheaf->entry, 0, CAPACITY * sizeof(sheaf->entry[0]));
	sheaf->entry[CAPACITY] = STELE_SHEAF_END;
	for (unsigned k = 0; k < n; k++)
		sheaf->entry[k] = 4096 + i * 64 + k;
	return sheaf_bottom(sheaf) + n * 8;
}

static int setup(void **state)
{
	struct run *run;

	(void)state;
	if (stele_heap_start() != 0)
		return -1;
	run = stele_run_keep(0, SHEAVES * BYTES / FRAME_SIZE, true);
	for (unsigned i = 0; run && i < SHEAVES; i++)
		sheaves[i] = (struct sheaf *)(run->base + i * BYTES);
	return run ? 0 : -1;
}

static void a_top_names_its_sheaf_and_its_fill(void **state)
{
	(void)state;
	for (unsigned n = 0; n <= CAPACITY; n++) {
		uint64_t top = fill_sheaf(3, n);

		assert_ptr_equal(sheaf_of(top, BYTES), sheaves[3]);
		assert_int_equal(sheaf_count(top, BYTES), n);
		assert_int_equal(sheaf_is_empty(top, BYTES), n == 0);
		assert_int_equal(sheaf_is_full(top, BYTES, CAPACITY), n == CAPACITY);
		assert_true(stele_is_sheaf(top));
	}
}

static void the_largest_sheaf_of_a_block_ends_inside_it(void **state)
{
	(void)state;
	for (unsigned bytes = 256; bytes <= 1024; bytes *= 2) {
		unsigned capacity = bytes / 8 - SHEAF_OVERHEAD;
		struct sheaf *sheaf = sheaves[0];

		assert_true((char *)&sheaf->entry[capacity + 1] <= (char *)sheaf + bytes);
		assert_ptr_equal(sheaf_of((uint64_t)(uintptr_t)&sheaf->entry[capacity], bytes),
				 sheaf);
	}
}

static void a_barn_gives_back_the_sheaf_put_last(void **state)
{
	uint64_t top[4];

	(void)state;
	assert_int_equal(barn_get(&stack), 0);
	for (unsigned i = 0; i < 4; i++) {
		top[i] = fill_sheaf(i, i * 5);
		assert_true(barn_put(&stack, sheaves[i], top[i], 8));
	}
	assert_int_equal(barn_depth(&stack), 4);
	for (unsigned i = 4; i-- > 0;) {
		assert_int_equal(barn_get(&stack), top[i]);
		for (unsigned k = 0; k < i * 5; k++)
			assert_int_equal(sheaves[i]->entry[k], 4096 + i * 64 + k);
	}
	assert_int_equal(barn_depth(&stack), 0);
}

static void a_barn_turns_away_sheaves_beyond_its_limit(void **state)
{
	(void)state;
	assert_false(barn_put(&stack, sheaves[0], fill_sheaf(0, 1), 0));
	for (unsigned i = 0; i < 3; i++)
		assert_true(barn_put(&stack, sheaves[i], fill_sheaf(i, 1), 3));
	assert_false(barn_put(&stack, sheaves[3], fill_sheaf(3, 1), 3));
	assert_true(barn_put(&stack, sheaves[3], fill_sheaf(3, 1), 4));
	for (unsigned i = 0; i < 4; i++)
		assert_int_not_equal(barn_get(&stack), 0);
	assert_int_equal(barn_get(&stack), 0);
}

#if STELE_DEBUG
/* The sheaf on top is popped, given back to its slab, and somebody else writes there. */
static void reuse_the_top(const char *point)
{
	if (strcmp(point, "barn:depth"))
		return;
	stele_inject = NULL;
	memset(sheaf_of(barn_get(&stack), BYTES), 0xff, BYTES);
}

static void a_barn_turns_nothing_away_for_what_lies_in_a_sheaf_that_is_gone(void **state)
{
	(void)state;
	for (unsigned i = 0; i < 2; i++)
		assert_true(barn_put(&stack, sheaves[i], fill_sheaf(i, 1), UINT32_MAX));
	stele_inject = reuse_the_top;
	assert_true(barn_put(&stack, sheaves[2], fill_sheaf(2, 1), UINT32_MAX));
	assert_null(stele_inject);
	assert_int_equal(barn_depth(&stack), 2);
	assert_int_not_equal(barn_get(&stack), 0);
	assert_int_not_equal(barn_get(&stack), 0);
	assert_int_equal(barn_get(&stack), 0);
}
#else
static void a_barn_turns_nothing_away_for_what_lies_in_a_sheaf_that_is_gone(void **state)
{
	(void)state;
}
#endif

#define THREADS 4
#define ROUNDS 20000
static _Atomic uint32_t owner[SHEAVES];
static _Atomic uint32_t wrong;

/* Takes a sheaf, changes what is in it, puts it back. */
static void *get_and_put(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg + 1;

	for (int i = 0; i < ROUNDS; i++) {
		uint64_t top = barn_get(&stack);
		unsigned at, n;

		if (!top)
			continue;
		at = (unsigned)(((char *)sheaf_of(top, BYTES) - (char *)sheaves[0]) / BYTES);
		n = sheaf_count(top, BYTES);
		if (at >= SHEAVES || n > CAPACITY || atomic_exchange(&owner[at], me) != 0) {
			add_relaxed(&wrong, 1);
			continue;
		}
		for (unsigned k = 0; k < n; k++)
			if (sheaves[at]->entry[k] != 4096 + at * 64 + k)
				add_relaxed(&wrong, 1);
		top = fill_sheaf(at, (n + 1) % (CAPACITY + 1));
		store_relaxed(&owner[at], 0);
		/* The depth is a racy hint: ask again. */
		while (!barn_put(&stack, sheaves[at], top, SHEAVES * 4))
			sched_yield();
	}
	return NULL;
}

static void sheaves_stay_whole_between_threads(void **state)
{
	unsigned n = 0;

	(void)state;
	for (unsigned i = 0; i < SHEAVES; i++)
		assert_true(barn_put(&stack, sheaves[i], fill_sheaf(i, i), SHEAVES));
	meet_inside_steps(true);
	in_threads(THREADS, get_and_put);
	meet_inside_steps(false);
	assert_int_equal(load_relaxed(&wrong), 0);
	while (barn_get(&stack))
		n++;
	assert_int_equal(n, SHEAVES);
}

/* In the slab of the object at @p. */
static void set_free_bit(const void *p, bool is_free)
{
	struct run *run = stele_run_of(p);
	unsigned i = object_number(run, (uintptr_t)p);

	if (is_free)
		or_relaxed(&run->free[i / 64], 1ull << i % 64);
	else
		and_relaxed(&run->free[i / 64], ~(1ull << i % 64));
}

struct broken {
	struct kmem_cache *s;
	uint64_t top; /* of an empty sheaf */
	struct sheaf *sheaf;
};

static struct broken broken_begin(void)
{
	struct kmem_cache *s = kmem_cache_create("broken", 64, 0, SLAB_NO_MERGE, NULL);
	uint64_t top = stele_sheaf_new(s);

	assert_null(stele_sheaf_valid(s, top));
	return (struct broken){ s, top, sheaf_of(top, s->sheaf_size) };
}

static void broken_end(struct broken *b)
{
	stele_sheaf_destroy(b->s, b->top);
	kmem_cache_destroy(b->s);
}

static void a_sheaf_with_a_broken_entry_is_found(void **state)
{
	struct broken b = broken_begin();
	void *p = kmem_cache_alloc(b.s, GFP_KERNEL);

	(void)state;
	b.sheaf->entry[0] = (uintptr_t)p;
	assert_null(stele_sheaf_valid(b.s, b.top + 8));
	b.sheaf->entry[0] += 8;
	assert_string_equal(stele_sheaf_valid(b.s, b.top + 8),
			    "sheaf: an entry is no object of the cache");
	b.sheaf->entry[0] -= 8;
	kmem_cache_free(b.s, p);
	assert_int_equal(kmem_cache_shrink(b.s), 0);
	assert_string_equal(stele_sheaf_valid(b.s, b.top + 8),
			    "sheaf: an entry is no object of the cache");
	p = kmem_cache_alloc_nolock(b.s, 0, NUMA_NO_NODE);
	assert_non_null(p);
	b.sheaf->entry[0] = (uintptr_t)p;
	assert_null(stele_sheaf_valid(b.s, b.top + 8));
	set_free_bit(p, true);
	assert_string_equal(stele_sheaf_valid(b.s, b.top + 8),
			    "sheaf: an entry is free in its slab as well");
	set_free_bit(p, false);
	b.sheaf->entry[0] = 0;
	kmem_cache_free(b.s, p);
	broken_end(&b);
}

static void a_broken_sheaf_is_found(void **state)
{
	struct broken b = broken_begin();

	(void)state;
	set_free_bit(b.sheaf, true);
	assert_string_equal(stele_sheaf_valid(b.s, b.top),
			    "sheaf: its memory is no sheaf's, or was given back");
	set_free_bit(b.sheaf, false);
	assert_string_equal(stele_sheaf_valid(b.s, sheaf_bottom(sheaves[0])),
			    "sheaf: its memory is no sheaf's, or was given back");
	b.sheaf->bottom = 1;
	assert_string_equal(stele_sheaf_valid(b.s, b.top),
			    "sheaf: nothing stops a pop at the bottom");
	b.sheaf->bottom = 0;
	b.sheaf->entry[b.s->capacity] = 0;
	assert_string_equal(stele_sheaf_valid(b.s, b.top),
			    "sheaf: nothing stops a push at the end");
	b.sheaf->entry[b.s->capacity] = STELE_SHEAF_END;
	assert_string_equal(stele_sheaf_valid(b.s, b.top + 8 * (b.s->capacity + 1ul)),
			    "sheaf: the top is outside of the entries");
	broken_end(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_top_names_its_sheaf_and_its_fill),
		cmocka_unit_test(the_largest_sheaf_of_a_block_ends_inside_it),
		cmocka_unit_test(a_barn_gives_back_the_sheaf_put_last),
		cmocka_unit_test(a_barn_turns_away_sheaves_beyond_its_limit),
		cmocka_unit_test(a_barn_turns_nothing_away_for_what_lies_in_a_sheaf_that_is_gone),
		cmocka_unit_test(sheaves_stay_whole_between_threads),
		cmocka_unit_test(a_sheaf_with_a_broken_entry_is_found),
		cmocka_unit_test(a_broken_sheaf_is_found),
	};

	return cmocka_run_group_tests(tests, setup, NULL);
}
