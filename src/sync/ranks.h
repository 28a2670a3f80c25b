/* SPDX-License-Identifier: MIT */
/*
 * sync/ranks.h - every lock of Stele, outermost first, in one table
 *
 * Idea      One row per lock, or per kind where each object has one. A thread that holds a lock
 *           waits only for locks of rows further down. So no two threads wait for each other.
 *           The row's number is the lock's rank. The table feeds the enum, the check in debug
 *           builds (sync/held.h), docs/locks.md, and the order of what the child of a fork does.
 * Columns   STELE_RANK(NAME, name, where, waits, guards, inside, child)
 *           name     as reports say it
 *           where    the file that has the lock; "-": none yet
 *           waits    ORDINARY  waited for by threads that may sleep, and where nothing is promised
 *                    ANYWHERE  also by calls that else never wait: the first ones of all
 *                    NEVER     a word and no mutex: tried, never waited for
 *           guards, inside, child  for docs/locks.md: the data that it guards, the work that is
 *                    allowed there, and what happens to it in the child of a fork
 * Trying    needs no order: a thread that does not get the lock goes on without. A lock that it got
 *           counts as held.
 * Again     a thread that waits for a lock which it holds gets -EDEADLK, without a report.
 * Same      a thread that holds a lock of a row waits for no other lock of that row.
 * Fork      In the child, innermost first: the locks that an outer row's work takes are whole by
 *           then.
 * Tests     tests/unit/sync/test_ranks.c  tests/death/lock_order.c  scripts/rule/locks.py
 */
#ifndef STELE_SYNC_RANKS_H
#define STELE_SYNC_RANKS_H

/* clang-format off */
#define STELE_RANK_TABLE(STELE_RANK) \
	STELE_RANK(WATCH, "watch", "percpu/watch.c", ORDINARY, \
		"whether a thread follows the machine's processors", \
		"a thread is made", \
		"free; there is no such thread") \
	STELE_RANK(CPUS, "cpus", "percpu/cpus.c", ORDINARY, \
		"which slots are in use, while one of them comes or goes", \
		"the steps of a slot that comes or goes; walks over slots that must not change", \
		"free, unless this thread is inside") \
	STELE_RANK(STEPS, "steps", "percpu/hotplug.c", ORDINARY, \
		"the table of steps that a slot takes", \
		"a step that is added or taken out runs for the slots there are", \
		"free, unless this thread is inside") \
	STELE_RANK(LIST, "list", "cache/list.c", ORDINARY, \
		"the list of caches, their reference counts, and where walks are", \
		"no constructor, no destructor; a cache is made, and no other one is touched", \
		"free, unless this thread is inside; the list is whole at every moment, and caches " \
		"that walks of other threads had pinned are let go") \
	STELE_RANK(RUNNER, "runner", "rcu/flavors.c", ORDINARY, \
		"which flavour of readers each queue of grace periods has", \
		"no call that waits; registering with the C library", \
		"free; queues have no runner, and one is started when it is needed") \
	STELE_RANK(TRACE, "trace", "trace/trace.c", ORDINARY, \
		"the table of callbacks", \
		"nothing is called or waited for", \
		"free, unless this thread is inside; the table is whole at every moment") \
	STELE_RANK(TAKING, "taking", "percpu/take.c", ORDINARY, \
		"the marks by which one thread takes what other slots have", \
		"of callbacks only what empties a cold slot into slabs", \
		"free, unless this thread is inside; marks and slots of threads that are gone are " \
		"cleared") \
	STELE_RANK(FIRST_LOOK, "first look", "percpu/cpus.c", ORDINARY, \
		"the first look at which slots are online", \
		"system calls", \
		"free, unless this thread is inside; the look is made again") \
	STELE_RANK(BOOT, "boot", "slab/geometry.c", ORDINARY, \
		"the first filling in of caches in static memory", \
		"nothing is called or waited for", \
		"the next thread finds it abandoned and fills them in anew") \
	STELE_RANK(CLASSES, "classes", "kmalloc/classes.c", ANYWHERE, \
		"the start of the caches behind kmalloc()", \
		"the start of the heap", \
		"the next thread finds it abandoned and starts them anew") \
	STELE_RANK(HEAP, "heap", "page/start.c", ANYWHERE, \
		"the start of the heap", \
		"system calls", \
		"the next thread finds it abandoned and starts it anew")
/* clang-format on */

#define STELE_RANK_NUMBER(NAME, ...) STELE_RANK_##NAME,
enum stele_rank {
	STELE_RANK_NONE, /* a lock of no row, for tests: nothing is checked */
	STELE_RANK_TABLE(STELE_RANK_NUMBER) STELE_NR_RANKS
};
#undef STELE_RANK_NUMBER

enum stele_rank_waits { STELE_RANK_ORDINARY, STELE_RANK_ANYWHERE, STELE_RANK_NEVER };

/* Work for @rank in the child of a fork. Called when nobody can fork, or from a lock. */
void stele_rank_in_child(enum stele_rank rank, void (*work)(void));

/* In the child of a fork: the work that was asked for, from the last rank to the first. */
void stele_ranks_after_fork(void);

#endif
