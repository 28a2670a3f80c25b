/* SPDX-License-Identifier: MIT */
/*
 * Tests of the steps in the mode that is in effect, in one thread: pop, push, cas, and taking all
 * of it.
 */
#include "arch/contract.h"
#include "slots.h"

/* A step may give up after interruptions; where it must succeed in the end, ask again. */
static void *pop_surely(uint64_t words)
{
	void *p = NULL;

	for (int i = 0; i < 100 && !p; i++)
		p = stele_pcpu_pop(words);
	return p;
}

static bool push_surely(uint64_t words, void *p)
{
	for (int i = 0; i < 100; i++)
		if (stele_pcpu_push(words, p))
			return true;
	return false;
}

static bool cas_surely(uint64_t words, enum stele_word which, uint64_t old, uint64_t new)
{
	for (int i = 0; i < 100; i++)
		if (stele_pcpu_cas(words, which, old, new))
			return true;
	return false;
}

static void lines_are_apart_and_come_back(void **state)
{
	static uint64_t line[STELE_SLOT_SIZE / STELE_WORDS_SIZE];
	static bool seen[STELE_SLOT_SIZE / STELE_WORDS_SIZE];
	unsigned n = 0;

	(void)state;
	while ((line[n] = stele_pcpu_alloc())) {
		assert_int_equal(line[n] % STELE_WORDS_SIZE, 0);
		assert_true(line[n] < STELE_SLOT_SIZE);
		assert_false(seen[line[n] / STELE_WORDS_SIZE]);
		seen[line[n] / STELE_WORDS_SIZE] = true;
		n++;
	}
	assert_int_equal(n, STELE_SLOT_SIZE / STELE_WORDS_SIZE - 1);
	assert_int_equal(stele_pcpu_alloc(), 0);
	stele_pcpu_free(line[n / 2]);
	assert_int_equal(stele_pcpu_alloc(), line[n / 2]);
	while (n)
		stele_pcpu_free(line[--n]);
}

static void a_new_line_is_empty_and_full_at_once(void **state)
{
	uint64_t words = stele_pcpu_alloc();

	(void)state;
	assert_int_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_EMPTY);
	assert_int_equal(stele_pcpu_read(words, WORD_SPARE), 0);
	assert_null(stele_pcpu_pop(words));
	assert_false(stele_pcpu_push(words, object(1)));
	assert_int_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_EMPTY);
	stele_pcpu_free(words);
}

static void line_0_of_caches_without_sheaves_stays_empty(void **state)
{
	(void)state;
	assert_null(stele_pcpu_pop(0));
	assert_false(stele_pcpu_push(0, object(1)));
}

static void sentinels_are_no_sheaves(void **state)
{
	(void)state;
	assert_false(stele_is_sheaf(0));
	assert_false(stele_is_sheaf(SHEAF_EMPTY));
	assert_false(stele_is_sheaf(SHEAF_REMOTE));
	assert_false(stele_is_sheaf(SHEAF_UNINIT));
	assert_true(stele_is_sheaf(SHEAF_EMPTY - 8));
	assert_true(stele_is_sheaf(SHEAF_UNINIT + 8));
}

static uint64_t taken_tops[8];
static unsigned taken_count;

static void note_taken(uint64_t top, void *arg)
{
	(void)arg;
	assert_true(taken_count < 8);
	taken_tops[taken_count++] = top;
}

static unsigned take_all(uint64_t words)
{
	taken_count = 0;
	stele_pcpu_take_all(words, EFFORT_WAITING, note_taken, NULL);
	return taken_count;
}

static void a_sheaf_is_filled_and_emptied_from_its_top(void **state)
{
	uint64_t words = stele_pcpu_alloc();
	struct test_sheaf sheaf;
	uint64_t top = sheaf_start(&sheaf);

	(void)state;
	assert_true(cas_surely(words, WORD_MAIN, SHEAF_EMPTY, top));
	assert_null(stele_pcpu_pop(words));
	for (uintptr_t i = 0; i < TEST_CAPACITY; i++)
		assert_true(push_surely(words, object(i)));
	assert_false(stele_pcpu_push(words, object(99)));
	assert_int_equal(sheaf.end, STELE_SHEAF_END);
	for (uintptr_t i = TEST_CAPACITY; i-- > 0;)
		assert_ptr_equal(pop_surely(words), object(i));
	assert_null(stele_pcpu_pop(words));
	assert_int_equal(stele_pcpu_read(words, WORD_MAIN), top);
	assert_int_equal(take_all(words), 1);
	assert_int_equal(taken_tops[0], top);
	stele_pcpu_free(words);
}

/* A sheaf that nobody could take out has the geometry of a cache that is gone. */
static void a_line_with_a_sheaf_in_it_is_not_given_out_again(void **state)
{
	uint64_t words = stele_pcpu_alloc(), other;
	struct test_sheaf sheaf;
	uint64_t top = sheaf_start(&sheaf);

	(void)state;
	for (enum stele_word which = WORD_MAIN; which <= WORD_SPARE; which += WORD_SPARE) {
		uint64_t nothing = which == WORD_MAIN ? SHEAF_EMPTY : 0;

		assert_true(cas_surely(words, which, nothing, top));
		stele_pcpu_free(words);
		other = stele_pcpu_alloc();
		assert_int_not_equal(other, words);
		stele_pcpu_free(other);
		assert_true(cas_surely(words, which, top, nothing));
	}
	stele_pcpu_free(words);
	assert_int_equal(stele_pcpu_alloc(), words);
	stele_pcpu_free(words);
}

static void cas_changes_nothing_but_what_it_saw(void **state)
{
	uint64_t words = stele_pcpu_alloc();
	struct test_sheaf sheaf;
	uint64_t top = sheaf_start(&sheaf);

	(void)state;
	assert_false(stele_pcpu_cas(words, WORD_MAIN, top, top + 8));
	assert_int_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_EMPTY);
	assert_false(stele_pcpu_cas(words, WORD_SPARE, top, top + 8));
	assert_int_equal(stele_pcpu_read(words, WORD_SPARE), 0);
	assert_true(cas_surely(words, WORD_SPARE, 0, top));
	assert_int_equal(stele_pcpu_read(words, WORD_SPARE), top);
	assert_int_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_EMPTY);
	assert_true(cas_surely(words, WORD_SPARE, top, 0));
	stele_pcpu_free(words);
}

static void taking_all_finds_both_words_and_leaves_the_line_as_new(void **state)
{
	uint64_t words = stele_pcpu_alloc(), other = stele_pcpu_alloc();
	struct test_sheaf sheaf[3];
	uint64_t top[3];

	(void)state;
	for (int i = 0; i < 3; i++)
		top[i] = sheaf_start(&sheaf[i]);
	assert_int_equal(take_all(words), 0);
	assert_true(cas_surely(words, WORD_MAIN, SHEAF_EMPTY, top[0]));
	assert_true(cas_surely(words, WORD_SPARE, 0, top[1]));
	assert_true(cas_surely(other, WORD_MAIN, SHEAF_EMPTY, top[2]));
	assert_true(push_surely(words, object(7)));
	assert_int_equal(take_all(words), 2);
	assert_int_equal(taken_tops[0] + taken_tops[1], top[0] + 8 + top[1]);
	assert_int_equal(stele_pcpu_read(words, WORD_MAIN), SHEAF_EMPTY);
	assert_int_equal(stele_pcpu_read(words, WORD_SPARE), 0);
	assert_int_equal(stele_pcpu_read(other, WORD_MAIN), top[2]);
	assert_int_equal(take_all(words), 0);
	assert_int_equal(take_all(other), 1);
	stele_pcpu_free(words);
	stele_pcpu_free(other);
}

static void errno_is_left_alone(void **state)
{
	uint64_t words = stele_pcpu_alloc();

	(void)state;
	errno = 4711;
	stele_pcpu_pop(words);
	take_all(words);
	stele_pcpu_free(words);
	assert_int_equal(errno, 4711);
}

static int start_and_stay(void **state)
{
	int error = slots_start(state);

	stay_here();
	return error;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sentinels_are_no_sheaves),
		cmocka_unit_test(lines_are_apart_and_come_back),
		cmocka_unit_test(a_new_line_is_empty_and_full_at_once),
		cmocka_unit_test(line_0_of_caches_without_sheaves_stays_empty),
		cmocka_unit_test(a_sheaf_is_filled_and_emptied_from_its_top),
		cmocka_unit_test(a_line_with_a_sheaf_in_it_is_not_given_out_again),
		cmocka_unit_test(cas_changes_nothing_but_what_it_saw),
		cmocka_unit_test(taking_all_finds_both_words_and_leaves_the_line_as_new),
		cmocka_unit_test(errno_is_left_alone),
	};

	return cmocka_run_group_tests(tests, start_and_stay, NULL);
}
