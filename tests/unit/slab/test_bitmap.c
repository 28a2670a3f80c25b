/* SPDX-License-Identifier: MIT */
/*
 * Tests of slab/bitmap.h: the states of a slab one by one, then all at once.
 */
#include "slab/bitmap.h"

#include "../unit.h"

#define OBJECTS 64
#define THREADS 4
#define ROUNDS 20000

static _Atomic uint64_t state_word, bits;

static uint64_t state_now(void)
{
	return load_relaxed(&state_word);
}

static unsigned free_now(void)
{
	return (unsigned)(state_now() & STATE_FREE);
}

static int setup(void **state)
{
	(void)state;
	store_relaxed(&state_word, 0);
	store_relaxed(&bits, 0);
	return 0;
}

static void a_new_slab_is_listed_if_something_is_left(void **state)
{
	uint64_t before = state_now();

	(void)state;
	state_start(&state_word, 5);
	assert_int_equal(free_now(), 5);
	assert_true(state_now() & STATE_LISTED);
	assert_int_equal(state_now() / STATE_GENERATION, before / STATE_GENERATION + 1);
	state_start(&state_word, 0);
	assert_int_equal(free_now(), 0);
	assert_false(state_now() & STATE_LISTED);
	assert_int_equal(state_now() / STATE_GENERATION, before / STATE_GENERATION + 2);
}

static void no_more_is_claimed_than_is_free(void **state)
{
	(void)state;
	state_start(&state_word, 5);
	assert_int_equal(state_claim(&state_word, state_now(), 3), 3);
	assert_int_equal(free_now(), 2);
	assert_int_equal(state_claim(&state_word, state_now(), 9), 2);
	assert_int_equal(free_now(), 0);
	assert_true(state_now() & STATE_LISTED); /* a taker finds out */
}

static void a_claim_on_an_old_look_fails(void **state)
{
	uint64_t seen;

	(void)state;
	state_start(&state_word, 5);
	seen = state_now();
	state_start(&state_word, 5);
	assert_int_equal(state_claim(&state_word, seen, 1), 0);
	assert_int_equal(free_now(), 5);
}

static void the_first_free_of_a_full_slab_lists_it(void **state)
{
	(void)state;
	state_start(&state_word, 0);
	assert_int_equal(state_give(&state_word, 1, OBJECTS), GIVE_LIST);
	assert_int_equal(state_give(&state_word, 2, OBJECTS), GIVE_DONE);
	assert_int_equal(free_now(), 3);
}

static void the_last_free_owns_the_slab(void **state)
{
	(void)state;
	state_start(&state_word, 10);
	assert_int_equal(state_give(&state_word, OBJECTS - 11, OBJECTS), GIVE_DONE);
	assert_int_equal(state_give(&state_word, 1, OBJECTS), GIVE_EMPTY);
	assert_int_equal(free_now(), 0); /* nobody can claim what is going away */
	assert_false(state_bury(&state_word));
	assert_true(state_now() & STATE_DEAD);
	assert_int_equal(state_unlist(&state_word), UNLIST_DEAD);
}

static void an_unlisted_slab_is_buried_at_once(void **state)
{
	(void)state;
	state_start(&state_word, 0);
	assert_int_equal(state_give(&state_word, OBJECTS, OBJECTS), GIVE_EMPTY);
	assert_true(state_bury(&state_word));
}

static void popping_sees_objects_freed_meanwhile(void **state)
{
	(void)state;
	state_start(&state_word, 1);
	assert_int_equal(state_claim(&state_word, state_now(), 1), 1);
	assert_int_equal(state_give(&state_word, 1, OBJECTS), GIVE_DONE);
	assert_int_equal(state_unlist(&state_word), UNLIST_RELIST);
	assert_true(state_now() & STATE_LISTED);
	assert_int_equal(state_claim(&state_word, state_now(), 1), 1);
	assert_int_equal(state_unlist(&state_word), UNLIST_DONE);
	assert_false(state_now() & STATE_LISTED);
}

static void bits_are_taken_from_the_lowest_and_at_most_as_many(void **state)
{
	(void)state;
	assert_int_equal(bits_take(&bits, 3), 0);
	assert_int_equal(bits_give(&bits, 0xf0f0), 0);
	assert_int_equal(bits_give(&bits, 0x80f), 0);
	assert_int_equal(bits_take(&bits, 3), 0x7);
	assert_int_equal(bits_take(&bits, 3), 0x38);
	assert_int_equal(bits_take(&bits, 64), 0xf8c0);
	assert_int_equal(bits_take(&bits, 1), 0);
}

static void a_second_free_is_seen(void **state)
{
	(void)state;
	assert_int_equal(bits_give(&bits, 0x5), 0);
	assert_int_equal(bits_give(&bits, 0x6), 0x4);
	assert_int_equal(load_relaxed(&bits), 0x7);
}

static _Atomic uint32_t owner[OBJECTS];
static _Atomic uint32_t wrong;

/* Finds the @n bits that the caller has claimed. So many are free at any moment, but other threads may
 * change which ones. */
static uint64_t find(unsigned n)
{
	uint64_t mine = 0;

	while (n) {
		uint64_t got = bits_take(&bits, n);

		mine |= got;
		n -= (unsigned)__builtin_popcountll(got);
	}
	return mine;
}

static void set_owners(uint64_t mine, uint32_t from, uint32_t to)
{
	for (; mine; mine &= mine - 1)
		if (atomic_exchange(&owner[__builtin_ctzll(mine)], to) != from)
			add_relaxed(&wrong, 1);
}

/* One object less than all is in play, so that the slab never becomes empty. */
static void *claim_and_give(void *arg)
{
	uint32_t me = (uint32_t)(uintptr_t)arg + 1, seed = me;

	for (int i = 0; i < ROUNDS; i++) {
		unsigned n = state_claim(&state_word, state_now(), 1 + unit_random(&seed) % 20);
		uint64_t mine = find(n);

		set_owners(mine, 0, me);
		set_owners(mine, me, 0);
		if (bits_give(&bits, mine))
			add_relaxed(&wrong, 1);
		if (n && state_give(&state_word, n, OBJECTS) == GIVE_EMPTY)
			add_relaxed(&wrong, 1);
	}
	return NULL;
}

static void a_claim_always_finds_its_objects_and_they_are_nobodys(void **state)
{
	(void)state;
	state_start(&state_word, OBJECTS - 1);
	bits_give(&bits, ~0ull >> 1);
	meet_inside_steps(true);
	in_threads(THREADS, claim_and_give);
	meet_inside_steps(false);
	assert_int_equal(load_relaxed(&wrong), 0);
	assert_int_equal(free_now(), OBJECTS - 1);
	assert_int_equal(load_relaxed(&bits), ~0ull >> 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(a_new_slab_is_listed_if_something_is_left, setup),
		cmocka_unit_test_setup(no_more_is_claimed_than_is_free, setup),
		cmocka_unit_test_setup(a_claim_on_an_old_look_fails, setup),
		cmocka_unit_test_setup(the_first_free_of_a_full_slab_lists_it, setup),
		cmocka_unit_test_setup(the_last_free_owns_the_slab, setup),
		cmocka_unit_test_setup(an_unlisted_slab_is_buried_at_once, setup),
		cmocka_unit_test_setup(popping_sees_objects_freed_meanwhile, setup),
		cmocka_unit_test_setup(bits_are_taken_from_the_lowest_and_at_most_as_many, setup),
		cmocka_unit_test_setup(a_second_free_is_seen, setup),
		cmocka_unit_test_setup(a_claim_always_finds_its_objects_and_they_are_nobodys,
				       setup),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
