/* SPDX-License-Identifier: MIT */
/*
 * Tests of base/auxv.c: the values that the kernel passed at start are found, also after the
 * program has written over its first stack.
 *
 * Idea      The answer is kept, so each case has a child of its own, which asks first.
 */
#include "base/auxv.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/auxv.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int count;
static char **arguments;
static char **variables;

static void nothing(void) {}

static void arguments_do_not_end(void)
{
	arguments[count] = arguments[0];
}

static void no_variables(void)
{
	variables[0] = NULL;
}

static void one_variable(void)
{
	variables[1] = NULL;
}

static void too_many_arguments(void)
{
	((uintptr_t *)arguments)[-1] = UINTPTR_MAX;
}

/* The C library's own answers, which it took at start. */
static int child_spoiled(void (*spoil)(void))
{
	static const unsigned long types[] = { AT_PAGESZ, AT_SECURE, AT_ENTRY, AT_SYSINFO_EHDR,
					       AT_UID };

	spoil();
	for (unsigned i = 0; i < sizeof(types) / sizeof(types[0]); i++)
		if (stele_auxv(types[i]) != getauxval(types[i]))
			return 1 + (int)i;
	return stele_auxv(4711) ? 99 : 0;
}

static void same_in_child(void (*spoil)(void))
{
	int status = -1;
	pid_t pid = fork();

	if (pid == 0)
		_exit(child_spoiled(spoil));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
}

static void the_vector_is_found_as_the_kernel_left_it(void **state)
{
	(void)state;
	same_in_child(nothing);
}

static void the_vector_is_found_where_the_program_wrote_over_its_arguments(void **state)
{
	(void)state;
	same_in_child(arguments_do_not_end);
	same_in_child(no_variables);
	same_in_child(one_variable);
	same_in_child(too_many_arguments);
}

int main(int argc, char **argv, char **envp)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(the_vector_is_found_as_the_kernel_left_it),
		cmocka_unit_test(the_vector_is_found_where_the_program_wrote_over_its_arguments),
	};

	count = argc;
	arguments = argv;
	variables = envp;
	return cmocka_run_group_tests(tests, NULL, NULL);
}
