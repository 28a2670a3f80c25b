/* SPDX-License-Identifier: MIT */
/*
 * Tests of slab/chosen.c: the syntax of the kernel's slab_debug, and what is said about mistakes.
 */
#include "slab/chosen.h"
#include "base/options.h"
#include "slab/kmem_cache.h"

#include "../unit.h"

#include "../base/stderr_of.h"

#include <stdlib.h>

#define FZPU (SLAB_CONSISTENCY_CHECKS | SLAB_RED_ZONE | SLAB_POISON | SLAB_STORE_USER)

static slab_flags_t chosen(const char *debug, const char *name, slab_flags_t flags)
{
	stele_options_reset();
	stele_opt.debug = debug;
	return stele_debug_chosen(name, flags);
}

static void letters_stand_for_flags_in_either_case(void **state)
{
	(void)state;
	assert_int_equal(chosen("F", "a", 0), SLAB_CONSISTENCY_CHECKS);
	assert_int_equal(chosen("zP", "a", 0), SLAB_RED_ZONE | SLAB_POISON);
	assert_int_equal(chosen("UT", "a", 0), SLAB_STORE_USER | SLAB_TRACE);
	assert_int_equal(chosen("AO", "a", 0), SLAB_FAILSLAB | SLAB_SHORT);
	assert_int_equal(chosen("-", "a", SLAB_POISON), SLAB_POISON);
	assert_int_equal(chosen(NULL, "a", 0), 0);
	assert_int_equal(chosen(",a", "a", 0), FZPU);
}

static void names_and_globs_choose_caches(void **state)
{
	(void)state;
	assert_int_equal(chosen("F,a,b", "b", 0), SLAB_CONSISTENCY_CHECKS);
	assert_int_equal(chosen("F,a,b", "c", 0), 0);
	assert_int_equal(chosen("F,ab", "a", 0), 0);
	assert_int_equal(chosen("F,a", "ab", 0), 0);
	assert_int_equal(chosen("Z,kmalloc-*", "kmalloc-64", 0), SLAB_RED_ZONE);
	assert_int_equal(chosen("Z,kmalloc-*", "kmalloc", 0), 0);
	assert_int_equal(chosen("Z,*", "anything", 0), SLAB_RED_ZONE);
}

static void the_first_block_with_the_name_counts_else_the_last_without(void **state)
{
	(void)state;
	assert_int_equal(chosen("F;Z,a;P,a", "a", 0), SLAB_RED_ZONE);
	assert_int_equal(chosen("F;Z,a;P", "b", 0), SLAB_POISON);
	assert_int_equal(chosen("F;-,a", "a", 0), 0);
	assert_int_equal(chosen(";;F;", "a", 0), SLAB_CONSISTENCY_CHECKS);
}

static void caches_that_must_not_be_touched_are_left_out(void **state)
{
	(void)state;
	assert_int_equal(chosen("FZPU", "a", SLAB_NO_USER_FLAGS), SLAB_NO_USER_FLAGS);
	assert_int_equal(chosen("FZPU", "a", SLAB_OWN), SLAB_OWN);
	assert_int_equal(chosen("FU", "a", SLAB_NOLEAKTRACE),
			 SLAB_NOLEAKTRACE | SLAB_CONSISTENCY_CHECKS);
	assert_int_equal(chosen("FU,a", "a", SLAB_NOLEAKTRACE),
			 SLAB_NOLEAKTRACE | SLAB_CONSISTENCY_CHECKS | SLAB_STORE_USER);
}

static void the_profile_checks_all_unless_the_option_says_otherwise(void **state)
{
	(void)state;
	stele_options_reset();
	stele_opt.profile = STELE_PROFILE_DEBUG;
	assert_int_equal(stele_debug_chosen("a", 0), FZPU);
	assert_int_equal(stele_debug_large(), FZPU);
	stele_opt.debug = "-";
	assert_int_equal(stele_debug_chosen("a", 0), 0);
	stele_options_reset();
}

/* This test runs first, as mistakes are reported once. */
static void mistakes_are_told_once_and_left_out(void **state)
{
	struct stderr_text t;

	(void)state;
	assert_true(stderr_begin(&t));
	assert_int_equal(chosen("FXZ,,a*b", "a", 0), 0);
	assert_int_equal(chosen("FX", "a", 0), SLAB_CONSISTENCY_CHECKS);
	stderr_end(&t);
	assert_string_equal(t.text,
			    "stele: option 'debug': 'X' is none of F Z P U T A O; left out\n"
			    "stele: option 'debug': a name is missing after ','\n"
			    "stele: option 'debug': 'a*b': only the last character can be '*'\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(mistakes_are_told_once_and_left_out),
		cmocka_unit_test(letters_stand_for_flags_in_either_case),
		cmocka_unit_test(names_and_globs_choose_caches),
		cmocka_unit_test(the_first_block_with_the_name_counts_else_the_last_without),
		cmocka_unit_test(caches_that_must_not_be_touched_are_left_out),
		cmocka_unit_test(the_profile_checks_all_unless_the_option_says_otherwise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
