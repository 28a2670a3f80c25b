/* SPDX-License-Identifier: MIT */
/*
 * percpu/close.h - the steps by which a slot is closed, paused and emptied
 *
 * Idea      percpu/close.c has the theory. These are the steps, so that a model can include them.
 * Order     SLOT, SLOT_READY: percpu/show.h
 * Context   one taker at a time (percpu/take.c). Closing, opening and emptying what is closed: the
 *           writer of the CPU set, which is the taker where it closes and where it empties, not
 *           in between.
 * Failure   the system refuses the barrier: the slot is as before.
 * Tests     tests/model/take.c  tests/model/pairs.c
 */
#ifndef STELE_PERCPU_CLOSE_H
#define STELE_PERCPU_CLOSE_H

#include "os/os.h"
#include "percpu/take.h"
#include "sync/atomic.h"
#include <errno.h>

/* ---- by the writer of the CPU set ---- */

/* By the taker, so that no mark is anywhere and the slot is not paused. */
static inline int close_taken(unsigned slot)
{
	uint64_t was = show_close(slot_entry(slot), slot_closed());
	int error = 0;

	STELE_POINT("slot:hidden");
	/* ORDER(SLOT) the barrier ends every step that had found the slot's memory. */
	if (was == slot_memory(slot) && slots_by_sequence())
		error = stele_os_membarrier();
	if (error)
		show_unclose(slot_entry(slot), slot_closed(), was);
	return error;
}

static inline int close_slot(unsigned slot)
{
	int error;

	if (!stele_begin_taking(EFFORT_WAITING))
		return -EDEADLK;
	error = close_taken(slot);
	stele_end_taking();
	return error;
}

static inline void open_slot(unsigned slot)
{
	show_open(slot_entry(slot), slot_closed(), slot_unused());
}

/* ---- emptying, by the taker ---- */

static inline void empty_line(unsigned slot, uint64_t words, enum effort effort, uint64_t found[3])
{
	uint64_t line = slot_memory_begun(slot) + words;

	if (line == words)
		return;
	if (slots_by_sequence()) {
		take_unreached(line, found);
	} else {
		stele_take_locked(line, &take_line, effort, found);
	}
}

/* A slot that is open is in use: its step of the way up was refused, and is undone. */
static inline void empty_closed(unsigned slot, uint64_t words, uint64_t found[3])
{
	if (!stele_begin_taking(EFFORT_WAITING))
		return;
	if (slot_is_closed(slot) || !slots_by_sequence())
		empty_line(slot, words, EFFORT_WAITING, found);
	stele_end_taking();
}

/* ---- a slot that no thread seems to use ---- */

static inline bool pause_slot(unsigned slot)
{
	if (!show_pause(slot_entry(slot), slot_memory(slot), slot_paused()))
		return false;
	STELE_POINT("slot:paused");
	/* ORDER(SLOT) the barrier ends every step that had found the slot's memory. */
	if (stele_os_membarrier() == 0)
		return true;
	show_again(slot_entry(slot), slot_paused(), slot_memory(slot));
	return false;
}

static inline void with_pause(unsigned slot, void (*each)(unsigned, void *), void *arg)
{
	if (!pause_slot(slot))
		return;
	each(slot, arg);
	show_again(slot_entry(slot), slot_paused(), slot_memory(slot));
}

/* In the fallback each line is locked for itself; without its slot a thread would move to another
 * one. */
static inline bool empty_paused(unsigned slot, void (*each)(unsigned, void *), void *arg)
{
	if (!slot_is_shown(slot) || !stele_begin_taking(EFFORT_USUAL))
		return false;
	if (slots_by_sequence())
		with_pause(slot, each, arg);
	else if (slot_is_shown(slot))
		each(slot, arg);
	stele_end_taking();
	return true;
}

#endif
