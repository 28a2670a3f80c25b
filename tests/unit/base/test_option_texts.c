/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/options.c: options that are texts, which may have commas and must not be too long,
 * and the action after a report.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "base/options.h"

#include "stderr_of.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static struct stderr_text said;

/* Parses one variable. The messages are in @said. */
static void parse_one(char *variable)
{
	char *envp[] = { variable, NULL };

	stele_options_reset();
	assert_true(stderr_begin(&said));
	stele_options_parse(envp);
	stderr_end(&said);
}

static void a_text_is_copied_and_may_have_commas_in_its_variable(void **state)
{
	char debug[] = "STELE_DEBUG=FZ,mine,kmalloc-*;-";

	(void)state;
	parse_one(debug);
	memset(debug, 'x', sizeof(debug) - 1);
	assert_string_equal(said.text, "");
	assert_string_equal(stele_opt.debug, "FZ,mine,kmalloc-*;-");
}

static void a_text_among_other_options_ends_at_the_comma(void **state)
{
	char options[] = "STELE_OPTIONS=report=some file,quiet=1";

	(void)state;
	parse_one(options);
	assert_string_equal(stele_opt.report, "some file");
	assert_true(stele_opt.quiet && !stele_opt.debug);
}

static void a_text_that_is_too_long_is_refused(void **state)
{
	char variable[400] = "STELE_REPORT=";

	(void)state;
	memset(variable + strlen(variable), 'f', STELE_TEXT_MAX);
	parse_one(variable);
	assert_string_equal(said.text, "");
	assert_int_equal(strlen(stele_opt.report), STELE_TEXT_MAX);
	variable[strlen(variable)] = 'f';
	parse_one(variable);
	assert_string_equal(said.text,
			    "stele: option 'report': the text is longer than 255 bytes\n");
	assert_null(stele_opt.report);
}

static void the_action_after_a_report_is_a_word(void **state)
{
	char good[] = "STELE_ON_ERROR=stop", bad[] = "STELE_ON_ERROR=sto";

	(void)state;
	parse_one(good);
	assert_string_equal(said.text, "");
	assert_int_equal(stele_opt.on_error, STELE_ACTION_STOP);
	parse_one(bad);
	assert_string_equal(said.text,
			    "stele: option 'on_error': 'sto' is not one of continue|abort|stop\n");
	assert_int_equal(stele_opt.on_error, STELE_ACTION_CONTINUE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(a_text_is_copied_and_may_have_commas_in_its_variable),
		cmocka_unit_test(a_text_among_other_options_ends_at_the_comma),
		cmocka_unit_test(a_text_that_is_too_long_is_refused),
		cmocka_unit_test(the_action_after_a_report_is_a_word),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
