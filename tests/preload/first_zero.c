/* SPDX-License-Identifier: MIT */
/*
 * tests/preload/first_zero.c - the very first call asks for nothing
 *
 * Idea      .preinit_array runs before every constructor, the drop-in's own included. Size 0 must
 *           go the slow way then, as any other does.
 * Failure   a fault, or the same pointer twice.
 */
#include "drop_in.h"

static void *first, *second;

static void before_all(int argc, char **argv, char **environment)
{
	(void)argc, (void)argv, (void)environment;
	first = malloc(0);
	second = realloc(NULL, 0);
}

static void (*const preinit)(int, char **, char **)
	__attribute__((section(".preinit_array"), used)) = before_all;

int main(void)
{
	need_drop_in();
	CHECK(first && second && first != second);
	free(first);
	free(second);
	return 0;
}
