/* SPDX-License-Identifier: MIT */
/*
 * tests/signals/any_context/trap_plant.h - breakpoints in the library: planting them, and which one
 * was hit
 *
 * Idea      The text is made writable and an int3 stands where an instruction began. The handler of
 *           SIGTRAP restores the byte and goes back to it.
 * Sequence  A trap within a restartable sequence aborts it: the kernel has moved the address to
 *           the abort handler before ours runs. So the breakpoint is looked up by the address, or
 *           else by the abort handler: a sequence runs straight on, so it was the first one
 *           planted in it.
 * Included  by one file of a program.
 */
#ifndef TESTS_ANY_CONTEXT_TRAP_PLANT_H
#define TESTS_ANY_CONTEXT_TRAP_PLANT_H

#include "trap_table.h"

#include <sys/mman.h>
#include <ucontext.h>

#define INT3 0xcc

static inline void plant(struct place *place)
{
	if (place->planted)
		return;
	place->byte = *place->at;
	*place->at = INT3;
	place->planted = true;
}

static inline void unplant(struct place *place)
{
	if (!place->planted)
		return;
	*place->at = place->byte;
	place->planted = false;
}

static inline struct place *planted_between(uintptr_t from, uintptr_t to)
{
	for (; from < to; from++)
		if (place_of(from))
			return place_of(from);
	return NULL;
}

/* Which breakpoint this is; sets the address to go on at. */
static inline struct place *fired(ucontext_t *context)
{
	greg_t *rip = &context->uc_mcontext.gregs[REG_RIP];
	struct place *place = place_of((uintptr_t)*rip - 1);

	if (place) {
		(*rip)--;
		return place;
	}
	for (unsigned i = 0; i < sequences_count && !place; i++)
		if (sequences[i].abort == (uintptr_t)*rip)
			place = planted_between(sequences[i].start, sequences[i].end);
	return place;
}

static inline void each_place(bool (*which)(const struct place *), void (*call)(struct place *))
{
	for (unsigned i = 0; i < places_count; i++)
		if (which(&places[i]))
			call(&places[i]);
}

static inline void open_text(void)
{
	uintptr_t page = 4095, low = UINTPTR_MAX, high = 0;

	for (unsigned i = 0; i < places_count; i++) {
		low = (uintptr_t)places[i].at < low ? (uintptr_t)places[i].at : low;
		high = (uintptr_t)places[i].at > high ? (uintptr_t)places[i].at : high;
	}
	low &= ~page;
	high = (high + 1 + page) & ~page;
	MUST(mprotect((void *)low, high - low, PROT_READ | PROT_WRITE | PROT_EXEC) == 0);
}

/* ---- names ---- */

void *trap_symbol_if(const char *name)
{
	const struct symbol *found = find_symbol(name);

	return found ? library + found->offset : NULL;
}

void *trap_symbol(const char *name)
{
	void *p = trap_symbol_if(name);

	if (!p)
		dprintf(STDERR_FILENO, "no symbol %s\n", name);
	MUST(p);
	return p;
}

#endif
