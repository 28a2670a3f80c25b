/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/broken_calls.c - TABLE: the same test on an allocator that cannot pass
 * it
 *
 * Idea      A child runs it. Exit 0 here when the child found wrong contents: not when it crashed,
 *           hung, passed, or failed otherwise.
 */
#include "broken_allocator.h"
#include "objects.h"

#include <stdio.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIZE 64
#define MANY 8

static struct basket from_handler;

static struct object make(void)
{
	void *p = broken_alloc();

	MUST(p);
	return object_signed(p, SIZE, 0);
}

static void drop(const struct object *o)
{
	object_check(o);
	broken_free(o->p);
}

static void in_handler(void)
{
	struct object first = make(), second = make();

	drop(&first);
	if (!basket_put(&from_handler, second))
		drop(&second);
}

static void between(void)
{
	struct object o;

	while (basket_take(&from_handler, &o))
		drop(&o);
}

static void run(unsigned number)
{
	struct object many[MANY];

	(void)number;
	for (unsigned i = 0; i < MANY; i++)
		many[i] = make();
	for (unsigned i = 0; i < MANY; i++)
		drop(&many[i]);
}

static int run_all(const char *table)
{
	const struct trap_plan plan = {
		.name = "broken allocator",
		.table = table,
		.function = (const void *)broken_alloc,
		.function_name = "broken_alloc",
		.phases = 1,
		.cheap = 1,
		.phase = run,
		.between = between,
		.handler = in_handler,
		.settle = between,
		.share = 90,
	};

	trap_prepare(&plan);
	trap_run();
	return 0;
}

int main(int argc, char **argv)
{
	int status = 0;
	pid_t child = fork();

	if (!child)
		_exit(run_all(argc > 1 ? argv[1] : ""));
	if (child < 0 || waitpid(child, &status, 0) != child)
		return 2;
	if (!WIFEXITED(status) || WEXITSTATUS(status) != EXIT_CONTENTS) {
		fprintf(stderr, "not found: the status is %#x\n", status);
		return 1;
	}
	puts("found: the contents of a block are wrong");
	return 0;
}
