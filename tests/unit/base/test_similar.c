/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/similar.c: the distance against its definition by recursion over all short words of
 * a small alphabet, which has every case of insertion, deletion, replacement and swap.
 */
#include "base/similar.h"

#include "base/basics.h"

#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define LETTERS 3
#define LONGEST 4

/* The definition: no part is edited twice. */
static unsigned edits(const char *a, size_t i, const char *b, size_t j)
{
	unsigned best;

	if (!i || !j)
		return (unsigned)(i + j);
	best = edits(a, i - 1, b, j - 1) + (a[i - 1] != b[j - 1]);
	best = STELE_MIN(best, edits(a, i - 1, b, j) + 1);
	best = STELE_MIN(best, edits(a, i, b, j - 1) + 1);
	if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
		best = STELE_MIN(best, edits(a, i - 2, b, j - 2) + 1);
	return best;
}

/* The next word of up to LONGEST letters; false after the last. */
static bool next_word(char *word)
{
	for (size_t i = 0; i < LONGEST; i++) {
		word[i] = word[i] ? (char)(word[i] + 1) : 'a';
		if (word[i] < 'a' + LETTERS)
			return true;
		word[i] = 'a';
	}
	return false;
}

static void every_pair_of_short_words_has_the_distance_of_the_definition(void **state)
{
	char a[LONGEST + 1] = "";
	unsigned pairs = 0;

	(void)state;
	do {
		char b[LONGEST + 1] = "";

		do {
			assert_int_equal(stele_edits(a, strlen(a), b),
					 edits(a, strlen(a), b, strlen(b)));
			pairs++;
		} while (next_word(b));
	} while (next_word(a));
	assert_int_equal(pairs, 121 * 121);
}

static void case_and_dashes_do_not_count(void **state)
{
	(void)state;
	assert_int_equal(stele_edits("DIRTY-Min", 9, "dirty_min"), 0);
	assert_int_equal(stele_edits("dirty_min=1", 9, "dirty_min"), 0);
}

static void a_word_that_is_too_long_is_like_no_other(void **state)
{
	static const char long_name[] = "an_option_with_exactly_this_many";

	(void)state;
	assert_int_equal(strlen(long_name), STELE_SIMILAR_LEN + 1);
	assert_true(stele_edits(long_name, STELE_SIMILAR_LEN + 1, "quiet") == UINT_MAX);
	assert_true(stele_edits("quiet", 5, long_name) == UINT_MAX);
	assert_int_equal(stele_edits(long_name, STELE_SIMILAR_LEN, long_name + 1), 2);
}

static void only_few_edits_are_a_typo(void **state)
{
	(void)state;
	assert_false(stele_is_typo(1, 2));
	assert_true(stele_is_typo(1, 3));
	assert_false(stele_is_typo(2, 5));
	assert_true(stele_is_typo(2, 6));
	assert_false(stele_is_typo(3, 30));
	assert_false(stele_is_typo(UINT_MAX, 30));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(every_pair_of_short_words_has_the_distance_of_the_definition),
		cmocka_unit_test(case_and_dashes_do_not_count),
		cmocka_unit_test(a_word_that_is_too_long_is_like_no_other),
		cmocka_unit_test(only_few_edits_are_a_typo),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
