/* SPDX-License-Identifier: MIT */
/*
 * Tests of stele_slot_valid(): every word of a slot is a sheaf or a mark that it may have, and each
 * other value is found.
 */
#include "percpu/slots.h"
#include "slots.h"

static const char *unknown = "slot: a word is no sheaf and no mark that it may have";
static uint64_t words;
static struct test_sheaf sheaf;
static unsigned slot;

static int four_slots_in_use(void **state)
{
	(void)state;
	words = slots_start_up(4);
	stay_here();
	if (!words || stele_pcpu_read(words, WORD_MAIN) == SHEAF_UNINIT)
		return -1;
	slot = stele_slot_now();
	return 0;
}

static word_t *word(enum stele_word which)
{
	return word_at(slot_memory(slot), words + which);
}

/* While the word has @value. NULL: sound; both without marks and with them. */
static void assert_says(enum stele_word which, uint64_t value, const char *fault)
{
	uint64_t right = load_relaxed(word(which));

	for (int marked = 0; marked < 2; marked++) {
		const char *said;

		assert_null(stele_slot_valid(slot, marked));
		store_relaxed(word(which), value);
		said = stele_slot_valid(slot, marked);
		store_relaxed(word(which), right);
		if (fault && said)
			assert_string_equal(said, fault);
		else
			assert_ptr_equal(said, fault);
	}
}

static void a_word_that_is_no_sheaf_and_no_mark_is_found(void **state)
{
	uint64_t top = sheaf_start(&sheaf);

	(void)state;
	for (enum stele_word which = WORD_MAIN; which < WORD_LOCK; which += WORD_SPARE) {
		assert_says(which, 0, NULL);
		assert_says(which, top, NULL);
		assert_says(which, top + 4, unknown);
		assert_says(which, SHEAF_UNINIT, unknown);
		assert_says(which, SHEAF_EMPTY + 8, unknown);
		assert_says(which, SHEAF_EMPTY, which == WORD_SPARE ? unknown : NULL);
	}
	assert_says(WORD_LOCK, LINE_GIVEN_UP | 4711, NULL);
	assert_says(WORD_LOCK, 1ull << 33, "slot: the lock of a line names no thread");
}

static void a_mark_is_found_where_no_thread_takes(void **state)
{
	(void)state;
	for (enum stele_word which = WORD_MAIN; which < WORD_LOCK; which += WORD_SPARE) {
		uint64_t right = load_relaxed(word(which));

		store_relaxed(word(which), SHEAF_REMOTE);
		assert_null(stele_slot_valid(slot, true));
		assert_string_equal(stele_slot_valid(slot, false), unknown);
		store_relaxed(word(which), right);
	}
}

static void a_slot_is_whole_at_every_step_of_its_life(void **state)
{
	uint64_t found[3];

	(void)state;
	assert_true(stele_slot_words(slot, words, found));
	assert_true(found[0] == SHEAF_EMPTY && !found[1] && found[2] == SHEAF_EMPTY);
	while (!stele_pcpu_cas(words, WORD_MAIN, SHEAF_EMPTY, sheaf_start(&sheaf)))
		; /* interrupted */
	assert_null(stele_slot_valid(slot, false));
	while (!stele_pcpu_push(words, object(1)))
		;
	assert_null(stele_slot_valid(slot, false));
	assert_int_equal(stele_slot_close(slot), 0);
	assert_null(stele_slot_valid(slot, false));
	stele_slot_empty(slot, words, found);
	assert_int_equal(found[0], (uintptr_t)&sheaf.entry[1]);
	assert_null(stele_slot_valid(slot, false));
	stele_slot_open(slot);
	assert_null(stele_slot_valid(slot, false));
}

static void a_slot_that_no_thread_has_used_has_no_words(void **state)
{
	uint64_t found[3];
	unsigned unused = 0;

	(void)state;
	for (unsigned i = 0; i < stele_slots.count; i++) {
		if (slot_is_begun(&stele_slots.begun[i]))
			continue;
		unused++;
		assert_false(stele_slot_words(i, words, found));
		assert_null(stele_slot_valid(i, false));
	}
	assert_int_not_equal(unused, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_word_that_is_no_sheaf_and_no_mark_is_found),
		cmocka_unit_test(a_mark_is_found_where_no_thread_takes),
		cmocka_unit_test(a_slot_that_no_thread_has_used_has_no_words),
		cmocka_unit_test(a_slot_is_whole_at_every_step_of_its_life),
	};

	return cmocka_run_group_tests(tests, four_slots_in_use, NULL);
}
