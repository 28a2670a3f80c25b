/* SPDX-License-Identifier: MIT */
/*
 * base/valid.c - the end of a process whose structures are broken
 *
 * Tests     tests/unit/base/test_valid.c
 */
#include "base/valid.h"
#include "base/fmt.h"
#include <stdlib.h>

void stele_broken(const char *what, const char *file, int line)
{
	stele_say("stele: broken: %s (%s:%d)\n", what, file, line);
	abort();
}
