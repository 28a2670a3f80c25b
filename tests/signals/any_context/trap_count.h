/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/trap_count.h - which instructions of the library count in this run
 *
 * Idea      The library finds slots in one of several ways, and has code for each of them. Code of the
 *           others does not run, and does not count.
 * Included  by one file of a program.
 */
#ifndef TESTS_ANY_CONTEXT_TRAP_COUNT_H
#define TESTS_ANY_CONTEXT_TRAP_COUNT_H

#include "percpu/percpu.h"
#include "percpu/system.h"
#include "trap.h"
#include "trap_table.h"

#include <stdio.h>

/* Code that this mode cannot run, or that was inlined from left-out functions, counts when hit. */
static inline bool counts(const struct place *place)
{
	return plain(place) && (place->hit || !(place->flags & INLINED_OUT));
}

/* How the library finds slots in this run; `others` flags code that runs only in other modes. */
struct mode {
	const char *name;
	unsigned others;
};

static inline bool other_mode(const struct place *place, const struct mode *mode)
{
	return !place->hit && place->flags & mode->others;
}

/* Whether any committing store of a sequence was hit. */
static inline bool sequences_ran(void)
{
	for (unsigned i = 0; i < sequences_count; i++)
		for (uintptr_t at = sequences[i].start + 24; at < sequences[i].end; at++) {
			unsigned number = place_at[(at - (uintptr_t)library) % TEXT_MAX];

			if (number && places[number - 1].hit)
				return true;
		}
	return false;
}

/* Not stele_hot.by_thread: that turns true as soon as a thread is found stepped, as this one is. */
static inline struct mode this_mode(void)
{
	const struct stele_hot *hot = trap_symbol_if("stele_hot");
	const struct stele_system *facts = trap_symbol_if("stele_system_facts");

	if (!hot || !facts || facts->mode == STELE_MODE_FALLBACK)
		return (struct mode){ "fallback", BY_SEQUENCE | BY_CPU | BY_CID };
	MUST(sequences_ran());
	if (hot->by_cpu)
		return (struct mode){ "by sequences, slots by CPU", BY_LOCK | BY_CID };
	return (struct mode){ "by sequences, slots by mm_cid", BY_LOCK | BY_CPU };
}

static inline void say_missed(const struct place *place)
{
	printf("  not hit: %s, offset %#lx\n", place->function,
	       (unsigned long)(place->at - library));
}

#endif
