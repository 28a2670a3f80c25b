/* SPDX-License-Identifier: MIT */
/*
 * tests/unit/percpu/four_slots.h - a floor of four slots, all of which are up, for tests of the set
 *
 * Included  by one file of a program.
 */
#ifndef STELE_TESTS_UNIT_PERCPU_FOUR_SLOTS_H
#define STELE_TESTS_UNIT_PERCPU_FOUR_SLOTS_H

#include "slots.h"

#include "../base/stderr_of.h"

#define SLOTS 4u

static uint64_t words; /* of one cache */

static inline int four_slots(void **state)
{
	(void)state;
	words = slots_start_up(SLOTS);
	return words ? 0 : -1;
}

static inline void assert_said(struct stderr_text *t, const char *what)
{
	stderr_end(t);
	if (strcmp(t->text, what) != 0)
		fail_msg("expected \"%s\", said \"%s\"", what, t->text);
}

#endif
