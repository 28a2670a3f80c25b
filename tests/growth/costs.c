/* SPDX-License-Identifier: MIT */
/*
 * tests/growth/costs.c - no call of the library makes more system calls or page faults when the
 * process has many caches and blocks (a large world, world.h)
 */
#include "counted.h"
#include "world.h"

int main(void)
{
	return count_kinds(kinds, KINDS, make_world);
}
