/* SPDX-License-Identifier: MIT */
/*
 * tests/tools/sweep_mistakes.c - a program that makes a known mistake when an allocation fails
 *
 * sweep_mistakes none     handles each failure
 * sweep_mistakes crash    does not look at the result of one allocation of 301 bytes
 * sweep_mistakes abort    gives up by abort() where a block of 100,000 bytes cannot be had
 * sweep_mistakes hang     tries an allocation again and again while a variable is not set
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static volatile int told_to_stop;

static __attribute__((noinline)) void forgets_to_look(char *volatile *slot)
{
	*slot = malloc(301);
	memset(*slot, 1, 301);
}

static __attribute__((noinline)) void gives_up(char *volatile *slot)
{
	*slot = malloc(100000);
	if (!*slot)
		abort();
}

static __attribute__((noinline)) void waits_for_ever(char *volatile *slot)
{
	*slot = malloc(77);
	while (!*slot && !told_to_stop)
		usleep(1000);
}

static __attribute__((noinline)) int fails_well(void)
{
	char *a = malloc(10), *b = realloc(a, 500);

	if (!b) {
		free(a);
		return 1;
	}
	free(b);
	return 0;
}

int main(int argc, char **argv)
{
	const char *mistake = argc > 1 ? argv[1] : "none";
	char *volatile p = NULL;

	if (fails_well())
		return 3;
	if (!strcmp(mistake, "crash"))
		forgets_to_look(&p);
	if (!strcmp(mistake, "abort"))
		gives_up(&p);
	if (!strcmp(mistake, "hang"))
		waits_for_ever(&p);
	free(p);
	return fails_well() ? 3 : 0;
}
