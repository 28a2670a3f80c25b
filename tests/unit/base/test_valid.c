/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/valid.h: a message names the broken rule, and the process ends there.
 */
#include "base/valid.h"

#include "../unit.h"
#include "stderr_of.h"

#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

static int questions;

static bool asked(bool answer)
{
	questions++;
	return answer;
}

/* Runs @broken in a child; its text is in @t. True: it died of SIGABRT. */
static bool aborts(void (*broken)(void), struct stderr_text *t)
{
	const struct rlimit no_core = { 0, 0 };
	int status;
	pid_t child;

	assert_true(stderr_begin(t));
	child = fork();
	if (child == 0) {
		setrlimit(RLIMIT_CORE, &no_core);
		signal(SIGABRT, SIG_DFL);
		broken();
		_exit(0);
	}
	assert_true(waitpid(child, &status, 0) == child);
	stderr_end(t);
	return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void must(void)
{
	STELE_MUST(1 + 1 == 3);
}

static void sound(void)
{
	STELE_SOUND("the order of things");
}

static void an_assertion_is_asked_once_in_every_build(void **state)
{
	struct stderr_text t;

	(void)state;
	questions = 0;
	STELE_MUST(asked(true));
	assert_int_equal(questions, 1);
	assert_true(aborts(must, &t));
	assert_non_null(strstr(t.text, "stele: broken: not so: 1 + 1 == 3 ("));
	assert_non_null(strstr(t.text, "test_valid.c:"));
}

/* Never called where a release build only takes its size. */
static __attribute__((unused)) const char *answer(const char *fault)
{
	questions++;
	return fault;
}

static void a_broken_structure_ends_debug_builds_and_costs_others_nothing(void **state)
{
	struct stderr_text t;

	(void)state;
	questions = 0;
	STELE_SOUND(answer(NULL));
	assert_int_equal(questions, STELE_DEBUG);
	assert_int_equal(aborts(sound, &t), STELE_DEBUG);
	if (STELE_DEBUG)
		assert_non_null(strstr(t.text, "stele: broken: the order of things ("));
	else
		assert_string_equal(t.text, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(an_assertion_is_asked_once_in_every_build),
		cmocka_unit_test(a_broken_structure_ends_debug_builds_and_costs_others_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
