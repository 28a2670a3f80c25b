/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/options.c: good values arrive, bad ones are named exactly and change nothing. Walks
 * the table where a rule holds for every row, so that a new row is tested without a new test.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#ifndef STELE_TEST_EMULATED
#define STELE_TEST_EMULATED 0
#endif
#include "base/fmt.h"
#include "base/options.h"

#include "stderr_of.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#define MAX_VARS 8
#define CHILD_ARG "read-options-as-child"

static struct stderr_text said;

/* Parses the given variables, NULL ends them. The messages are in @said. */
static void parse(const char *first, ...)
{
	char *envp[MAX_VARS + 1] = { (char *)first };
	va_list ap;

	va_start(ap, first);
	for (int i = 0; envp[i] && i < MAX_VARS; i++)
		envp[i + 1] = va_arg(ap, char *);
	va_end(ap);
	stele_options_reset();
	assert_true(stderr_begin(&said));
	stele_options_parse(envp);
	stderr_end(&said);
}

static const struct stele_option_row *row_of(const char *name)
{
	for (size_t i = 0; i < stele_nr_option_rows; i++) {
		if (strcmp(stele_option_rows[i].name, name) == 0)
			return &stele_option_rows[i];
	}
	fail_msg("no option %s", name);
	return NULL;
}

static void assert_defaults(void)
{
	for (size_t i = 0; i < stele_nr_option_rows; i++)
		assert_true(stele_option_get(&stele_option_rows[i]) == stele_option_rows[i].init);
}

/* @var is refused with @message, and nothing changes. */
static void assert_refused(const char *var, const char *message)
{
	parse(var, NULL);
	assert_string_equal(said.text, message);
	assert_defaults();
}

static void assert_value(const char *name, const char *value, int64_t want)
{
	char var[128];

	snprintf(var, sizeof(var), "STELE_OPTIONS=%s=%s", name, value);
	parse(var, NULL);
	assert_string_equal(said.text, "");
	assert_true(stele_option_get(row_of(name)) == want);
}

static void defaults_hold_before_and_after_an_empty_environment(void **state)
{
	(void)state;
	assert_defaults();
	assert_int_equal(stele_opt.rseq, -1);
	assert_int_equal(stele_opt.dirty_min, 512 << 10);
	assert_true(stele_opt.selftest);
	parse("PATH=/bin", NULL);
	assert_defaults();
	assert_string_equal(said.text, "");
	stele_options_reset();
	stele_options_parse(NULL);
	assert_defaults();
}

static void rows_are_sorted_and_their_defaults_allowed(void **state)
{
	(void)state;
	for (size_t i = 0; i < stele_nr_option_rows; i++) {
		const struct stele_option_row *r = &stele_option_rows[i];

		assert_true(i == 0 || strcmp(r[-1].name, r->name) < 0);
		assert_true(strlen(r->meaning) > 0 && strchr(r->meaning, '\n') == NULL);
		assert_true((r->init >= r->min && r->init <= r->max) || r->init == 0);
	}
}

/* The text shown for a value is accepted back and means the same: default, smallest, largest. */
static void shown_values_can_be_given_back(void **state)
{
	(void)state;
	for (size_t i = 0; i < stele_nr_option_rows; i++) {
		const struct stele_option_row *r = &stele_option_rows[i];
		const int64_t values[] = { r->init, r->min, r->max };

		for (size_t j = 0; j < 3; j++) {
			char text[32];
			struct stele_out o;

			stele_out_init(&o, text, sizeof(text));
			stele_option_show_value(&o, r, values[j]);
			assert_value(r->name, text, values[j]);
		}
	}
}

static void upper(char *s)
{
	for (; *s; s++)
		*s = *s >= 'a' && *s <= 'z' ? (char)(*s - 32) : *s;
}

static void every_option_has_its_own_variable(void **state)
{
	(void)state;
	for (size_t i = 0; i < stele_nr_option_rows; i++) {
		const struct stele_option_row *r = &stele_option_rows[i];
		char var[128];
		char name[32];
		char value[32];
		struct stele_out o;

		snprintf(name, sizeof(name), "%s", r->name);
		upper(name);
		stele_out_init(&o, value, sizeof(value));
		stele_option_show_value(&o, r, r->max);
		snprintf(var, sizeof(var), "STELE_%s=%s", name, value);
		parse(var, NULL);
		assert_string_equal(said.text, "");
		for (size_t j = 0; j < stele_nr_option_rows; j++) {
			const struct stele_option_row *q = &stele_option_rows[j];

			assert_true(stele_option_get(q) == (j == i ? r->max : q->init));
		}
	}
}

static void words_and_numbers_are_read_as_documented(void **state)
{
	(void)state;
	assert_value("quiet", "1", 1);
	assert_value("quiet", "yes", 1);
	assert_value("quiet", "on", 1);
	assert_value("quiet", "true", 1);
	assert_value("selftest", "0", 0);
	assert_value("selftest", "no", 0);
	assert_value("selftest", "off", 0);
	assert_value("selftest", "false", 0);
	assert_value("rseq", "auto", -1);
	assert_value("rseq", "0", 0);
	assert_value("rseq", "1", 1);
	assert_value("profile", "default", STELE_PROFILE_DEFAULT);
	assert_value("profile", "tiny", STELE_PROFILE_TINY);
	assert_value("slots", "0017", 17);
	assert_value("dirty_min", "0", 0);
	assert_value("dirty_min", "12345", 12345);
	assert_value("dirty_min", "3k", 3 << 10);
	assert_value("dirty_min", "3M", 3 << 20);
	assert_value("dirty_min", "3g", (int64_t)3 << 30);
	assert_value("dirty_min", "3T", (int64_t)3 << 40);
	assert_value("page_size", "0", 0);
	assert_value("page_size", "16k", 16 << 10);
}

static void typo_in_a_name_is_named(void **state)
{
	(void)state;
	assert_refused("STELE_OPTIONS=foo=1", "stele: STELE_OPTIONS: unknown option 'foo' "
					      "(see 'stele help options')\n");
	assert_refused("STELE_OPTIONS=foo", "stele: STELE_OPTIONS: unknown option 'foo' "
					    "(see 'stele help options')\n");
	assert_refused("STELE_OPTIONS==1", "stele: STELE_OPTIONS: unknown option '' "
					   "(see 'stele help options')\n");
	assert_refused("STELE_OPTIONS= foo =1", "stele: STELE_OPTIONS: unknown option 'foo' "
						"(see 'stele help options')\n");
	assert_refused("STELE_OPTIONS=quiet", "stele: STELE_OPTIONS: option 'quiet' has no value "
					      "(write quiet=VALUE)\n");
	assert_refused("STELE_FOO=1", "stele: unknown variable 'STELE_FOO' "
				      "(see 'stele help options')\n");
	assert_refused("STELE_=1", "stele: unknown variable 'STELE_' (see 'stele help options')\n");
	assert_refused("STELE_THIS_NAME_IS_LONGER_THAN_ANY_OPTION=1",
		       "stele: unknown variable 'STELE_THIS_NAME_IS_LONGER_THAN_ANY_OPTION' "
		       "(see 'stele help options')\n");
}

static void near_name_is_offered(void **state)
{
	(void)state;
	assert_refused("STELE_OPTIONS=quie=1",
		       "stele: STELE_OPTIONS: unknown option 'quie', did you mean 'quiet'? "
		       "(see 'stele help options')\n");
	assert_refused("STELE_OPTIONS=QUIET=1",
		       "stele: STELE_OPTIONS: unknown option 'QUIET', did you mean 'quiet'? "
		       "(see 'stele help options')\n");
	assert_refused(
		"STELE_OPTIONS=dirty-min=1m",
		"stele: STELE_OPTIONS: unknown option 'dirty-min', did you mean 'dirty_min'? "
		"(see 'stele help options')\n");
	assert_refused("STELE_quiet=1",
		       "stele: unknown variable 'STELE_quiet', did you mean 'STELE_QUIET'? "
		       "(see 'stele help options')\n");
	assert_refused("STELE_DIRTYMIN=1m",
		       "stele: unknown variable 'STELE_DIRTYMIN', did you mean 'STELE_DIRTY_MIN'? "
		       "(see 'stele help options')\n");
	assert_refused("STELE_OPTION=quiet=1",
		       "stele: unknown variable 'STELE_OPTION', did you mean 'STELE_OPTIONS'? "
		       "(see 'stele help options')\n");
	/* As an item, the list is nothing that could be meant. */
	assert_refused("STELE_OPTIONS=option=1", "stele: STELE_OPTIONS: unknown option 'option' "
						 "(see 'stele help options')\n");
}

static void blanks_around_names_and_values_do_not_count(void **state)
{
	(void)state;
	parse("STELE_OPTIONS= quiet=1 , \tslots = 5,  , dirty_min= 2m\t,", NULL);
	assert_string_equal(said.text, "");
	assert_true(stele_opt.quiet);
	assert_int_equal(stele_opt.slots, 5);
	assert_int_equal(stele_opt.dirty_min, 2 << 20);
	assert_refused("STELE_OPTIONS=slots=1 2", "stele: option 'slots': '1 2' is not a number\n");
	assert_refused("STELE_OPTIONS=slots=  ", "stele: option 'slots': '' is not a number\n");
}

static void bad_value_is_named_with_what_was_expected(void **state)
{
	(void)state;
	assert_refused("STELE_DIRTY_MIN=abc", "stele: option 'dirty_min': 'abc' is not a size\n");
	assert_refused("STELE_OPTIONS=dirty_min=abc",
		       "stele: option 'dirty_min': 'abc' is not a size\n");
	assert_refused("STELE_DIRTY_MIN=", "stele: option 'dirty_min': '' is not a size\n");
	assert_refused("STELE_DIRTY_MIN=1kb", "stele: option 'dirty_min': '1kb' is not a size\n");
	assert_refused("STELE_DIRTY_MIN=k", "stele: option 'dirty_min': 'k' is not a size\n");
	assert_refused("STELE_DIRTY_MIN=-1", "stele: option 'dirty_min': '-1' is not a size\n");
	assert_refused("STELE_DIRTY_MIN=+1", "stele: option 'dirty_min': '+1' is not a size\n");
	assert_refused("STELE_DIRTY_MIN=1 ", "stele: option 'dirty_min': '1 ' is not a size\n");
	assert_refused("STELE_SLOTS=1k", "stele: option 'slots': '1k' is not a number\n");
	assert_refused("STELE_SLOTS=-1", "stele: option 'slots': '-1' is not a number\n");
	assert_refused("STELE_QUIET=maybe", "stele: option 'quiet': 'maybe' is not 0 or 1\n");
	assert_refused("STELE_QUIET=", "stele: option 'quiet': '' is not 0 or 1\n");
	assert_refused("STELE_QUIET=2", "stele: option 'quiet': '2' is not 0 or 1\n");
	assert_refused("STELE_RSEQ=2", "stele: option 'rseq': '2' is not auto, 0 or 1\n");
	assert_refused("STELE_PROFILE=big",
		       "stele: option 'profile': 'big' is not one of default|tiny|debug\n");
	assert_refused("STELE_PROFILE=tin",
		       "stele: option 'profile': 'tin' is not one of default|tiny|debug\n");
	assert_refused("STELE_PAGE_SIZE=5000",
		       "stele: option 'page_size': '5000' is not 0 or a power of two\n");
}

static void out_of_range_names_the_range(void **state)
{
	(void)state;
	assert_refused("STELE_SLOTS=4097",
		       "stele: option 'slots': '4097' is out of range 0..4096\n");
	assert_refused("STELE_SLOTS=99999999999999999999",
		       "stele: option 'slots': '99999999999999999999' is out of range 0..4096\n");
	/* 2^64 + 5: must not come out as 5. */
	assert_refused("STELE_SLOTS=18446744073709551621",
		       "stele: option 'slots': '18446744073709551621' is out of range 0..4096\n");
	assert_refused("STELE_PAGE_SIZE=2k",
		       "stele: option 'page_size': '2k' is out of range 0 or 4k..64k\n");
	assert_refused("STELE_PAGE_SIZE=128k",
		       "stele: option 'page_size': '128k' is out of range 0 or 4k..64k\n");
	assert_refused("STELE_ARENA_SIZE=4k",
		       "stele: option 'arena_size': '4k' is out of range 0 or 16m..4032g\n");
	assert_refused("STELE_ARENA_SIZE=16777215",
		       "stele: option 'arena_size': '16777215' is out of range 0 or 16m..4032g\n");
	assert_value("arena_size", "16m", 16 << 20);
	assert_value("arena_size", "0", 0);
	assert_refused("STELE_BARN_MAX=2t",
		       "stele: option 'barn_max': '2t' is out of range 0..1t\n");
	/* Would be 0 if the unit's shift were allowed to overflow. */
	assert_refused("STELE_DIRTY_MIN=16777216t",
		       "stele: option 'dirty_min': '16777216t' is out of range 0..64t\n");
}

static void good_items_count_beside_bad_ones(void **state)
{
	(void)state;
	parse("STELE_OPTIONS=,quiet=1,,foo=2,slots=x,slots=5,", "STELE_BARN_MAX=7k", NULL);
	assert_true(stele_opt.quiet);
	assert_int_equal(stele_opt.slots, 5);
	assert_int_equal(stele_opt.barn_max, 7 << 10);
	assert_string_equal(
		said.text, "stele: STELE_OPTIONS: unknown option 'foo' (see 'stele help options')\n"
			   "stele: option 'slots': 'x' is not a number\n");
}

static void last_word_is_with_the_list_and_its_end(void **state)
{
	(void)state;
	parse("STELE_OPTIONS=slots=1,slots=2", "STELE_SLOTS=3", NULL);
	assert_int_equal(stele_opt.slots, 2);
	parse("STELE_SLOTS=3", "STELE_OPTIONS=slots=1,slots=2", NULL);
	assert_int_equal(stele_opt.slots, 2);
}

static void foreign_and_reserved_variables_are_let_alone(void **state)
{
	(void)state;
	parse("STELE_MALLOC_SO=/x", "STELEX=1", "XSTELE_QUIET=1", "STELE_QUIET", "STELE=1", NULL);
	assert_string_equal(said.text, "");
	assert_defaults();
}

static void second_parse_changes_nothing(void **state)
{
	char *envp[] = { (char *)"STELE_QUIET=1", NULL };

	(void)state;
	parse("STELE_SLOTS=3", NULL);
	stele_options_parse(envp);
	assert_false(stele_opt.quiet);
	assert_int_equal(stele_opt.slots, 3);
}

static void parsing_keeps_errno(void **state)
{
	char *envp[] = { (char *)"STELE_QUIET=2", NULL };

	(void)state;
	stele_options_reset();
	assert_true(stderr_begin(&said));
	errno = 4711;
	stele_options_parse(envp);
	int after = errno;
	stderr_end(&said);
	assert_int_equal(after, 4711);
}

static void huge_value_does_not_break_the_message(void **state)
{
	static char var[4096] = "STELE_DIRTY_MIN=";

	(void)state;
	memset(var + strlen(var), 'z', sizeof(var) - strlen(var) - 1);
	parse(var, NULL);
	assert_int_equal(strncmp(said.text, "stele: option 'dirty_min': 'zzz", 31), 0);
	assert_string_equal(said.text + said.len - 4, "...\n");
	assert_int_equal(said.len, STELE_SAY_MAX);
}

static void set_reports_its_kind_of_failure(void **state)
{
	(void)state;
	stele_options_reset();
	assert_true(stderr_begin(&said));
	int good = stele_option_set("--option", "slots=4xyz", 7);
	int unknown = stele_option_set("--option", "foo=1", 5);
	int bad = stele_option_set("--option", "slots=", 6);
	int range = stele_option_set("--option", "slots=5000", 10);
	stderr_end(&said);
	assert_int_equal(good, 0);
	assert_int_equal(stele_opt.slots, 4);
	assert_int_equal(unknown, -ENOENT);
	assert_int_equal(bad, -EINVAL);
	assert_int_equal(range, -ERANGE);
	assert_int_equal(strncmp(said.text, "stele: --option: unknown option 'foo'", 37), 0);
	stele_options_reset();
}

/* Child of the test below: 10 options ignored, 11 options read, 12 not run with more rights. */
static int child(char **envp)
{
	if (!getauxval(AT_SECURE))
		return 12;
	stele_options_parse(envp);
	return stele_opt.quiet ? 11 : 10;
}

static bool copy_program(int to)
{
	FILE *from = fopen("/proc/self/exe", "rb");
	char block[65536];
	size_t n;

	if (!from)
		return false;
	while ((n = fread(block, 1, sizeof(block), from)) > 0) {
		if (write(to, block, n) != (ssize_t)n)
			break;
	}
	fclose(from);
	return n == 0;
}

static int run_child(char *path)
{
	char *argv[] = { path, (char *)CHILD_ARG, NULL };
	char *envp[] = { (char *)"STELE_QUIET=1", NULL };
	int status = 0;
	pid_t pid = fork();

	if (pid == 0) {
		execve(path, argv, envp);
		_exit(99);
	}
	waitpid(pid, &status, 0);
	return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void environment_counts_for_nothing_where_it_is_not_trusted(void **state)
{
	char *envp[] = { (char *)"STELE_QUIET=1", (char *)"STELE_OPTIONS=slots=3,foo", NULL };

	(void)state;
	stele_options_reset();
	assert_true(stderr_begin(&said));
	stele_options_read(envp, true);
	stderr_end(&said);
	assert_string_equal(said.text, "");
	assert_defaults();
}

/* Needs to give a program another owner, hence root, and a file system that honours it. */
static void setuid_program_ignores_the_environment(void **state)
{
	char path[] = "/tmp/stele-options-XXXXXX";
	int fd = mkstemp(path);
	int result;

	(void)state;
	assert_true(fd >= 0);
	assert_true(copy_program(fd));
	if (fchown(fd, 65534, 65534) != 0 || fchmod(fd, 04755) != 0) {
		close(fd);
		unlink(path);
		skip();
	}
	close(fd);
	result = run_child(path);
	unlink(path);
	if (result == 12)
		skip();
	assert_int_equal(result, 10);
}

int main(int argc, char **argv, char **envp)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(defaults_hold_before_and_after_an_empty_environment),
		cmocka_unit_test(rows_are_sorted_and_their_defaults_allowed),
		cmocka_unit_test(shown_values_can_be_given_back),
		cmocka_unit_test(every_option_has_its_own_variable),
		cmocka_unit_test(words_and_numbers_are_read_as_documented),
		cmocka_unit_test(typo_in_a_name_is_named),
		cmocka_unit_test(near_name_is_offered),
		cmocka_unit_test(blanks_around_names_and_values_do_not_count),
		cmocka_unit_test(bad_value_is_named_with_what_was_expected),
		cmocka_unit_test(out_of_range_names_the_range),
		cmocka_unit_test(good_items_count_beside_bad_ones),
		cmocka_unit_test(last_word_is_with_the_list_and_its_end),
		cmocka_unit_test(foreign_and_reserved_variables_are_let_alone),
		cmocka_unit_test(second_parse_changes_nothing),
		cmocka_unit_test(parsing_keeps_errno),
		cmocka_unit_test(huge_value_does_not_break_the_message),
		cmocka_unit_test(set_reports_its_kind_of_failure),
		cmocka_unit_test(environment_counts_for_nothing_where_it_is_not_trusted),
	};
	const struct CMUnitTest root_tests[] = {
		cmocka_unit_test(setuid_program_ignores_the_environment),
	};
	int failures;

	if (argc > 1 && strcmp(argv[1], CHILD_ARG) == 0)
		_exit(child(envp)); /* a leak checker at exit could not trace this process */
	/* Now, not by an option while the pipe of stderr_begin() is there: it would stay open. */
	stele_say_keep();
	failures = cmocka_run_group_tests(tests, NULL, NULL);
	/* An emulator cannot start a set-user-ID program of its kind. */
	if (geteuid() == 0 && !STELE_TEST_EMULATED)
		failures += cmocka_run_group_tests(root_tests, NULL, NULL);
	return failures;
}
