/* SPDX-License-Identifier: MIT */
/*
 * sync/racy.c - debug builds: a racy read that leads into memory which others are given
 *
 * Tests     tests/death/racy_read.c
 */
#include "sync/atomic.h"
#include "base/fmt.h"
#include <stdlib.h>

bool (*stele_racy_allowed)(const void *p);

void stele_racy_report(const void *p)
{
	stele_say("stele: a read without ownership at %p, in memory that others are given\n", p);
	abort();
}
