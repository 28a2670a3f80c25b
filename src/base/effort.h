/* SPDX-License-Identifier: MIT */
/*
 * base/effort.h - how much a call may do at once
 *
 * Idea      A call that promises to be short, one in any context, and one of the control path go the
 *           same way through the floors. It hands down how much may be done on the way; the
 *           function that has long work before it looks at that, and leaves it to another call.
 * States    BOUNDED  a bounded number of steps: no system call, no callback of the user, no sheaf
 *                    filled or emptied, no slab retired. The thread notes work that it puts off.
 *           USUAL    any context: nothing waits, but a sheaf is filled or emptied, slabs are
 *                    retired, pages go back to the system.
 *           WAITING  ordinary threads: the call may wait for another thread as well.
 * Tests     tests/stress/bound.c counts the instructions of BOUNDED calls.
 */
#ifndef STELE_BASE_EFFORT_H
#define STELE_BASE_EFFORT_H

/* Before a function that waits for no lock, nor does anything that it calls (sync/held.h). */
#if STELE_DEBUG
#define STELE_NEVER_WAITS __attribute__((noinline, section("stele_never_waits")))
#else
#define STELE_NEVER_WAITS
#endif

enum effort { EFFORT_BOUNDED, EFFORT_USUAL, EFFORT_WAITING };

#endif
